"""Plots with animals: small ones that help, wild ones that are helped."""

from toylm.data.stories import lexicon
from toylm.data.stories.registry import plot


@plot
def big_and_small(s):
    """A big animal is in trouble, and a small one helps."""
    big, small = (
        s.animal("bear", "elephant", "badger", "panda", "pony"),
        s.animal("mouse", "mole", "frog", "hedgehog", "squirrel"),
    )
    trouble, deed = s.pick(
        ("had a thorn in the foot and could not reach it", "pulled out the thorn with two quick tugs"),
        ("was caught in a net", "bit through the net, string by string"),
        ("had dropped a key into a narrow hole", "climbed down the hole and brought up the key"),
        ("had a burr stuck behind one ear", "climbed up and picked off the burr"),
        ("was stuck between two trees", "dug away the earth until there was room"),
        ("had a fly in one ear and could not sleep", "talked the fly into leaving"),
        ("could not find a lost ring in the tall grass", "ran under the grass and found the ring"),
    )
    s.let(
        A=small,
        B=big,
        trouble=trouble,
        deed=deed,
        reward="[a ride home|a jar of honey|a big warm hug|a place by the fire|the biggest berry]",
    )
    s.introduce(0.1)
    s.say(
        "{one_day}, {A} met {B} the {B.kind}. {B.he} {trouble}.",
        "{one_day}, {A} heard a loud [cry|groan] {outdoors}. It was {B} the {B.kind}, who {trouble}.",
    )
    s.say('"[I can help|Let me help you|Hold still]," {A.says}.', '"What is the matter, {B.call}?" {A.asks}.')
    s.say(
        '{B} [laughed|sighed|shook {B.own} head]. "You? [You are so tiny|A little {A.kind} like you|How could you help me]?"',
        '"You are very kind," {B.says}, "but you are so small."',
    )
    s.paragraph()
    s.say(
        '"[Wait and see|Small can be good|We will see]," {A.replies}. And {A.he} {deed}.',
        "But {A} was [already at work|not afraid]. {A.he} {deed}.",
    )
    s.outdoors(0.05)
    s.say(
        '{B} could hardly believe it. "Thank you, {A.call}! '
        '[I was wrong|You are a hero|I will never laugh at small friends again]."',
    )
    s.say(
        "To say thank you, {B} gave {A} {reward}.",
        '{B} [bowed|smiled]. "If you ever need someone big, call me."',
    )
    s.maybe(
        0.3,
        "[Big or small|Large or little], [everyone can help|a friend is a friend].",
        "Some problems need someone small.",
        "It does not matter how big you are.",
    )
    s.close_together(0.15)


@plot
def baby_bird(s):
    """A young animal has fallen or is hurt; it is cared for and goes back."""
    A = s.hero(0.2)
    s.let(
        A=A,
        B=s.parent(A),
        bird=s.pick(*lexicon.BIRDS),
        hurt=("[had fallen out of its nest|had hurt its wing|was too weak to fly|was cold and wet|had lost its mother]"),
        bed="[a shoe box|a straw hat|a basket|an old nest|a soft sock]",
        food="[seeds|bread crumbs|worms|berries|oats]",
    )
    s.introduce(0.1)
    s.say(
        "{one_day}, {A.he} heard a [thin|small|weak] peep {outdoors}.",
        '{one_day}, something moved in the grass. "Peep!" it said.',
    )
    s.say("It was a baby {bird}. It {hurt}.", "A baby {bird} sat on the ground. It {hurt}.")
    s.maybe(
        0.3,
        '"[Poor little thing|Do not be afraid], I will help you," {A.says}.',
        "{A} looked up, but there was no mother anywhere.",
    )
    s.paragraph()
    s.say(
        '{A} [carried|took] it home. "[Be gentle|Hold it softly]," {B.says}. They made a bed in {bed}.',
        "{A} called {B}. Together they made a bed in {bed}.",
    )
    s.say(
        "Every [day|hour], {A} gave it {food} and water. It [ate and slept|grew stronger].",
        "At first it did not eat. Then it took some {food} from {A.s} {A.hand}.",
    )
    s.maybe(
        0.3,
        "{A} named it [Pippin|Feather|Chirp|Tiny|Sky].",
        "At night {A} [got up to check on it|put a cloth over it].",
    )
    s.say(
        "[One morning|After a week|A few days later], it [spread its wings|hopped to the window]. "
        '"It is time to let it go," {B.says}.',
    )
    s.say(
        "{A} was [a little sad|sad and happy at once], but {A.he} [opened the window|carried it outside]. "
        "The {bird} flew [up and up|away into the blue sky|to the top of the {tree}].",
    )
    s.maybe(
        0.3,
        "The next spring, a {bird} sang at {A.s} window[ every morning|]. {A} knew which one it was.",
        "If you love something wild, you let it fly.",
        "It came back each day to say hello.",
        "{A} waved until it was gone.",
    )


@plot
def lost_in_the_woods(s):
    """Someone loses the way and is led home by an animal that was kind or was treated kindly."""
    A = s.child()
    guide, how = s.pick(
        ("deer", "walked ahead and looked back at every turn"),
        ("owl", "flew from tree to tree"),
        ("fox", "ran along the path with a waving tail"),
        ("squirrel", "jumped from branch to branch"),
        ("crow", "called from tree to tree"),
        ("badger", "knew every path, even in the dark"),
        ("stork", "flew high and could see the roofs"),
        ("rabbit", "hopped along the secret path"),
    )
    s.let(
        A=A,
        B=s.elder(guide),
        how=how,
        C=s.parent(A),
        bait="[a {small_animal}|a blue butterfly|some berries|a strange song|big mushrooms|a trail of feathers]",
        bread="[half of {A.own} bread|an apple|a handful of nuts|a kind word|the last cookie|some water]",
    )
    s.introduce(0.05)
    s.say(
        "{one_day}, {A.he} followed {bait} deep into the woods.",
        "{one_day}, {A.he} was in the woods and saw {bait}. {A.he} left the path.",
    )
    s.outdoors(0.1)
    s.say('When {A.he} looked around, [the path was gone|all the trees looked the same]. "Where am I?" {A.asks}.')
    s.maybe(0.3, "It got [dark|late|cold]. {A} sat down on a [stone|log] and [cried a little|tried not to cry].")
    s.paragraph()
    s.say(
        '[Leaves rustled|A twig snapped]. There stood {B}. "Why are you crying, little one?"',
        'Then {B} came and looked at {A} with [bright|kind|dark] eyes. "Are you lost?"',
    )
    s.say(
        '"I want to go home," {A.says}. {A.he} gave {B} {bread}.',
        '"I lost my way," {A.says}. {A.he} shared {bread} with {B}.',
    )
    s.say('"Follow me," {B.says}. {B.he} {how}.', '"You are kind, so I will help you," {B.says}. {B.he} {how}.')
    s.say(
        "[Soon|At last] {A} saw [the lights of home|the garden gate|a lamp in the window]. [{C} was at the door!|]",
    )
    s.say('"Thank you, {B.call}!" {A.shouts}. {B} [nodded and was gone|was already on the way back].')
    s.maybe(
        0.3,
        "After that, {A} stayed on the path.",
        '"Never leave the path," said {C}, and {A} promised.',
        "{A} often left some nuts at the edge of the woods.",
    )


@plot
def butterfly_jar(s):
    """Something wild is caught to be kept, and set free."""
    A = s.hero(0.15)
    bug, light = s.pick(
        ("butterfly", "opened and closed its wings"),
        ("firefly", "glowed only a little"),
        ("grasshopper", "did not jump any more"),
        ("dragonfly", "sat still on the glass"),
        ("ladybug", "walked around and around"),
        ("frog", "looked out with sad eyes"),
        ("snail", "stayed in its shell"),
        ("cricket", "did not sing"),
        ("moth", "beat against the glass"),
    )
    s.let(
        A=A,
        B=s.pick(s.grandparent, s.parent)(A),
        bug=bug,
        light=light,
        jar="[jar|box|bottle|bucket]",
        spot=s.pick(*lexicon.OUTDOORS),
    )
    s.introduce(0.1)
    s.say(
        "{one_day}, {A.he} caught a {color} {bug} {spot} and put it in a {jar}.",
        "{one_day}, {A.he} saw the most beautiful {bug} {spot}. {A.he} caught it and put it in a {jar}.",
    )
    s.say(
        '"Now you are mine," {A.says}. "I will keep you for ever."',
        '{A.he} showed it to {B}. "Look, it is mine!"',
    )
    s.say(
        "{A} gave it [grass|a leaf|a flower], but the {bug} {light}.",
        "But in the {jar}, the {bug} {light}.",
    )
    s.paragraph()
    s.say(
        '"Why is it so sad?" {A} asked {B}. "[How would you feel in a jar|Where is its home|Would you like to '
        'live in there]?" {B.replies}.',
        '"I think it misses [the sky|its friends|the grass]," {B.says}.',
    )
    s.maybe(
        0.3,
        "{A} thought about it [at dinner|all evening|in bed]. {A.he} would not like to be shut in.",
        "{A} [looked at the {bug} for a long time|put {A.own} nose to the glass].",
    )
    s.say(
        "[Then|In the morning], {A.he} carried it back to where it came from and opened the lid. "
        '"[Go home|You are free], little friend."',
    )
    s.say(
        "The {bug} [waited|sat on {A.s} {A.hand} for a moment]. Then it was off[ into the green|, free and happy|].",
    )
    s.maybe(
        0.3,
        '"It is even more beautiful like this," {A.says}.',
        "{A} came back every day to look for it.",
        '"I am proud of you," {B.says}.',
        "What is wild is happiest when it is free.",
    )
    s.close(0.05)


@plot
def little_fish(s):
    """In the water: a fish leaves home, is in danger, and is saved by one it was warned of."""
    A = s.being("fish")
    B = s.elder("crab", "turtle", "octopus", "whale", "eel", "sea horse")
    s.let(
        A=A,
        B=B,
        water="[sea|bay|lagoon]",
        home="[a coral reef|a sunken ship|a green cave|a garden of seaweed|a big pink shell]",
        danger="[a net|an empty bottle|a ring of weeds|a broken pot|a rusty chain|a crack in the rock]",
    )
    s.say(
        "Deep in the {water} lived a {trait} fish named {A}. {A.own} home was {home}.",
        "{A} was a little {color} fish who lived in {home}.",
        "In {home} there lived a fish called {A}. {A.he} liked to blow bubbles.",
    )
    s.say(
        '"Do not swim too far," the big fish said, "and stay away from {B}."',
        'The other fish were afraid of {B}. "Stay away," they said.',
    )
    s.say(
        "One day, {A} swam out to see [the light above|the blue deep|what was behind the rocks].",
        "But {A} was curious. One day, {A.he} swam farther than ever before.",
    )
    s.say(
        "[Tiny bubbles rose.|The water was dark.|Long weeds waved.|] [Then|All at once], {A} was caught in {danger}!",
    )
    s.paragraph()
    s.maybe(
        0.3,
        '{A} pulled and turned, but could not get out. "Help!" {A.he} cried.',
        '"Help! I am stuck!" {A.shouts}. Nobody came. Then something moved in the dark.',
    )
    s.say(
        'It was {B}! {A} [closed {A.own} eyes|trembled]. But {B} said, "[Hold still, little one|Do not be afraid]."',
    )
    s.say(
        {
            "crab": "Snip, snap, went {B.s} claws, and {A} was free.",
            "turtle": "{B} pushed with a hard shell until {A} was free.",
            "octopus": "{B} pulled with all eight arms, and {A} was free.",
            "whale": "{B} gave one gentle push, and {A} was free.",
            "eel": "{B} slid in and showed {A} the way out.",
            "sea horse": "{B} worked at it with a curly tail until {A} was free.",
        }[B.kind],
    )
    s.say(
        '"Thank you, {B.call}! Why does everyone fear you?" {A.asks}. '
        '"[They never asked my name|They do not know me]," {B.says}.',
    )
    s.maybe(
        0.3,
        "{A} swam home and told everyone. From then on, {B} was never alone.",
        "After that, they swam together every day.",
        "{A} learned that you cannot know someone by a story.",
        "The next day, all the fish came to say hello to {B}.",
    )


@plot
def choosing_a_pet(s):
    """A pet is chosen: not the finest one, but the one that needs a home."""
    A = s.child()
    pet, fine, poor = s.pick(
        ("dog", "a big one with shiny hair", "an old one with one ear"),
        ("cat", "a white one with blue eyes", "a thin one that hid in the corner"),
        ("rabbit", "a fluffy one with long ears", "a gray one with a bad foot"),
        ("parrot", "a loud one with red wings", "a quiet one that had lost some feathers"),
        ("turtle", "a big one with a golden shell", "a small one with a crack in its shell"),
        ("pony", "a fast black one", "a little one with a crooked tail"),
    )
    s.let(
        A=A,
        B=s.parent(A),
        pet=pet,
        fine=fine,
        poor=poor,
        name="[Lucky|Muffin|Captain|Noodle|Sprout|Beans|Waffles|Domino|Pickle|Socks|Jelly]",
    )
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
        '"This one," {A.says}. "Are you sure?" {B.asks}. "[It picked me|We are friends already|It needs me]," {A.says}.',
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
    s.close(0.05)
