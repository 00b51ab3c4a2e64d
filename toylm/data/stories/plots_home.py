"""Plots at home: baking, bedtime, a new baby, a loose tooth, growing up a little."""

from toylm.data.stories import lexicon
from toylm.data.stories.registry import plot


@plot
def baking(s):
    """Something is baked, an ingredient is missing, a neighbor lends it and gets a piece."""
    A = s.hero()
    missing = s.pick("sugar", "flour", "butter", "milk", "honey", "salt", "eggs")
    s.let(A=A, B=s.friend(A) if A.species else s.grown_up(), C=s.pick(s.parent, s.grandparent)(A), missing=missing, were="were" if missing == "eggs" else "was",
          cake=s.pick("an apple pie", "a birthday cake", "a plum tart", "a loaf of bread", "a pan of brownies", "a pumpkin pie", "a cheese cake", "a batch of muffins", "a carrot cake"))
    s.introduce(0.07)
    s.say(
        "{one_day}, {A} and {C} wanted to bake {cake}.",
        '"Let\'s bake {cake}," {C.says} {one_day}. {A} put on {A.own} apron.',
    )
    s.maybe(
        0.3,
        "{A} broke the eggs into the big bowl." if missing != "eggs" else "{A} got the big bowl.",
        "They stirred and sang. {A} licked the spoon.",
        "The kitchen was warm and bright.",
    )
    s.say("But there {were} no {missing}!", 'Then {C} looked into the cupboard. "Oh no, we have no {missing}!"')
    s.paragraph()
    s.say(
        '{A} {A.ran} next door to {B.full}. "May we have some {missing}, please?" {A.he} asked.',
        '"I know who can help," {A.says}. {A.he} knocked on {B.s} door and asked for {missing}.',
    )
    s.say(
        '"[Of course|Sure], {A.call}! What are you making?" {B.asks}. "{cake.cap}!" {A.says}.',
        '{B} had plenty of {missing}. "Take what you need, {A.call}."',
    )
    s.say(
        "[Soon|Before long] it was all in the oven, and [the whole house smelled sweet|the windows were "
        "foggy|{A} sat in front of it and watched|everyone got hungry].",
    )
    s.say(
        "{A} cut the first piece and took it to {B}.",
        "When it was done, {A} invited {B} to eat with them.",
        '"The first piece is for {B}," {A.says}.',
    )
    s.say(
        '"It is [delicious|the best I ever had|still warm]!" {B.says}. "Thank you, {A.call}."',
        "They [ate it all up|shared it] at the big table.",
        '"Sharing is the best ingredient," {C.says}.',
    )
    s.close(0.052)


@plot
def fear_of_the_dark(s):
    """The dark is frightening until somebody shows what it is good for."""
    A = s.hero()
    cure, line = s.pick(("a small lamp shaped like a moon", "Now you have your own moon"), ("a jar with a firefly painted on it", "It will keep watch"), ("a flashlight", "You are the boss of the light"),
                        ("a song to hum", "The dark likes music too"), ("a teddy bear in a night cap", "Bears are never afraid of the dark"), ("a star made of paper that glowed", "Stars need the dark to shine"))  # fmt: skip
    s.let(A=A, B=s.pick(s.parent, s.grandparent)(A), cure=cure, line=line, shape=s.pick("a bear", "a witch", "a dragon", "a giant", "a wolf", "a big hand"),
          was=s.pick("only a coat on a hook", "just the curtain", "a chair with clothes on it", "the shadow of the {tree}", "a pile of pillows", "an old hat on a stand"))
    s.weather("any", "evening")
    s.introduce(0.084)
    s.say("But {A.he} was afraid of the dark.", "By day {A.he} was brave, but at night {A.he} was scared.")
    s.say(
        '{one_day}, {A} saw something by the door. It looked like {shape}! "{B.call}!" {A.he} cried.',
        'When the light went out, {A} saw {shape} in the corner. "Help!" {A.he} called.',
    )
    s.paragraph()
    s.say(
        '{B} came [at once|in] and sat on the bed. "Show me," {B.he} said. {B.he} turned on the lamp. '
        "It was {was}.",
        '"Let\'s look together," {B.says}. They went closer, {A.hand} in {A.hand}. It was {was}.',
    )
    s.say(
        '{A} had to laugh. "But it looked so real," {A.he} said.',
        '"The dark plays tricks," {B.says}. "The room is the same as by day."',
    )
    s.say('Then {B} gave {A} {cure}. "{line}," {B.he} said.')
    s.maybe(
        0.3,
        "They listened. A {bird} called, far away. The night was not empty at all.",
        '"Without the dark we would not see the stars," {B.says}.',
    )
    s.say(
        "That night, {A} [looked into the dark|closed {A.own} eyes] and was not afraid.",
        'The next time the lamp went out, {A} only said, "Good night, {shape}."',
        "Soon {A} slept deeply until the morning.",
    )
    s.close(0.035)


@plot
def new_baby(s):
    """A new baby gets all the attention, until the older child does what nobody else can."""
    A = s.hero()
    B = s.sibling(A, "little")
    s.let(A=A, B=B, C=s.parent(A), trick=s.pick("made a funny face", "sang a silly song", "wiggled {A.own} ears", "hid behind the blanket and said boo", "hummed like a bee", "danced with a spoon", "blew bubbles"))
    s.introduce(0.084)
    s.say(
        "[In spring|In the fall|One day], a new baby came. It was {A.s} {B.kind}, and the name was {B}.",
        "Now {A.he} had a {B.kind} named {B}.",
    )
    s.say(
        '{B} slept and cried and slept. "[Hush|Not so loud|Not now], {A.call}," {C.says} all day.',
        "Everyone looked at the baby. Nobody [looked at|had time for] {A}.",
    )
    s.maybe(
        0.3,
        '"I [do not like this baby|wish it was just us]," {A} thought, and {A.he} felt {sad}.',
        "{A} wanted to {hobby}, but nobody came along.",
    )
    s.paragraph()
    s.say(
        "{one_day}, {B} cried and cried. {C} tried [a bottle|a song|a clean diaper|a walk around the room]. "
        "Nothing helped.",
        "Then, {one_day}, {B} would not stop crying. {C} was {tired}.",
    )
    s.say(
        "{A} looked into the crib and {trick}. {B} [stopped|stared] and [smiled|laughed] for the very first time!",
    )
    s.say(
        '"{B} [likes you best|smiled at you], {A.call}!" {C.says}.',
        '"How did you do that?" {C.asks}. "That is our secret," {A.says}.',
    )
    s.say(
        "{C} took {A} on one knee and {B} on the other. \"There is room for two,\" {C.he} said." if s.chance.yes(0.6) else "A tiny {A.hand} held on to {A.s} big one.",
    )
    s.maybe(
        0.3,
        "After that, {A} was {proud} to be big.",
        "{A} found that love does not get less when you share it.",
        '"I will teach you everything," {A} whispered.',
        "Being big was not so bad.",
    )
    s.close(0.052)


@plot
def cannot_sleep(s):
    """Someone cannot sleep, tries several remedies, and sleeps at last without trying."""
    A = s.hero()
    tries = s.chance.pick_several(("counted {n} sheep", "drank a cup of warm milk", "turned the pillow around", "lay upside down", "hummed a song", "read a book about trains", "closed one eye and then the other",
                                   "thought of boring things", "asked for a glass of water", "put on warm socks", "opened the window a bit"), 3)  # fmt: skip
    s.let(A=A, B=s.pick(s.parent, s.grandparent)(A), n=s.chance.between(10, 20), one=tries[0], two=tries[1], three=tries[2],
          tale=s.pick("a boat that sailed on moonlight", "a cloud that was too heavy", "a tiny king", "a bear who slept all winter", "a train full of dreams", "a snail who went to the moon", "a sleepy dragon"))
    s.weather("any", "evening")
    s.introduce(0.1)
    s.say(
        "{one_day}, {A.he} could not sleep.",
        "It was late, and {A} was still awake.",
        "{one_day}, everyone was asleep. Only {A} lay awake.",
    )
    s.say(
        "{A.he} {one}. {A.he} {two}. [It did not help|Still no sleep].",
        "First {A} {one}. Then {A.he} {two}. But {A.his} eyes stayed open.",
    )
    s.maybe(
        0.3,
        "{A} even {three}, but it was no use.",
        "The clock struck nine. Then it struck ten.",
        "Outside, a dog barked. A {bird} called.",
    )
    s.paragraph()
    s.say(
        '{A} went to {B}. "I cannot sleep," {A.he} said. "My head is too [full|loud|busy]."',
        '"{B.call}?" {A.asks} into the dark. "Are you awake?"',
    )
    s.say(
        '"Then let\'s rest without sleeping," {B.says}. {B.he} [sat down on the bed|rubbed {A.s} back] and '
        "told a story about {tale}.",
        '"Come here," {B.says}. "Did I ever tell you about {tale}?"',
    )
    s.say(
        "The story was long and slow. {A} wanted to know the end, but {A.his} eyes got heavy.",
        "{B.s} voice was soft and low, like [rain|the sea|a big cat].",
    )
    s.say(
        '"And then?" {A} mumbled. But {A.he} never heard the end, for {A.he} was asleep.',
        "Before {B} got to the end, {A} was fast asleep.",
        "In the middle of it, there was a little snore. {B} smiled and tiptoed out.",
    )
    s.maybe(
        0.3,
        '"Tell me the end," {A} said in the morning.',
        "But who fell asleep first? I think it was {B}!",
        "The moon looked in and was glad.",
    )


@plot
def doctor_visit(s):
    """A visit is feared; it turns out better than the fear."""
    A = s.child()
    job, act, prize = s.pick(("doctor", "listened to {A.s} heart and looked into both ears", "a sticker with a lion"), ("dentist", "counted {A.s} teeth with a little mirror", "a new green toothbrush"),
                             ("barber", "cut {A.s} hair, snip, snip, snip", "a comb"), ("doctor", "looked into {A.s} throat and said hum", "a paper crown"),
                             ("nurse", "gave {A} a shot that was over before the count of three", "a blue bandage"), ("eye doctor", "let {A} read the letters on the wall", "round red glasses"))  # fmt: skip
    s.let(A=A, B=s.grown_up(job), C=s.parent(A), act=act, prize=prize, toy=s.toy())
    s.introduce(0.084)
    s.say(
        "{one_day}, {A.he} had to go to the {B.kind}. {A} was {scared}.",
        '"Today we go to the {B.kind}," {C.says} {one_day}. {A} hid under the table.',
    )
    s.say(
        "\"Will it hurt?\" {A.he} asked. \"[Maybe a little, but not for long|Not at all|I will hold your hand],\" {C.says}." if A.pronoun != s.names["C"].pronoun else "\"Will it hurt?\" asked {A}. \"[Maybe a little, but not for long|Not at all|I will hold your hand],\" {C.says}.",
    )
    s.maybe(
        0.3,
        "{A} took {A.own} {toy} along and held it tightly.",
        "In the waiting room, {A} squeezed {A.own} {toy.full}.",
    )
    s.paragraph()
    s.say(
        "{B}, the {B.kind}, had [a friendly voice|warm hands|funny socks|a kind face]. "
        '"Who is first, you or the {toy}?"',
        '"Hello, {A.call}! And who is this?" {B.asks}. "This is my {toy}," {A.says}.',
    )
    s.say("First it was the {toy}'s turn. Then {B} {act}.", "{B} [smiled|hummed a tune] and {act}.")
    s.maybe(
        0.3,
        '"[All done|That was it]," {B.says}. "Already?" {A.asks}.',
        '"You were so [brave|still], {A.call}! We are done," {B.says}.',
    )
    s.maybe(0.3, "{A} got {prize}.", "{B} gave {A} {prize}, and a tiny one for the {toy}.")
    s.say(
        '"It was not bad at all," {A} told {C}.',
        "The fear had been bigger than the thing itself.",
        '"When can we come back?" {A.asks}, and {C} laughed.',
        "At home, {A} played {B.kind} with all {A.own} toys.",
    )
    s.close(0.052)


@plot
def stage_fright(s):
    """A part in a play is feared and forgotten; a friend helps, and it goes well."""
    A = s.hero()
    part, line = s.pick(("a tree", "My leaves are green"), ("the moon", "I shine for you all"), ("the king", "Bring me my crown"), ("a bee", "Buzz, buzz, here I come"), ("the wolf", "I only want to be friends"),
                        ("the queen", "Open the gates"), ("a cloud", "I bring the rain"), ("a pirate", "Land ahead"), ("the wind", "I blow where I like"), ("a clown", "Who took my nose"))  # fmt: skip
    s.let(A=A, B=s.friend(A), part=part, line=line, C=s.parent(A))
    s.introduce(0.07)
    s.say(
        'There was going to be a play, and {A} was {part}. {A.he} had one line: "{line}!"',
        '{A.he} was to be {part} in the play. "{line}!" {A.he} said, over and over, [to the mirror|in the bath].',
    )
    s.say(
        "On the big day, {A} looked out from behind the curtain. So many [faces|eyes]! "
        "{A.his} [knees shook|tummy turned|mouth was dry].",
        'Then came the day. {A} was {scared}. "I cannot do it," {A.he} said.',
    )
    s.say(
        '"[Look only at me|Just look for {C}|Take three deep breaths]," {B.full} whispered. '
        '"You can do it, {A.call}."',
        '"I am scared too," {B.full} whispered. "Let\'s be scared together."',
    )
    s.paragraph()
    s.say(
        "The curtain opened. {A} stepped out and [forgot every word|could not speak]. It was very quiet.",
        "Then it was {A.s} turn. {A} opened {A.own} mouth, but nothing came out.",
    )
    s.say(
        "{A} looked at {B}. {B} [smiled and nodded|moved {B.own} lips without a sound|made a tiny sign]. "
        "And the words came back!",
        "In the dark, {C} waved. {A} took a deep breath.",
    )
    s.say('"{line}!" {A.shouts}, loud and clear.')
    s.maybe(0.3, "Everyone clapped and cheered.", "There was a storm of clapping. {A} bowed three times.")
    s.maybe(
        0.3,
        '"You were the star of the show!" {C.says}.',
        '"I want to do it again tomorrow," {A.says}.',
        '"Thank you, {B.call}," {A} said. "I could not have done it alone."',
        "To be brave is to be afraid and do it anyway.",
    )
    s.close_together(0.052)


@plot
def building_a_fort(s):
    """Something is built, falls down, and is built better with what was learned."""
    A = s.hero()
    what, first, flaw, better = s.pick(
        ("a fort", "pillows and two chairs", "somebody sneezed", "a rope, clips and the big blanket"), ("a tower", "tall blocks on small ones", "a {small_animal} ran by", "big blocks at the bottom and small ones on top"),
        ("a bridge", "thin sticks", "the first step was taken", "thick branches and a strong rope"), ("a raft", "loose boards", "it touched the water", "four barrels and a lot of knots"),
        ("a hut", "dry leaves", "the wind blew", "mud, sticks and a roof of bark"), ("a sand castle", "dry sand", "a little wave came", "wet sand and a deep ditch"),
        ("a bird house", "cardboard", "it rained", "wood and real nails"), ("a go-cart", "a box and three wheels", "it rolled down the hill", "four wheels and a good brake"))  # fmt: skip
    s.let(A=A, B=s.friend(A), what=what, first=first, flaw=flaw, better=better, C=s.grandparent(A))
    s.say(
        "{one_day}, {A.full} and {B.full} decided to build {what}.",
        '"Let\'s build {what}!" {A.full} said to {B.full} {one_day}.',
    )
    s.say('They used {first}. "[It looks great|Done]!" {A.says}.', "They were in a hurry, so they took {first}.")
    s.say(
        "Then {flaw}, and [crash|bump|oh no], everything fell apart!",
        "But when {flaw}, it all [came down|fell down].",
    )
    s.paragraph()
    s.maybe(
        0.3,
        '{B} wanted to give up. "We are bad at this," {B.he} said.',
        "{A} kicked at what was left. {B} was {sad}.",
        "They stood there and looked at the mess.",
    )
    s.say(
        '"Why did it fall?" {A.asks}. They [thought about it|looked closely|asked {C}].',
        '"Every builder starts again," {C.says}. "What did you learn?"',
    )
    s.say(
        "This time they took {better}. It took [all day|twice as long|until supper], but it was strong.",
        '"We need {better}," {B.says}. So they began again, [slowly|with care|step by step].',
    )
    s.say("{A} jumped up and down. It held!", "They [pushed|shook] it. It did not move one bit.")
    s.say(
        "They hung up a {color} flag and ate {sweet.s} beside it.",
        '"Falling down was a good teacher," {B.says}.',
        '"This one is ours," {B.says}, and {A} nodded.',
        "The first try is only the first try.",
    )
    s.close_together(0.07)


@plot
def picky_eater(s):
    """A food is refused for its look, tried for a reason, and liked."""
    A = s.hero()
    s.let(A=A, B=s.pick(s.parent, s.grandparent)(A), food=s.pick("spinach", "pumpkin soup", "mushrooms", "green beans", "fish stew", "beets", "lentils", "cabbage", "broccoli", "tomato soup", "blue cheese", "porridge"))
    looks, name = s.pick(("a swamp", "swamp monster stew"), ("wet leaves", "jungle salad"), ("mud", "giant's supper"), ("old socks", "wizard's lunch"), ("a green hill", "dragon food"), ("slime", "space captain's dinner"))
    s.let(looks=looks, name=name, bites=s.chance.between(2, 4))
    s.introduce(0.07)
    s.say(
        '{one_day}, there was {food} for dinner. "[Yuck|Eek]! It looks like {looks}," {A.says}.',
        'But {A.he} would not eat {food}. "It looks like {looks}!" {A.he} said.',
    )
    s.say(
        '"Have you ever tried it?" {B.asks}. {A} shook {A.own} head.',
        "{A} pushed the plate away and [frowned|held {A.own} nose|looked under the table].",
    )
    s.maybe(0.3, '"I only eat {A.food}!" {A.he} said.', '{B} ate some. "Mmm," {B.he} said.')
    s.paragraph()
    s.say(
        '"What a pity," {B.says}. "This is {name}. It makes you [strong|brave|fast]."',
        '{B} smiled. "It is not {food}. It is {name}!"',
    )
    s.say(
        "{A} looked again. One bite, a very [small|tiny] one. {A.he} chewed. {A.his} eyes grew big.",
        "{A} [closed {A.own} eyes|took a deep breath] and took one tiny bite. Hmm. Then another.",
    )
    s.say(
        '"It is [not bad|good|really tasty]!" {A.he} said after {bites} bites.',
        "After {bites} bites, {A} asked for a bigger spoon.",
    )
    s.say(
        "The plate was empty before {B} could sit down.",
        '"May I have more {name}?" {A.asks}.',
        '"I knew it," {B.says} and laughed.',
    )
    s.say(
        "You do not know what you like until you try.",
        "The next day, {A} cooked it for {A.own} friends.",
        "After that, {A} always tried one bite first.",
        "\"Tomorrow I will try mushrooms,\" {A.says}." if s.names["food"] != "mushrooms" else "\"Tomorrow I will try peas,\" {A.says}.",
    )
    s.close(0.035)


@plot
def lost_tooth(s):
    """A loose tooth will not come out, and comes out when nobody thinks of it."""
    A, B = s.child(), s.child()
    s.let(A=A, B=B, C=s.parent(A), how=s.pick("bit into an apple", "sneezed", "laughed at a joke", "ate a piece of toast", "jumped off the swing", "said the word thistle", "blew a whistle"),
          gap=s.pick("whistle through the gap", "drink with a straw through the gap", "say funny words", "stick {A.own} tongue out with a closed mouth"), gift=s.pick("a shiny coin", "a little letter", "a tiny silver box", "a new toothbrush", "a gold star"))
    s.introduce(0.084)
    s.say(
        "{A.he} had a loose tooth. It wiggled [left and right|when {A.he} talked|all day long].",
        "One of {A.his} teeth was loose. {A} pushed it with {A.own} tongue all day.",
    )
    s.say(
        '"Mine came out last week," said {B}, and showed a gap. {A} wanted a gap too.',
        "All of {A.s} friends had lost a tooth. {A} was the last one.",
    )
    s.maybe(
        0.3,
        '{A} [pulled|pushed|twisted], but it [would not come|held on]. "Ow!"',
        '{B} had an idea with a string and a door. "No, thank you!" {A.says}.',
    )
    s.maybe(
        0.3,
        '"It will come out when it is ready," {C.says}.',
        '"Do not hurry it, {A.call}," {C.says}. "It knows the time."',
    )
    s.paragraph()
    s.say("{one_day}, {A} was not thinking about it at all. {A.he} {how}, and [plop|pop], out it came!")
    s.say(
        '"My tooth! My tooth!" {A.shouts}. {A.he} [held it up|ran to {C}|danced around].',
        "There it was in {A.his} hand, small and white.",
    )
    s.say(
        "That night, {A} put the tooth under the pillow. In the morning, there was {gift}.",
        "{A} put it under the pillow, and the next morning {A.he} found {gift} there.",
    )
    s.maybe(
        0.3,
        "Now {A} could {gap}.",
        '"Now we match," {B.says}, and they both smiled as wide as they could.',
        '"A new one is already on its way," {C.says}.',
        "Some things come when you stop pulling.",
    )
    s.close(0.052)


@plot
def lost_at_the_market(s):
    """A child is lost in a crowd, does the right thing, and is found."""
    A = s.child()
    s.let(A=A, B=s.grown_up("baker", "fish seller", "flower seller", "police officer", "cheese seller", "farmer"), C=s.pick(s.parent, s.grandparent)(A), sight=s.pick("a juggler", "a puppet show", "a cage of doves", "a heap of melons", "a dancing dog", "a man with balloons", "a toy stand"),
          place=s.pick("market", "fair", "harbor", "train station", "zoo", "big store"), mark=s.thing(lexicon.CLOTHES))
    s.say(
        '{A} and {C} went to the {place}. "Stay close to me, {A.call}," {C.says}.',
        "{one_day}, {A} went to the {place} with {C}.",
    )
    s.say(
        "There was so much to see! {A} stopped to look at {sight}.",
        "It was [full|loud|crowded]. {A} let go of {C.s} hand to look at {sight}.",
    )
    s.say(
        "When {A.he} turned around, {C} was gone. {A} saw only [legs|strangers|bags and backs].",
        "Then {A.he} looked up. Where was {C}?",
    )
    s.paragraph()
    s.say(
        '{A} wanted to cry. But {A.he} remembered: "If you are lost, [stay where you are|ask someone '
        'who works there]."',
        "{A.s} eyes filled with tears. [But {A.he} did not run away.|{A.he} stood very still.]",
    )
    s.say(
        '{A} went to {B}, the {B.kind}. "I am lost," {A.he} said. "My name is {A}."',
        '"Are you all right?" asked {B}, the {B.kind}. "I cannot find {C.call}," {A.says}.',
    )
    s.maybe(0.3, '"Who are you looking for?" {B.asks}. "My {C.kind}, with {mark.a}," {A.says}.')
    s.say("{B} [lifted {A} up high|rang a bell|called out loud]. And there came {C}, [running|out of breath]!")
    s.say(
        '"You did just the right thing," {C.says} and held {A} tightly.',
        '"Thank you, {B.call}!" {A.says}. {A.he} did not let go of {C.s} hand again.',
        "They bought [a {sweet}|{fruit.s}] and went home." + " \"Thank you, {B.call},\" said {A}.",
    )
    s.close(0.052)


@plot
def choosing_a_pet(s):
    """A pet is chosen: not the finest one, but the one that needs a home."""
    A = s.child()
    pet, fine, poor = s.pick(("dog", "a big one with shiny hair", "an old one with one ear"), ("cat", "a white one with blue eyes", "a thin one that hid in the corner"), ("rabbit", "a fluffy one with long ears", "a gray one with a bad foot"),
                             ("parrot", "a loud one with red wings", "a quiet one that had lost some feathers"), ("turtle", "a big one with a golden shell", "a small one with a crack in its shell"), ("pony", "a fast black one", "a little one with a crooked tail"))  # fmt: skip
    s.let(A=A, B=s.parent(A), pet=pet, fine=fine, poor=poor, name=s.pick("Lucky", "Muffin", "Captain", "Noodle", "Sprout", "Beans", "Waffles", "Domino", "Pickle", "Socks", "Jelly"))
    s.introduce(0.1)
    s.say(
        'For a long time, {A} had wished for a {pet}. {one_day}, {B} said, "Today is the day!"',
        '"You may choose a {pet}," {B.says} {one_day}. {A} jumped for joy.',
    )
    s.say(
        'There were many of them. There was {fine}. "[How about this one|Isn\'t it pretty]?" {B.asks}.',
        "{A} saw {fine}. Everyone wanted that one.",
    )
    s.say(
        "But {A} saw {poor}. It looked at {A.him} and did not look away.",
        'In the back was {poor}. [Nobody had ever picked it.|"It has been here the longest," someone said.]',
    )
    s.paragraph()
    s.say(
        "{A} sat down on the floor and waited. [Slowly|After a while], it came and [sniffed {A.his} hand|sat "
        "down beside {A.him}].",
    )
    s.say(
        '"This one," {A.says}. "Are you sure?" {B.asks}. "[It picked me|We are friends already|It needs me]," '
        "{A.says}.",
        '"I want this one," {A.says}, "because nobody else does."',
    )
    s.say("{A} named it {name}.", '"Your name is {name}," {A} whispered.')
    s.maybe(
        0.3,
        "Every day, {A} fed {name} and gave it fresh water.",
        "At first {name} was afraid of everything. But {A} was patient.",
    )
    s.say(
        "And {name} became the [happiest|most loyal|funniest] {pet} in the world.",
        "Now they went everywhere together.",
        "Love had made {name} beautiful.",
        "The one that nobody wanted was the best friend of all.",
    )
    s.close(0.035)


@plot
def grandparents_secret(s):
    """A skill or a song is handed down and practiced until it works."""
    A = s.hero()
    thing, use, sound = s.pick(("fiddle", "play", "like a cat with a cold"), ("flute", "play", "like the wind in a bottle"), ("accordion", "play", "like a sad goose"), ("loom", "weave on", "bumpy and thin"),
                               ("pottery wheel", "use", "like a squashed hat"), ("harp", "play", "like rain on a tin roof"), ("camera", "use", "blurry and gray"), ("piano", "play", "like a mouse on the keys"))  # fmt: skip
    art = "sounded" if use == "play" else "looked"
    s.let(A=A, B=s.grandparent(A), thing=thing, use=use, sound=sound, art=art, weeks=s.pick("weeks", "a whole winter", "a month", "many rainy days"))
    s.introduce(0.07)
    s.say(
        "{one_day}, in {B.s} attic, {A.he} found an old {thing}. It was covered with dust.",
        '{B} had an old {thing}. "When I was small, I could {use} it all day," {B.he} said.',
    )
    s.say(
        '"Will you show me how to {use} it?" {A.asks}.',
        '"Can I try?" {A.asks}. "[Gladly|Of course], {A.call}," {B.says}.',
    )
    s.say(
        "The first try {art} {sound}. {A} [made a face|put it down|sighed].",
        "{A} tried. It {art} {sound}. They both laughed.",
    )
    s.paragraph()
    s.say(
        '"[Mine was worse|That is how I began]," {B.says}. "A little every day is the whole secret."',
        '"The secret," {B.says}, "is a little bit every day."',
    )
    s.say(
        "So {A} practiced for {weeks}. [Some days went well. Some did not.|Sometimes {A.he} wanted to stop.]",
    )
    s.say(
        "Then came {B.s} birthday. {A} had a surprise for {B.him}. It {art} beautiful." if A.pronoun != s.names["B"].pronoun else "Then came {B.s} birthday. {A} had a surprise. It {art} beautiful.",
        "And one evening, it {art} just right. {B} had tears in {B.own} eyes.",
    )
    s.maybe(
        0.3,
        '"Now it is yours," {B.says}. "One day, you will teach someone too."',
        '"You have it in your heart," {B.says}.',
    )
    s.maybe(
        0.3,
        "{A} kept the old {thing} for ever.",
        "{A} was {proud}.",
        "Old things have new songs in them." if use == "play" else "Old things have new life in them.",
        "A little every day makes a lot.",
    )
    s.close(0.052)
