"""Plots in which someone learns something: honesty, patience, promises, manners, courage to say sorry."""

from toylm.data.stories import lexicon
from toylm.data.stories.registry import plot


@plot
def truth_after_lie(s):
    """Something is broken, blamed on another, and the truth comes out."""
    A = s.hero()
    s.let(A=A, B=s.pick(s.parent, s.grandparent)(A),
          vase=s.thing(("vase", "cup", "plate", "lamp", "flower pot", "jar", "teapot", "bowl", "mirror", "clock")),
          scapegoat=s.pick("the cat", "the wind", "the dog", "a {bird}", "the neighbor"),
          glue=s.pick("glue the pieces", "sweep up the pieces", "find a new one", "paint a new one"))  # fmt: skip
    s.introduce(0.052)
    s.say(
        "{one_day}, {A.he} was [playing ball|dancing|jumping|running] in the house. [Bump|Bang|Crash]! "
        "{B.s} {vase.full} [fell|fell off the table] and broke.",
        '{B} had {vase.a}. "Please be careful with it," {B.he} said. '
        "But {one_day}, {A} [bumped into the table|reached too high], and it broke.",
    )
    s.say(
        '"What happened [here|to my {vase}]?" {B.asks}.',
        '{B} came in and saw the broken {vase}. "Who did this?"',
    )
    s.say('"It was {scapegoat}," {A.says}[ and looked at the floor| very fast|].')
    s.paragraph()
    s.say(
        "{B} [said nothing|only nodded], but {A.s} [tummy felt heavy|face felt hot|heart beat fast]. "
        "{A.he} could not [eat|sleep|play|look up].",
        "All [day|afternoon], {A} thought about the lie. It felt like a stone in {A.his} pocket.",
    )
    s.say(
        'At last {A.he} went to {B}. "I [told a lie|did not tell the truth]. It was not {scapegoat}. '
        'I broke the {vase}. I am sorry."',
        'In the end, {A} [whispered|said], "It was me. I broke it, and I was {scared}."',
    )
    s.say(
        '{B} [hugged {A}|took {A.s} {A.hand}|was quiet for a moment]. "Thank you for telling the truth. '
        '[That was brave|The {vase} is only a thing|I am not angry]."',
    )
    s.maybe(0.3, "Together they went to {glue}.", '"Now let\'s {glue} together," {B.says}.')
    s.maybe(
        0.3,
        "The heavy feeling was gone.",
        "The truth is sometimes hard to say, but it makes you [light|feel better].",
        "After that, {A} always told the truth, even when it was hard.",
        "{A} felt as light as a feather.",
    )


@plot
def promise(s):
    """A promise is tested by something more fun, and kept."""
    A = s.hero()
    task, when, result = s.pick(
        ("water {B.s} garden", "before noon", "every plant stood tall and green"),
        ("feed {B.s} hens", "at sunset", "the hens clucked in a full circle"),
        ("help {B} carry wood", "after lunch", "the wood was stacked in neat rows"),
        ("read a story to {B}", "at four", "{B} laughed at every page"),
        ("pick apples with {B}", "in the morning", "ten baskets were full"),
        ("paint the fence with {B}", "before the rain", "the fence was as white as milk"),
        ("look after {B.s} puppy", "all day", "the puppy slept on {A.s} lap"),
        ("sweep {B.s} floor", "before the guests came", "the floor was clean and shiny"),
    )  # fmt: skip
    fun = s.pick("a puppet show", "the circus", "a boat race", "a party with cake", "a swim in the lake", "a kite contest", "a picnic", "a band in the square")
    s.let(A=A, B=s.friend(A) if s.chance.yes(0.5) else s.grandparent(A), task=task, when=when, result=result, fun=fun, C=s.friend(A))
    s.introduce(0.1)
    s.say(
        "\"I promise to {task} {when},\" {A} told {B}. {B} was {glad}." if "{B}" not in task and "{B." not in task else "{A} made a promise: {A.he} would {task} {when}.",
    )
    s.say(
        'But on that day, {C.full} came by. "[Come quick|Guess what|Come with me], {A.call}! There is {fun}!"',
        'Then {C.full} asked, "Do you want to come to {fun}?" It was at the very same time.',
    )
    s.paragraph()
    s.maybe(
        0.3,
        "Oh, how {A} wanted to go! [But a promise is a promise|{A.he} looked at {A.own} feet|{A.he} thought "
        "about it for a long time].",
        "{A} loved things like that. {A.he} took one step, and stopped.",
    )
    s.say('"I cannot," {A.says}. "I gave my word[ to {B}|]."', '"No, thank you. {B} is waiting for me," {A.says}.')
    s.say(
        "So {A.he} went to {task}. [It was hard work|It took a long time|It was not as boring as {A.he} "
        "thought], but in the end, {result}.",
    )
    s.say(
        '"You kept your promise," {B.says}. "[I knew I could count on you|That means a lot to me]."',
        '{B} [smiled|was {glad}]. "I can trust you, {A.call}."',
    )
    s.maybe(
        0.3,
        "And when they were done, they went to {fun} together. They were just in time for the end!",
        "A kept promise feels [good|better than a party].",
        "Then {B} brought out {sweet.s}, and it was like a little party.",
        "The next day, {C} told {A} all about it, and {A} was not sad at all.",
    )
    s.close(0.084)


@plot
def race(s):
    """A race is won by not stopping, or lost by stopping to help."""
    A = s.hero(0.75)
    B, C = s.friend(A), s.friend(A)
    s.let(A=A, B=B, C=C, goal=s.pick("the old oak", "the bridge", "the mill", "the top of the hill", "the big rock", "the red barn", "the lake"),
          prize=s.pick("a golden ribbon", "a basket of {fruit.s}", "a big cake", "a silver cup", "a crown of leaves", "a new {clothes}"))  # fmt: skip
    s.say(
        "{one_day}, there was a race to {goal}. The prize was {prize}. "
        "{A.full}, {B.full} and {C.full} stood at the start.",
        "{A.full}, {B.full} and {C.full} wanted to know who was the fastest. "
        '"The first one to {goal} wins {prize}!"',
    )
    s.maybe(
        0.3,
        "[One, two, three, go|Ready, set, go]! They all ran.",
        '"Go!" called [an old {bird}|the starter], and off they went.',
    )
    s.outdoors(0.07)
    if s.chance.yes(0.5):
        s.say(
            '{B} was far ahead. "I have so much time," {B.he} thought, and {B.he} [lay down for a nap|stopped '
            "to eat berries|sat down to rest].",
        )
        s.maybe(
            0.5,
            "{C} ran the wrong way and [got lost|fell into a ditch|had to turn back].",
            "{C} stopped to [chase a butterfly|look at a {small_animal}|pick {flowers}].",
        )
        s.paragraph()
        s.say(
            "{A} was not the fastest, but {A.he} did not stop. "
            "[Step by step|Little by little|On and on], {A.he} came closer to {goal}.",
        )
        s.say(
            "When {B} [woke up|looked up], {A} was almost there! "
            "{B} ran as fast as {B.he} could, but it was too late.",
        )
        s.say("{A} [won|was first|touched {goal}]! Everyone [cheered|clapped], and {A.he} got {prize}.")
        s.maybe(
            0.6,
            '"[How did you do it|You are so slow. How did you win], {A.call}?" {B.asks}. '
            '"I [just kept going|did not stop]," {A.replies}.',
            "Slow and steady can win.",
            '"Next time, no naps for me," {B.says}, and they all laughed.',
        )
    else:
        s.say(
            "{A} was in front. [Behind {A.him}, there was a cry|Then {A.he} heard a cry]. "
            "{B} had [fallen|slipped in the mud|tripped over a root] and [held {B.own} foot|could not get up].",
        )
        s.say(
            "{C} ran past without looking. {A} could [see {goal}|almost touch the prize]. "
            "But {A.he} [turned around|stopped|went back].",
        )
        s.paragraph()
        s.say(
            '"Lean on me," {A.says}. [Slowly, they walked on together|They went on, side by side]. '
            "{C} won the race and got {prize}.",
        )
        s.maybe(
            0.6,
            "But everyone cheered loudest for {A} and {B}.",
            '"You lost because of me," {B.says}. "I did not lose," {A.says}. "I have a friend."',
        )
        s.say(
            '{C} looked at the prize and was {sorry}. "You should have this, {A.call}," {C.he} said. '
            "[So they shared it|They put it on the wall for all to see].",
            '"Helping is better than winning," {A.says}.',
            "{B} never forgot what {A} had done.",
        )
    s.close_together(0.07)


@plot
def bragging(s):
    """A braggart is asked to show it, cannot, and is liked better for the truth."""
    A = s.hero()
    boast, truth = s.pick(
        ("swim across the lake", "swim with my feet on the ground"), ("jump over the barn", "jump over a log"), ("eat a hundred {sweet.s}", "eat three"),
        ("lift a cow", "lift a cat"), ("climb the tallest tree", "climb onto a chair"), ("run faster than the wind", "run to the gate"),
        ("talk to lions", "talk to the cat"), ("sing louder than a train", "hum a little"), ("stay awake all night", "stay awake until nine"),
        ("cook for a king", "boil an egg"))  # fmt: skip
    s.let(A=A, B=s.friend(A), boast=boast, truth=truth)
    s.introduce(0.052)
    s.say(
        'But {A.he} liked to [brag|boast]. "I can {boast}!" {A.he} told everyone.',
        '{one_day}, {A.he} said to everyone, "I can {boast}!"',
    )
    s.say(
        '"[Really|Wow|Is that true]?" {B.full} asked. "Will you show us?"',
        '"Show us!" said {B.full}[, and all the others came to look|].',
    )
    s.say(
        '{A} [turned red|looked around|swallowed]. "[Tomorrow|Not now|Later]. '
        'I [have a cold|am busy|hurt my foot]," {A.he} said.',
    )
    s.paragraph()
    s.say(
        "The next day, everyone was there. {A} [could not hide|had to try]. "
        "{A.he} tried, and [fell on {A.own} nose|it went all wrong|nothing happened].",
        "The others waited [all morning|and waited]. {A} hid behind a {tree} and felt {sad}.",
    )
    s.say('"I cannot {boast}," {A.he} said at last. "I can only {truth}. I wanted you to like me."')
    s.say(
        "{B} [laughed, but in a kind way|smiled|sat down beside {A}]. "
        '"We like you [anyway|just as you are], {A.call}."',
        '"We do not need a hero," {B.says}. "We need a friend."',
    )
    s.say(
        '"And I can only [whistle out of tune|count to twenty|stand on one leg]," {B.he} said. '
        "[They both laughed|They laughed until their tummies hurt].",
        "Then they all played {game}, and {A} was [really|very] good at it.",
    )
    s.maybe(
        0.3,
        "After that, {A} did not brag any more.",
        "True words are better than big words.",
        "It felt good to be just {A}.",
    )


@plot
def greedy(s):
    """Too much of a good thing hurts; next time there is sharing."""
    A = s.hero()
    s.let(A=A, B=s.parent(A), C=s.friend(A), n=s.chance.between(6, 12), treat=s.pick(*lexicon.SWEETS), one=1)
    s.introduce(0.052)
    s.say(
        "{B} [baked|made|put] {n*treat} for {A} and {A.own} friends.",
        'On the table stood a plate with {n*treat}. "They are for everyone," {B.says}.',
    )
    s.say(
        "{A} ate one. [Yum|It was so sweet]! Then {A.he} ate another, until the plate was empty.",
        '"Just one," thought {A}. Then {A.he} took one more, and one more. Soon all {n} were gone.',
    )
    s.say('Then {C.full} came in. "Is there a {treat} for me?" {C.he} asked.')
    s.paragraph()
    s.say(
        "{A} [looked at the empty plate|had crumbs on {A.own} chin]. "
        '"They are gone," {A.he} said in a small voice. And then {A.his} tummy began to hurt.',
        '"Ow, my tummy," {A.says}. It [hurt|rumbled] so much that {A.he} had to lie down.',
    )
    s.maybe(
        0.3,
        '"{n.cap} {treat.s} are too many for one," {B.says}. {B.he} gave {A} [mint tea|a warm blanket].',
        '{B} [shook {B.own} head|sat by the bed]. "One is a treat, {A.call}. {n.cap} is a tummy ache."',
    )
    s.say(
        '"I am sorry, {C.call}," {A.says}. "Next time I will share."',
        '"I should have shared with you, {C.call}," {A.says}.',
    )
    s.say(
        "The next day, they baked {n*treat} again. {A} ate one and gave the rest away.",
        "When {A} was well again, {A.he} baked new {treat.s} with {C}. They each had two.",
    )
    s.maybe(
        0.3,
        "Sharing tastes [best|sweeter].",
        "{A} found that one {treat}, with a friend, was [enough|the best of all].",
        '"Now it tastes even better," {A.says}.',
    )
    s.close(0.07)


@plot
def patience(s):
    """Someone cannot wait, spoils the first try by hurrying, and waits the second time."""
    A = s.hero()
    goal, early, spoiled, waiting, done = s.pick(
        ("a loaf of bread", "opened the oven too soon", "the bread was flat and wet", "sat on a stool and sang ten songs", "a warm, brown loaf stood on the table"),
        ("a clay pot", "took the pot before it was dry", "the pot fell apart", "played in the yard for two days", "the pot was as hard as stone"),
        ("a painting", "touched the paint while it was wet", "it had a big smear on it", "washed the brushes and swept the floor", "the colors shone in the light"),
        ("a bowl of jelly", "put in a spoon after one minute", "it ran off the spoon like water", "went out to {hobby}", "the jelly shook when the table moved"),
        ("ripe cherries", "picked the cherries when they were green", "they were so sour that it hurt", "counted the days", "the cherries were dark and sweet"),
        ("a paper lantern", "lifted it before the glue was dry", "it came open on one side", "told {B} three long stories", "the lantern glowed like a little moon"),
        ("honey candy", "bit into it while it was hot", "it burned the tip of the tongue", "read a whole book", "the candy was golden and smooth"))  # fmt: skip
    s.let(A=A, goal=goal, early=early, spoiled=spoiled, waiting=waiting, done=done, B=s.pick(s.grandparent, s.parent)(A))
    s.introduce(0.07)
    s.say(
        "But {A.he} [could never wait|did not like to wait|wanted everything now].",
        "{A.he} wanted everything at once.",
    )
    s.say(
        "{one_day}, {A.he} and {B} made {goal}. \"[Now we must wait|It needs time]," + "\" {B.says}.",
        '{B} promised to show {A} how to get {goal}. "The secret is to wait," {B.he} said.',
    )
    s.say(
        '"Is it ready now?" {A.asks}. "Not yet." "And now?" "Not yet!"',
        "{A} [hopped from one foot to the other|looked at the clock|sighed]. Waiting was so hard!",
    )
    s.paragraph()
    s.say(
        "When {B} [left the room|turned around|was not looking], {A} {early}. Oh no! {spoiled.cap}.",
        "{A} {early}, and {spoiled}.",
    )
    s.maybe(
        0.3,
        '"I spoiled it," {A.says}. {A.he} felt {sorry}.',
        '{A} looked at {B} with big eyes. "I could not wait," {A.he} said.',
    )
    s.say(
        '{B} was not angry. "[Let\'s try again|Next time it will go better]. Good things take time."',
        '"We can start again," {B.says}. "This time, [do something else while you wait|we wait together]."',
    )
    s.say("This time, {A} {waiting}. [And then|At last], {done}!")
    s.maybe(
        0.3,
        '"It was worth the wait," {A.says}.',
        "{A} was {proud}.",
        '"See?" {B.says}. "Time is the best helper."',
        "Good things come to those who wait.",
    )
    s.close(0.1)


@plot
def borrowed(s):
    """Something is borrowed without asking, lost or dirtied, and made good."""
    A = s.hero()
    B = s.sibling(A, s.pick("big", "little")) if s.chance.yes(0.5) else s.friend(A)
    thing, harm, repair = s.pick(
        ("scarf", "caught on a nail and tore", "sewed it up with neat little stitches"), ("bike", "got a flat tire", "pumped and patched the tire"),
        ("book", "fell into a puddle", "dried every page in the sun"), ("hat", "blew into the mud", "washed it three times"),
        ("flute", "got full of sand", "cleaned it with a feather"), ("paint box", "lost its blue", "saved up for a new tube of blue"),
        ("umbrella", "turned inside out", "bent every rib straight again"), ("basket", "lost its handle", "wove a new handle"),
        ("boots", "got full of mud", "scrubbed them until they shone"), ("sled", "hit a tree and cracked", "nailed a new board on it"))  # fmt: skip
    s.let(A=A, B=B, thing=s.thing((thing,)), harm=harm, repair=repair)
    s.names["thing"].many = thing == "boots"
    s.say(
        "{B.full} had {thing.a}. {A.full} [thought {thing.it} {thing.was} wonderful|wanted to try "
        "{thing.them} out|looked at {thing.them} every day].",
        "{A.full} [loved|liked] {B.s} {thing.full}[ more than anything|].",
    )
    s.say(
        '{one_day}, {A} took {thing.them} without asking. "{B} will not notice," {A.he} thought.',
        "{one_day}, {B} was away. {A} took {thing.the} and went out with {thing.them}.",
    )
    s.say("But {outdoors}, {thing.it} {harm}!", "It was fun, until {thing.it} {harm}.")
    s.paragraph()
    s.say(
        '"Oh no," {A.says}. [What would {B} say|What now]? {A.he} felt {sorry}.',
        "{A} wanted to hide {thing.them} and say nothing. But that felt wrong.",
    )
    s.say('{A} went to {B} and told the whole story. "I should have asked you[ first|]. I will make it good."')
    s.maybe(
        0.3,
        '{B} was {angry}[ at first|]. "You could have asked me!"',
        '{B} looked at the {thing} and frowned. "[Next time, ask|That was not nice]."',
    )
    s.say("{A} worked [all evening|all weekend|hard]. {A.he} {repair}.", "So {A} {repair}. It took a long time.")
    s.say(
        '"You did good work," {B} said. "[I forgive you|We are friends again]."',
        '{B} [smiled again|nodded]. "Thank you for telling me."',
    )
    s.maybe(
        0.3,
        "After that, {A} always asked first. And {B} [often|almost always] said yes.",
        '"May I?" is not hard to say.',
        "The next week, {A} asked, and {B} said yes.",
    )


@plot
def honest_finder(s):
    """Something valuable is found, could be kept, and is given back."""
    A = s.hero()
    lost, mark = s.pick(("purse", "five coins in it"), ("ring", "a tiny star on it"), ("watch", "a name on the back"), ("silver key", "a red ribbon on it"),
                        ("necklace", "a blue stone"), ("wallet", "a photo in it"), ("gold button", "an anchor on it"), ("pocket knife", "a wooden handle"),
                        ("music box", "a dancer inside"), ("bracelet", "six little bells"))  # fmt: skip
    s.let(A=A, B=s.grown_up("shopkeeper", "farmer", "tailor", "teacher", "sailor") if not A.species else s.elder("badger", "owl", "goose", "tortoise", "crow"),
          lost=lost, mark=mark, wish=s.thing(lexicon.TOYS), reward=s.pick("a {fruit}", "a warm {sweet}", "a story", "a ride in the cart", "a big hug", "a bag of {fruit.s}"))
    s.introduce(0.07)
    s.say(
        "{one_day}, {A.he} found a {lost} {outdoors}. It had {mark}.",
        "{one_day}, something [shone|lay] in the grass. It was a {lost} with {mark}!",
    )
    s.maybe(
        0.3,
        '{A} [thought of|had always wanted] {wish.a}. "[I could trade this for one|With this I could get one]!"',
        "Nobody was near. {A} could keep it. [Nobody would ever know|It was so pretty].",
    )
    s.paragraph()
    s.maybe(
        0.3,
        'But then {A.he} thought, "Someone is looking for this."',
        "But it was not a gift. Someone had lost it and was sad.",
    )
    s.say(
        "{A} asked [at every door|everyone on the road|far and wide]. "
        '["Not mine," they all said|They shook their heads]. '
        "Then {A.he} saw {B}, who was looking for something on the ground.",
        "Just then {A.he} saw {B}, who looked [under every bush|very unhappy|left and right].",
    )
    s.say('"Did you lose something?" {A.asks}. "Yes, my {lost}! It has {mark}," {B.says}.')
    s.say(
        '{A} held it out. "Here it is!" {B.s} face [lit up|became bright].',
        "{A} gave it back at once. {B} [had tears in {B.own} eyes|danced for joy].",
    )
    s.maybe(
        0.3,
        '"[You are honest|That was honest of you], {A.call}. '
        '[My mother gave it to me|I have had it all my life]," {B.he} said[, and gave {A} {reward}|].',
    )
    s.maybe(
        0.3,
        "{A} had no {wish}, but {A.he} felt rich.",
        "It felt better than any {wish}.",
        "To be honest is worth more than gold." if "gold" not in lost else "To be honest is the best prize.",
        "Being honest made {A} {glad}.",
    )
    s.close(0.07)


@plot
def magic_word(s):
    """Someone who never asks nicely learns to say please."""
    A = s.hero()
    wants = s.two(("the ball", "a cookie", "a turn", "some juice", "the book", "a ride", "the blanket", "some jam", "a story", "the crayons", "help"))
    s.let(A=A, want=wants[0], want2=wants[1], B=s.grandparent(A), C=s.friend(A))
    s.introduce(0.07)
    s.say(
        'But {A.he} never said please. "Give me {want}!" {A.he} [shouted|ordered]. "Give me {want2}, now!"',
        "{A.he} had one bad habit: {A.he} never said please or thank you.",
    )
    s.say(
        '{one_day}, {A.he} said to {C.full}, "Give me {want}!" {C} [turned away|frowned|walked off].',
        "So {one_day}, nobody wanted to give {A} anything. Not even {C.full}, {A.own} friend.",
    )
    s.paragraph()
    s.say(
        '"[Why does nobody help me|Why is everyone so mean]?" {A} asked {B}.',
        '{A} went to {B} with a sad face. "Nobody likes me," {A.he} said.',
    )
    s.say(
        '"There is a magic word," {B.says}. "It opens doors and [hearts|hands]." {B.he} whispered it in {A.s} ear.',
        '{B} smiled. "Have you tried the magic word? It begins with a P."',
    )
    s.say(
        '{A} went back to {C}. "[May I have {want}|Could I have {want}], please?" {A.he} asked[ in a soft voice|].',
    )
    s.say(
        '{C} [looked up in surprise|smiled|blinked]. "[Of course|Here you are|Sure]!"',
        '"What a nice way to ask!" {C.says}. "Yes, {A.call}."',
    )
    s.maybe(
        0.3,
        '"Thank you!" said {A}. It really was magic!',
        '"And thank you is magic too," {B} said later.',
        "From then on, {A} said please and thank you, and [people|everyone] smiled.",
        '"It works!" {A} told {B}.',
    )
    s.close(0.1)


@plot
def big_mess(s):
    """A mess is made, hidden, discovered, and cleaned up with a trick."""
    A = s.hero()
    mess, cause, place = s.pick(("flour", "tried to bake alone", "kitchen"), ("paint", "wanted to paint the moon", "hall"), ("mud", "came in with dirty feet", "hall"), ("fluff", "had a pillow fight", "bedroom"),
                                ("milk", "ran with a full cup", "kitchen"), ("glitter", "made a birthday card", "living room"), ("sand", "emptied both shoes", "living room"),
                                ("foam", "washed a toy boat", "bathroom"), ("rice", "shook the rice jar", "kitchen"), ("straw", "built an indoor barn", "bedroom"), ("confetti", "cut up some paper", "playroom"))  # fmt: skip
    s.let(A=A, B=s.parent(A), C=s.sibling(A, "little"), mess=mess, cause=cause, place=place, minutes=s.pick("ten", "twenty", "five", "fifteen"))
    s.introduce(0.084)
    s.say(
        "{one_day}, {A.he} {cause}. Soon the {place} was full of {mess}[, even the chairs|, wall to wall|].",
        "{one_day}, {A.he} {cause}. There was {mess} all over the {place}[, and on {A.his} nose too|].",
    )
    s.say(
        "{A} [tried to hide it under the rug|closed the door|wanted to run away]. But {B} was already there.",
        "Then {A.he} heard steps. {B} stood at the door and looked, and looked.",
    )
    s.say('"[Oh my|Goodness]! What [is this|happened here], {A.call}?" {B.asks}.')
    s.paragraph()
    s.say(
        '"I am sorry," {A.says}. "I only wanted to have fun."',
        '{A} looked at {A.own} toes. "It was me," {A.he} said.',
    )
    s.say(
        '"[Everyone makes a mess sometimes|Messes happen]," {B.says}. '
        '"But [the one who makes it cleans it|we do not leave it like this]. Get the [broom|cloth|bucket]."',
    )
    s.maybe(
        0.3,
        '"Let\'s play that we are [pirates who scrub the deck|clean-up knights|a washing machine]," said {C}, '
        "{A.s} {C.kind}.",
        "{C}, {A.s} {C.kind}, wanted to help too. They put on music and [swept|wiped|scrubbed] in time.",
    )
    s.say(
        "In {minutes} minutes, the {place} was [clean|shining|as good as new].",
        "It was so much fun that they were done in {minutes} minutes.",
    )
    s.maybe(
        0.3,
        '"Next time, [ask me first|we do it together]," {B.says}.',
        '{A} [wiped {A.own} nose|was {proud}]. "Cleaning can be fun too," {A.he} said.',
        "{B} found one last bit behind {A.s} ear, and they all laughed.",
    )
    s.close(0.084)
