"""Plots at home: baking, bedtime, a new baby, a mess, a strange noise."""

from toylm.data.stories.registry import plot


@plot
def baking(s):
    """Something is baked, an ingredient is missing, a neighbor lends it and gets a piece."""
    A = s.hero()
    missing = s.pick("sugar", "flour", "butter", "milk", "honey", "salt")
    s.let(
        A=A,
        B=s.friend(A) if A.species else s.grown_up(),
        C=s.pick(s.parent, s.grandparent)(A),
        missing=missing,
        cake=(
            "[an apple pie|a birthday cake|a plum tart|a loaf of bread|a pan of brownies|a pumpkin pie|"
            "a cheese cake|a batch of muffins|a carrot cake]"
        ),
    )
    s.introduce(0.05)
    s.indoors(0.15)
    s.say(
        "{one_day}, {A} and {C} wanted to bake {cake}.",
        '"Let\'s bake {cake}," {C.says} {one_day}. {A} put on {A.own} apron.',
    )
    s.maybe(
        0.3,
        "{A} broke the eggs into the big bowl.",
        "They stirred and sang. {A} licked the spoon.",
        "The kitchen was warm and bright.",
    )
    s.say("But there was no {missing}!", 'Then {C} looked into the cupboard. "Oh no, we have no {missing}!"')
    s.paragraph()
    s.say(
        '{A} {A.ran} next door to {B.full}. "May we have some {missing}, please?" {A.he} asked.',
        '"I know who can help," {A.says}. {A.he} knocked at the door of {B.full} and asked for {missing}.',
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
    s.close(0.05)


@plot
def fear_of_the_dark(s):
    """The dark is frightening until somebody shows what it is good for."""
    A = s.hero()
    cure, line = s.pick(
        ("a small lamp shaped like a moon", "Now you have your own moon"),
        ("a jar with a firefly painted on it", "It will keep watch"),
        ("a flashlight", "You are the boss of the light"),
        ("a song to hum", "The dark likes music too"),
        ("a teddy bear in a night cap", "Bears are never afraid of the dark"),
        ("a star made of paper that glowed", "Stars need the dark to shine"),
    )
    s.let(
        A=A,
        B=s.pick(s.parent, s.grandparent)(A),
        cure=cure,
        line=line,
        shape="[bear|witch|dragon|giant|wolf|big hand]",
        was=(
            "[only a coat on a hook|just the curtain|a chair with clothes on it|the shadow of the {tree}|"
            "a pile of pillows|an old hat on a stand]"
        ),
    )
    s.weather("any", "evening")
    s.introduce(0.1)
    s.say("But {A.he} was afraid of the dark.", "By day {A.he} was brave, but at night {A.he} was scared.")
    s.say(
        '{one_day}, {A} saw something by the door. It looked like a {shape}! "{B.call}!" {A.he} cried.',
        'When the light went out, {A} saw a {shape} in the corner. "Help!" {A.he} called.',
    )
    s.paragraph()
    s.say(
        '{B} came [at once|in] and sat on the bed. "Show me," {B.he} said. {B.he} turned on the lamp. It was {was}.',
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
    s.close(0.05)


@plot
def new_baby(s):
    """A new baby gets all the attention, until the older child does what nobody else can."""
    A = s.hero()
    B = s.sibling(A, "little")
    s.let(
        A=A,
        B=B,
        C=s.parent(A),
        trick=(
            "[made a funny face|sang a silly song|wiggled {A.own} ears|hid behind the blanket and said boo|"
            "hummed like a bee|danced with a spoon|blew bubbles]"
        ),
    )
    s.introduce(0.1)
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
        "{one_day}, {B} cried and cried. {C} tried [a bottle|a song|a clean diaper|a walk around the room]. Nothing helped.",
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
        '{C} took {A} on one knee and {B} on the other. "There is room for two."',
        "A tiny {A.hand} held on to {A.s} big one.",
    )
    s.maybe(
        0.3,
        "After that, {A} was {proud} to be big.",
        "{A} found that love does not get less when you share it.",
        '"I will teach you everything," {A} whispered.',
        "Being big was not so bad.",
    )
    s.close(0.05)


@plot
def cannot_sleep(s):
    """Someone cannot sleep, tries several remedies, and sleeps at last without trying."""
    A = s.hero()
    tries = s.chance.pick_several(
        (
            "counted {n} sheep",
            "drank a cup of warm milk",
            "turned the pillow around",
            "lay upside down",
            "hummed a song",
            "read a book about trains",
            "closed one eye and then the other",
            "thought of boring things",
            "asked for a glass of water",
            "put on warm socks",
            "opened the window a bit",
        ),
        3,
    )
    s.let(
        A=A,
        B=s.pick(s.parent, s.grandparent)(A),
        n=s.chance.between(10, 20),
        one=tries[0],
        two=tries[1],
        three=tries[2],
        tale=(
            "[a boat that sailed on moonlight|a cloud that was too heavy|a tiny king|a bear who slept all winter|"
            "a train full of dreams|a snail who went to the moon|a sleepy dragon]"
        ),
    )
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
def mystery_noise(s):
    """A strange noise is feared, looked into, and explained."""
    A = s.hero()
    noise, cause, fix = s.pick(
        ("tap, tap, tap", "a branch knocking on the window", "tied the branch back with a string"),
        ("scratch, scratch", "a kitten that wanted to come in", "opened the door and gave it some milk"),
        ("drip, drop", "a tap that was not closed", "turned the tap until it was quiet"),
        ("bump, bump, bump", "a shutter moving in the wind", "closed the shutter"),
        ("squeak, squeak", "a tiny mouse with a big piece of bread", "let it go home to its family"),
        ("whoo, whoo", "an owl on the roof", "waved, and the owl flew off"),
        ("crunch, crunch", "a hedgehog eating a crust", "brought it an apple"),
        ("hum, hum", "a bee lost behind the curtain", "opened the window for it"),
        ("rattle, rattle", "a marble rolling in a drawer", "put the marble in a box"),
        ("ribbit", "a little frog in a shoe", "carried it back to the pond"),
    )
    s.let(A=A, B=s.sibling(A, "big"), noise=noise, cause=cause, fix=fix)
    s.weather("any", "evening")
    s.introduce(0.1)
    s.say(
        "{one_day}, [as {A.he} lay in bed|when the lamp was out|just before sleep], {A} heard a strange noise: {noise}.",
    )
    s.say(
        '"What is that?" {A.he} whispered. {A.his} heart beat fast.',
        "{A} pulled the blanket up to {A.own} nose. [There it was again|It came again]: {noise}!",
    )
    s.maybe(
        0.3,
        "Was it a [monster|ghost|robber|giant]? {A} was {scared}.",
        "It [stopped|was quiet]. Then it came again, {noise}.",
    )
    s.paragraph()
    s.say(
        '{A} woke {B}, {A.own} {B.kind}. "[Did you hear that|Listen|Something is here]!"',
        '{B}, {A.s} {B.kind}, woke up too. "Let\'s go and look," {B.says}.',
    )
    s.say(
        "They took a [lamp|candle|flashlight] and [tiptoed|crept|walked slowly] [through the dark|down the "
        "hall|toward the noise], {A.hand} in {A.hand}.",
    )
    s.say(
        "{B} counted to three. [They looked|They peeked around the corner]. It was only {cause}!",
        "And what was it? It was {cause}!",
    )
    s.say("{A} [laughed|giggled] and {fix}.", "They looked at each other and laughed. Then {A} {fix}.")
    s.maybe(
        0.3,
        '"[Most scary things are small when you look at them|Next time, just look|Noises are bigger in the dark]," {B.says}.',
        "Now {A} knew: when you look, there is often nothing to fear.",
        "After that, the night was quiet, and {A} was not afraid.",
    )
    s.close(0.05)


@plot
def big_mess(s):
    """A mess is made, hidden, discovered, and cleaned up with a trick."""
    A = s.hero()
    mess, cause, place = s.pick(
        ("flour", "tried to bake alone", "kitchen"),
        ("paint", "wanted to paint the moon", "hall"),
        ("mud", "came in with dirty feet", "hall"),
        ("fluff", "had a pillow fight", "bedroom"),
        ("milk", "ran with a full cup", "kitchen"),
        ("glitter", "made a birthday card", "living room"),
        ("sand", "emptied both shoes", "living room"),
        ("foam", "washed a toy boat", "bathroom"),
        ("rice", "shook the rice jar", "kitchen"),
        ("straw", "built an indoor barn", "bedroom"),
        ("confetti", "cut up some paper", "playroom"),
    )
    s.let(
        A=A, B=s.parent(A), C=s.sibling(A, "little"), mess=mess, cause=cause, place=place, minutes="[ten|twenty|five|fifteen]"
    )
    s.introduce(0.1)
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
        '"Let\'s play that we are [pirates who scrub the deck|clean-up knights|a washing machine]," said {C}, {A.s} {C.kind}.',
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
    s.close(0.1)


@plot
def picky_eater(s):
    """A food is refused for its look, tried for a reason, and liked."""
    A = s.hero()
    s.let(
        A=A,
        B=s.pick(s.parent, s.grandparent)(A),
        food=(
            "[spinach|pumpkin soup|mushrooms|green beans|fish stew|beets|lentils|cabbage|broccoli|tomato soup|"
            "blue cheese|porridge]"
        ),
    )
    looks, name = s.pick(
        ("a swamp", "swamp monster stew"),
        ("wet leaves", "jungle salad"),
        ("mud", "giant's supper"),
        ("old socks", "wizard's lunch"),
        ("a green hill", "dragon food"),
        ("slime", "space captain's dinner"),
    )
    s.let(looks=looks, name=name, bites=s.chance.between(2, 4))
    s.introduce(0.05)
    s.indoors(0.15)
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
        '"Tomorrow I will try [peas|mustard|pickles|onions]," {A.says}.',
    )
    s.close(0.05)
