"""Plots about things: lost, broken, traded, hidden, found."""

from toylm.data.stories import lexicon
from toylm.data.stories.registry import plot


@plot
def lost_toy(s):
    """A toy is looked for in two wrong places and found in a third."""
    A = s.hero()
    here, there, found = s.chance.pick_several(lexicon.HIDING_PLACES, 3)
    s.let(A=A, B=s.parent(A), toy=s.toy(), here=here, there=there, found=found)
    s.introduce(0.1)
    s.say(
        "{A.he} had {toy.a} and [took {toy.it} everywhere|played with {toy.it} every day|never slept without {toy.it}].",
    )
    s.say(
        "{one_day}, the {toy} was [gone|not in its place|nowhere to be seen].",
        "But {one_day}, {A.he} could not find the {toy}.",
    )
    s.paragraph()
    s.say(
        "{A} looked {here}. [No {toy}|It was not there|Nothing]. {A.he} looked {there}. "
        "[No {toy} there|Only dust|Nothing there] either.",
        "First {A} searched {here}, then {there}, but {toy.the} was not there.",
    )
    s.maybe(0.3, "{A.he} felt {sad}.", "{A} began to cry.", '"Where can it be?" {A.asks}.')
    s.maybe(
        0.3,
        '"Where did you play with it last?" {B.asks}. {A} thought hard.',
        '"Think, {A.call}. Where were you [yesterday|this morning]?" {B.asks}.',
        '"Close your eyes and remember," {B.says}. {A} closed {A.own} eyes.',
    )
    s.say(
        "[Then|At last|All at once] {A.he} [remembered|knew] and {A.ran} to look {found}. There was {toy.the}!",
        '"I know!" {A.shouts}. And there it was, {found}: the {toy.full}.',
        "They looked {found} together, and there lay the {toy.full}.",
    )
    s.say(
        "{A} [hugged|kissed|held] the {toy} [and laughed|tightly|for a long time].",
        '"I will take better care of you," {A} told the {toy}.',
        "From then on, {A.he} [always put it away|kept it on a shelf] at night.",
    )
    s.close(0.1)


@plot
def broken_toy(s):
    """A toy breaks; someone shows how to mend it."""
    A = s.hero()
    s.let(A=A, B=s.pick(s.parent, s.grandparent)(A))
    toy, part = s.pick(
        ("wagon", "wheel"),
        ("toy car", "wheel"),
        ("teddy bear", "arm"),
        ("toy boat", "sail"),
        ("kite", "tail"),
        ("doll", "leg"),
        ("toy robot", "head"),
        ("rocking horse", "ear"),
        ("toy plane", "wing"),
        ("puppet", "string"),
        ("toy train", "chimney"),
        ("drum", "strap"),
    )
    s.let(toy=s.thing((toy,)), part=part, glue="[glue|a needle and thread|tape|a bit of wire|string|a strong knot]")
    s.introduce(0.1)
    s.say(
        "{one_day}, {A.he} was playing with {A.own} {toy.full} when [crack|snap|oh no], the {part} [broke|came] off!",
        "{one_day}, {A} [ran too fast|was not careful] with {A.own} {toy.full}, and the {part} [broke|fell] off.",
    )
    s.maybe(
        0.3,
        '{A} [stared at the pieces|felt {sad}|held the {part} in {A.own} {A.hand}]. "My poor {toy}!" {A.he} [cried|said].',
        '"Oh no, my {toy}!" {A.shouts}. {A.he} felt {sad}.',
    )
    s.paragraph()
    s.maybe(0.3, "{A} tried to [push|stick] the {part} back on, but it [fell off again|would not stay].")
    s.say(
        '{A} [carried|took|brought] the {toy} to {B}. "Can you [fix|mend] it?" {A.he} asked.',
        '{B} heard the noise and came in. "[Let me see|What happened], {A.call}?"',
    )
    s.say(
        '"We can do it together," {B.says}. "Get {glue}."',
        '"All we need is {glue}," {B.says}. "You hold the {part}."',
    )
    s.say(
        "They worked [slowly and carefully|until lunch|side by side|for a long time]. "
        "[Soon|At last|Bit by bit] the {part} was back in its place.",
    )
    s.maybe(
        0.3,
        "The {toy} [looked a bit different now, but {A} loved it even more|was as good as new|worked "
        "again|was better than before].",
    )
    s.thank()
    s.maybe(
        0.3,
        '"Things that break can often be [fixed|mended]," {B.says}.',
        "{A} was {proud} because {A.he} had helped.",
        "After that, {A} was [more careful|gentle] with the {toy}.",
    )
    s.close(0.05)


@plot
def trade(s):
    """Two friends swap things; one misses the old one, and they find a way."""
    A = s.hero()
    B = s.friend(A)
    mine, yours = s.chance.pick_several(lexicon.TOYS, 2)
    s.let(A=A, B=B, mine=s.thing((mine,)), yours=s.thing((yours,)))
    s.introduce(0.05)
    s.say("{A.he} had {mine.a}, and {A.own} friend {B.full} had {yours.a}.")
    s.say(
        '"I [like|love] your {yours}," {A.says}. "[Shall we trade|Do you want to swap|Will you take my {mine} for it]?"',
        '{one_day}, {B} said, "Your {mine} is so nice. I will give you my {yours} for it!"',
    )
    s.say("[So they traded|They shook on it|So they swapped], and both of them were {glad}.")
    s.paragraph()
    if s.chance.yes(0.5):
        s.say(
            "But [at bedtime|that night|the next day], {A} missed the {mine}. "
            "The {yours} was [fun|nice], but it was not the same.",
        )
        s.say('{A} went to {B}. "I am sorry, but I miss my {mine}," {A.he} said.')
        s.say(
            '{B} [laughed|smiled]. "And I miss my {yours}! Let\'s trade back."',
            '"That is all right," {B.says}. "I miss my {yours} too."',
        )
        s.say("So {A} got the {mine} back, and {B} got the {yours} back.", "They traded back at once.")
        s.say(
            '"But we can [play with both together|share them every Sunday|still share]," {A.says}.',
            "Sometimes the old thing is the one you love the most.",
        )
    else:
        s.say(
            "{A} played with the {yours} all [day|week]. {B} played with the {mine} [too|in the yard|from morning to night].",
        )
        s.say('"This was a [good|fair] trade," {A.says}.', '"Do you still like the {mine}?" {A.asks}.')
        s.say(
            '"Yes!" {B.says}. "Do you still like the {yours}?" {A} nodded.',
            '"Yes! We should trade every week!" {B.says}.',
        )
        s.say("A fair trade makes two friends happy.", "Now each of them had something new, and nobody had less.")
    s.close_together(0.15)


@plot
def treasure(s):
    """A map leads to a box; what is in it is shared."""
    A = s.hero()
    B = s.friend(A)
    landmarks = s.chance.pick_several(
        (
            "the old oak",
            "the big rock",
            "the wooden bridge",
            "the red gate",
            "the dry well",
            "the mill",
            "the crooked tree",
            "the scarecrow",
            "the stone wall",
            "the waterfall",
        ),
        3,
    )
    s.let(
        A=A,
        B=B,
        one=landmarks[0],
        two=landmarks[1],
        three=landmarks[2],
        n=2 * s.chance.between(2, 6),
        gold="[gold coin|glass bead|blue stone|silver bell|wooden star|shiny button|chocolate coin|old toy]",
    )
    s.say(
        "{one_day}, {A.full} found [an old|a torn|a yellow] map [in the attic|in a bottle|inside a book|under a stone].",
        "{A.full} and {B.full} were [digging|looking for bugs|playing] when {A} found a map.",
    )
    s.say(
        'There was a red X on it! "Shall we look for the treasure, {B.call}?" {A.asks}.',
        '"Look, {B.call}! A treasure map! Will you come with me?" {A.asks}.',
    )
    s.agree()
    s.paragraph()
    s.say(
        "[First|From {one}], they walked to {two}. Then they took ten [big|long|careful] steps to {three}.",
        "They followed the map past {one}, past {two}, and all the way to {three}.",
    )
    s.outdoors(0.1)
    s.maybe(
        0.35,
        '{B} got {tired}. "Is it far?" {B.he} asked. "Almost there," {A.says}.',
        "A {bird} flew over them as if to show the way.",
    )
    s.say(
        "They dug and dug. [Clunk|Thump|Tock]! [There was a box|They had hit a box].",
        "Under {three}, in a hole, [was|stood] [a rusty|a little|an iron] box.",
    )
    s.say("Inside were {n*gold}!", "They opened the lid. It was full: {n*gold}!")
    s.say(
        '"Half for you and half for me," {A.says}. So they shared the treasure.',
        '"Let\'s keep it here and visit it together," {B.says}.',
        '"The best treasure is [looking for it with you|having you as a friend]," {A.says}.',
    )
    s.close_together(0.15)


@plot
def stuck_kite(s):
    """Something flies into a tree; attempts fail; someone tall or clever gets it down."""
    A = s.hero()
    if A.species:
        helper, deed = s.pick(
            ("giraffe", "{B} stretched {B.own} long neck and picked the {kite} out of the leaves."),
            ("stork", "{B} flew up and took the {kite} in {B.own} long beak."),
            ("squirrel", "{B} ran up the trunk and pushed the {kite} down."),
            ("moose", "{B} shook the tree with {B.own} big antlers until the {kite} fell down."),
        )
        B = s.elder(helper)
    else:
        B = s.grown_up("gardener", "mail carrier", "firefighter", "farmer", "baker")
        deed = s.pick(
            "{B} got a ladder, climbed up, and came down with the {kite}.",
            "{B} [lifted {A} up|put {A} on {B.own} shoulders], and {A} could just reach it.",
        )
    s.let(A=A, B=B, kite=s.thing(("kite", "ball", "toy plane", "balloon", "paper bird", "hoop", "frisbee")))
    s.introduce(0.05)
    s.say("{one_day}, {A.he} took {A.own} {kite.full} [outside|{going_to}|to the park].")
    s.outdoors(0.1)
    s.say(
        "[A gust of|A strong|All at once the] wind [took it|carried it up|blew it away], and it [got "
        "stuck|was caught] [high|] in [a|an old] {tree}.",
        "{A.he} threw it up, up, up. It did not come down, for it was stuck in [a|the top of a] {tree}.",
    )
    s.paragraph()
    s.maybe(
        0.3,
        "{A} [jumped|stretched|reached], but the branch was too high. "
        "{A.he} [shook the tree|threw a stick|used a long pole], but {kite.the} did not move.",
        "{A} tried to climb, but {A.his} foot slipped. {A.he} tried a long stick, but it was too short.",
    )
    s.maybe(0.3, "{A} sat down in the grass and felt {sad}.", '"What now?" {A.asks}.')
    if A.species:
        s.say('[Just then|Then] {B} came by. "Do you need help?" {B.he} asked. {A} pointed up.')
    else:
        s.say('{B} the {B.kind} [saw it all|came by]. "[Wait here|I can help|One moment], {A.call}," {B.he} said.')
    s.say(deed)
    s.thank()
    s.maybe(
        0.3,
        "{A} went [to the open field|far from the trees] to play.",
        "This time, {A} [stayed away from the trees|held on tightly].",
        '"It is good to have [tall|helpful|kind] friends," {A} thought.',
        "Then the {kite.full} [was up in the air|flew] again.",
    )
    s.close(0.1)


@plot
def mitten(s):
    """Something warm is lost in the snow, and an animal has found a use for it."""
    A = s.child()
    s.weather("snowy")
    s.let(
        A=A,
        B=s.grandparent(A),
        mitten="[mitten|sock|glove|slipper]",
        guest="[mouse|little bird|hedgehog|baby rabbit|chipmunk|field mouse|wren]",
    )
    s.introduce(0.1)
    s.say("{B} [made|knitted|gave] {A} a pair of {color} {mitten.s} for the winter.")
    s.say(
        "{one_day}, {A} played in the snow [until {A.own} nose was red|all day|and made a snow angel]. "
        "At home, one {mitten} was missing.",
    )
    s.paragraph()
    s.say(
        "{A} [went back|put on {A.own} coat and went back] to look. "
        "{A.he} followed {A.own} footprints [past the fence|to the hill|under the trees].",
    )
    s.say(
        "There, in the snow, lay the {mitten}. It [moved|wiggled|shook]! "
        "[Inside|In it] sat a {guest}[, warm and snug| with bright eyes|, fast asleep].",
        "Under a bush {A.he} found it. But someone was in it: a {guest}[, shaking from the cold| with tiny feet|]!",
    )
    s.say(
        '"You need it more than I do," {A.says}. {A.he} left it there[ and added some bread crumbs|, and '
        "tucked in some dry leaves|].",
        '{A} thought for a moment. "Keep it," {A.he} whispered. "[It is a fine bed|Winter is long|Sleep well]."',
    )
    s.maybe(
        0.3,
        "When {B} heard about it, {B.he} [smiled|hugged {A}|laughed] and [made a new one|began a new "
        "one|found some more wool].",
        '"You [have a warm heart|were kind|did the right thing]," {B} told {A} at home.',
    )
    s.maybe(
        0.3,
        "In spring, the {guest} [came to the window|sat on the fence|sang by the door], as if to say thank you.",
        "{A} was cold, but {A.own} heart was warm.",
    )
    s.close(0.05)


@plot
def message_in_bottle(s):
    """A letter from far away is found, answered, and answered again."""
    A, B = s.child(), s.child()
    gift, gift2 = s.two(("a picture of a whale", "a dried flower", "a joke", "a riddle", "a map", "a poem", "a blue feather"))
    s.let(
        A=A,
        B=B,
        place="[the beach|the river|the harbor|the lake]",
        land="[on an island|in a lighthouse|across the sea|on a fishing boat|in a far town|in a warm country]",
        gift=gift,
        gift2=gift2,
    )
    s.introduce(0.1)
    s.say("{one_day}, {A.he} walked along {place} and saw something shine in the [water|sand|reeds|waves].")
    s.outdoors(0.1)
    s.say(
        "It was a [green|brown|small|glass] bottle with a letter in it! {A} [pulled out the cork|opened it at once].",
    )
    s.say(
        '"My name is {B}," said the letter. "I live {land}. [Will you be my friend?|Please write to me!|Who are you?]"',
    )
    s.paragraph()
    s.say(
        "{A} [ran home|sat down] and wrote back. {A.he} put {gift} in the bottle and [threw it far out|let it "
        "float away|gave it to a sailor].",
        "That evening, {A} wrote a long answer. {A.he} added {gift} and sent the bottle off.",
    )
    s.maybe(
        0.3,
        "[Days|Weeks] went by. Every morning {A} looked [for the bottle|at the water], but there was nothing.",
        '{A} waited and waited. "Maybe it is lost," {A.he} thought.',
    )
    s.say(
        "Then, [one day|at last], [the bottle was back|a new bottle came]! In it was {gift2} and a letter from {B}.",
    )
    s.maybe(
        0.3,
        '"Now I have a friend across the water," {A.says}.',
        "{B} had drawn [a picture of them both|two children holding hands|a big smile].",
        '"Dear {A}," it said, "I [laughed|jumped for joy] when I got your letter."',
    )
    s.maybe(
        0.3,
        "They wrote to each other [for many years|every month|all summer long].",
        "A friend can be far away and still be near.",
        "One summer, {B} came to visit, and they [knew each other at once|hugged like old friends].",
    )
