"""Plots about being true: a lie, a promise, a boast, a thing that belongs to someone else."""

from toylm.data.stories import lexicon
from toylm.data.stories.registry import plot


@plot
def truth_after_lie(s):
    """Something is broken, blamed on another, and the truth comes out."""
    A = s.hero()
    s.let(
        A=A,
        B=s.pick(s.parent, s.grandparent)(A),
        vase=s.thing(("vase", "cup", "plate", "lamp", "flower pot", "jar", "teapot", "bowl", "mirror", "clock")),
        scapegoat="[the cat|the wind|the dog|a {bird}|the neighbor]",
        glue="[glue the pieces|sweep up the pieces|find a new one|paint a new one]",
    )
    s.introduce(0.05)
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
    )
    fun = s.pick("a puppet show", "the circus", "a boat race", "a party with cake", "a kite contest", "a picnic", "a concert")
    s.let(
        A=A,
        B=s.friend(A) if s.chance.yes(0.5) else s.grandparent(A),
        task=task,
        when=when,
        result=result,
        fun=fun,
        C=s.friend(A),
    )
    s.introduce(0.1)
    s.say("{A} made a promise: {A.he} would {task} {when}.", "{A.he} had promised to {task} {when}.")
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
        "So {A.he} went to {task}. [It was hard work|It took a long time|It was not even boring], and in the end, {result}.",
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
    s.close(0.1)


@plot
def bragging(s):
    """A braggart is asked to show it, cannot, and is liked better for the truth."""
    A = s.hero()
    boast, truth = s.pick(
        ("swim across the lake", "swim with my feet on the ground"),
        ("jump over the barn", "jump over a log"),
        ("eat a hundred {sweet.s}", "eat three"),
        ("lift a cow", "lift a cat"),
        ("climb the tallest tree", "climb onto a chair"),
        ("run faster than the wind", "run to the gate"),
        ("talk to lions", "talk to the cat"),
        ("sing louder than a train", "hum a little"),
        ("stay awake all night", "stay awake until nine"),
        ("cook for a king", "boil an egg"),
    )
    s.let(A=A, B=s.friend(A), boast=boast, truth=truth)
    s.introduce(0.05)
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
        '{B} [laughed, but in a kind way|smiled|sat down beside {A}]. "We like you [anyway|just as you are], {A.call}."',
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
def borrowed(s):
    """Something is borrowed without asking, lost or dirtied, and made good."""
    A = s.hero()
    B = s.sibling(A, s.pick("big", "little")) if s.chance.yes(0.5) else s.friend(A)
    thing, harm, repair = s.pick(
        ("scarf", "caught on a nail and tore", "sewed it up with neat little stitches"),
        ("bike", "got a flat tire", "pumped and patched the tire"),
        ("book", "fell into a puddle", "dried every page in the sun"),
        ("hat", "blew into the mud", "washed it three times"),
        ("flute", "got full of sand", "cleaned it with a feather"),
        ("paint box", "lost its blue", "saved up for a new tube of blue"),
        ("umbrella", "turned inside out", "bent every rib straight again"),
        ("basket", "lost its handle", "wove a new handle"),
        ("boots", "got full of mud", "scrubbed them until they shone"),
        ("sled", "hit a tree and cracked", "nailed a new board on it"),
    )
    s.let(A=A, B=B, thing=s.thing((thing,), many=thing == "boots"), harm=harm, repair=repair)
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
    lost, mark = s.pick(
        ("purse", "five coins in it"),
        ("ring", "a tiny star on it"),
        ("watch", "a name on the back"),
        ("silver key", "a red ribbon on it"),
        ("necklace", "a blue stone"),
        ("wallet", "a photo in it"),
        ("brass button", "an anchor on it"),
        ("pocket knife", "a wooden handle"),
        ("music box", "a dancer inside"),
        ("bracelet", "six little bells"),
    )
    s.let(
        A=A,
        B=s.grown_up("shopkeeper", "farmer", "tailor", "teacher", "sailor")
        if not A.species
        else s.elder("badger", "owl", "goose", "tortoise", "crow"),
        lost=lost,
        mark=mark,
        wish=s.thing(lexicon.TOYS),
        reward="[a {fruit}|a warm {sweet}|a story|a ride in the cart|a big hug|a bag of {fruit.s}]",
    )
    s.introduce(0.05)
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
        '{A} held it out. "Here it is." {B.s} face [lit up|became bright].',
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
        "To be honest is worth more than gold.",
        "Being honest made {A} {glad}.",
    )
    s.close(0.05)
