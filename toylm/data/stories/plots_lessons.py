"""Plots in which someone learns something: to wait, to share, to ask nicely, not to hurry."""

from toylm.data.stories import lexicon
from toylm.data.stories.registry import plot


@plot
def race(s):
    """A race is won by not stopping, or lost by stopping to help."""
    A = s.hero(0.75)
    B, C = s.friend(A), s.friend(A)
    s.let(
        A=A,
        B=B,
        C=C,
        goal="[the old oak|the bridge|the mill|the top of the hill|the big rock|the red barn|the lake]",
        prize="[a golden ribbon|a basket of {fruit.s}|a big cake|a silver cup|a crown of leaves|a new {clothes}]",
    )
    s.say(
        "{one_day}, there was a race to {goal}. The prize was {prize}. {A.full}, {B.full} and {C.full} stood at the start.",
        '{A.full}, {B.full} and {C.full} wanted to know who was the fastest. "The first one to {goal} wins {prize}!"',
    )
    s.maybe(
        0.3,
        "[One, two, three, go|Ready, set, go]! They all ran.",
        '"Go!" called [an old {bird}|the starter], and off they went.',
    )
    s.outdoors(0.05)
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
            "When {B} [woke up|looked up], {A} was almost there! {B} ran as fast as {B.he} could, but it was too late.",
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
    s.close_together(0.05)


@plot
def greedy(s):
    """Too much of a good thing hurts; next time there is sharing."""
    A = s.hero()
    s.let(A=A, B=s.parent(A), C=s.friend(A), n=s.chance.between(6, 12), treat=s.pick(*lexicon.SWEETS), one=1)
    s.introduce(0.05)
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
    s.close(0.05)


@plot
def patience(s):
    """Someone cannot wait, spoils the first try by hurrying, and waits the second time."""
    A = s.hero()
    goal, early, spoiled, waiting, done = s.pick(
        (
            "a loaf of bread",
            "opened the oven too soon",
            "the bread was flat and wet",
            "sat on a stool and sang ten songs",
            "a warm, brown loaf stood on the table",
        ),
        (
            "a clay pot",
            "took the pot before it was dry",
            "the pot fell apart",
            "played in the yard for two days",
            "the pot was as hard as stone",
        ),
        (
            "a painting",
            "touched the paint while it was wet",
            "it had a big smear on it",
            "washed the brushes and swept the floor",
            "the colors shone in the light",
        ),
        (
            "a bowl of jelly",
            "put in a spoon after one minute",
            "it ran off the spoon like water",
            "went out to {hobby}",
            "the jelly shook when the table moved",
        ),
        ("a cheese", "cut it on the first day", "it was soft and sour", "counted the days", "the cheese was firm and golden"),
        (
            "a paper lantern",
            "lifted it before the glue was dry",
            "it came open on one side",
            "told {B} three long stories",
            "the lantern glowed like a little moon",
        ),
        (
            "honey candy",
            "bit into it while it was hot",
            "it burned the tip of the tongue",
            "read a whole book",
            "the candy was golden and smooth",
        ),
    )
    s.let(A=A, goal=goal, early=early, spoiled=spoiled, waiting=waiting, done=done, B=s.pick(s.grandparent, s.parent)(A))
    s.introduce(0.05)
    s.indoors(0.15)
    s.say(
        "But {A.he} [could never wait|did not like to wait|wanted everything now].",
        "{A.he} wanted everything at once.",
    )
    s.say(
        '{one_day}, {A.he} and {B} made {goal}. "[Now we must wait|It needs time],' + '" {B.says}.',
        '{B} promised to show {A} how to make {goal}. "The secret is to wait," {B.he} said.',
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
def magic_word(s):
    """Someone who never asks nicely learns to say please."""
    A = s.hero()
    wants = s.two(
        (
            "the ball",
            "a cookie",
            "a turn",
            "some juice",
            "the book",
            "a ride",
            "the blanket",
            "some jam",
            "a story",
            "the crayons",
            "help",
        )
    )
    s.let(A=A, want=wants[0], want2=wants[1], B=s.grandparent(A), C=s.friend(A))
    s.introduce(0.05)
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
def careless_wish(s):
    """A wish is granted to the letter, is a nuisance, and is taken back."""
    A = s.hero(0.25)
    wish, first, then = s.pick(
        (
            "that it was always my birthday",
            "There was cake for breakfast, lunch and dinner",
            "After a week, nobody had any gifts left, and {A} could not look at cake",
        ),
        ("that I never had to sleep", "{A} played all night long", "But there was nobody to play with, and {A} was so tired"),
        (
            "that everything was made of candy",
            "The chair was candy and the bed was candy",
            "But the blanket was sticky, and there was no soup",
        ),
        (
            "that I was as big as a house",
            "{A} could look into every bird nest",
            "But {A} could not fit through the door, and nobody could hug {A}",
        ),
        ("that it never rained again", "The sun shone every day", "But the flowers hung their heads, and the well was dry"),
        (
            "that I could have all the toys",
            "Toys fell from the sky until the room was full",
            "But nobody else had a toy, and nobody came to play",
        ),
        (
            "that nobody could see me",
            "{A} walked through the house, and nobody said a word",
            "But nobody said good morning either, and {A} was lonely",
        ),
    )
    granter = s.pick(
        "an old frog", "a golden fish", "a tiny fairy", "a talking well", "a lamp with a voice", "a star that fell in the grass"
    )
    s.let(
        A=A,
        wish=wish,
        first=first,
        then=then,
        granter=granter,
        the="the " + granter.split(" ", 1)[1].split(" with")[0].split(" that")[0],
    )
    s.introduce(0.05)
    s.say(
        '{one_day}, {A.he} helped {granter}. "You may have one wish," it said.',
        '{one_day}, {A.he} met {granter} {outdoors}. "Make a wish," it said, "but think first."',
    )
    s.say('{A} did not think. "I wish {wish}!" {A.he} said.', '"I wish {wish}!" {A.shouts} at once.')
    s.say("[And so it was|Puff|And it came true]! {first}. [It was wonderful|What fun|{A} laughed and laughed].")
    s.paragraph()
    s.say("{then}.")
    s.maybe(
        0.3,
        '{A} was {sad}. "This is not what I wanted," {A.he} said.',
        '"I do not like it any more," {A.says}.',
    )
    s.say(
        '{A} went back and called. "Please take it back!" {A.he} said. '
        '"[Are you sure|Have you learned something]?" asked {the}. {A} nodded.',
        '{A} looked for {the} everywhere. At last {A.he} found it. "I was wrong," {A.he} said. "Please make it as it was."',
    )
    s.say(
        "In the blink of an eye, everything was as before. {A} was {glad}.",
        '"As you wish," said {the}, and everything was just as it had been.',
    )
    s.maybe(
        0.3,
        '"[Plain days are good days|I have all I need]," {A.says}.',
        "Be careful what you wish for.",
        "After that, {A} thought first and wished later.",
        "Too much of a good thing is not good.",
    )
