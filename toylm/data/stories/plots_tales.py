"""Tales in which things talk, dragons sneeze and clouds have feelings."""

from toylm.data.stories.registry import plot


@plot
def gentle_dragon(s):
    """A dragon is feared for its fire, and its fire is needed."""
    B, A = s.child(), s.being("dragon")
    s.let(
        A=A,
        B=B,
        need=(
            "[It was the coldest night of the year, and all the fires were out|"
            "The lighthouse lamp went out, and ships were near|The baker's oven was cold, and there was no bread|"
            "Snow blocked the road, and the doctor could not get through|The lamps went out at the winter feast|"
            "The pond froze, and the ducks could not swim]"
        ),
        place="[on a mountain|behind the waterfall|in a cave by the sea|on a lonely island]",
    )
    s.say(
        "{A} was a dragon who lived {place}. Everyone was afraid of {A}.",
        "Once there was a {color} dragon named {A}, who lived {place}, all alone.",
    )
    s.say(
        "When {A} sneezed, fire came out! So people locked their doors.",
        "{A} only wanted to play {game}, but when {A.he} laughed, sparks flew.",
    )
    s.maybe(
        0.3,
        '"I do not want to hurt anyone," {A.says}. {A.he} was {sad}.',
        "At night, {A} looked down at the lights and was {sad}.",
    )
    s.paragraph()
    s.say('{need}. "Who can help us?" the people cried.')
    s.say(
        '"I know who," said a {trait} {B.kind} named {B}. {B.he} climbed up and knocked on a big rock.',
        "Only {B}, a little {B.kind}, was brave enough to go to the dragon and ask.",
    )
    s.say('"Dear {A}, will you help us?" {B.he} asked. "[Nobody ever asked me before|Me? Gladly]!" {A.says}.')
    s.say(
        "{A} blew [one small, careful flame|very gently]. Soon all was [warm and bright|right] again.",
        "{A} took a deep breath and blew. The whole valley glowed, and the danger was over.",
    )
    s.say(
        '"Hooray for {A}!" the people shouted. Nobody was afraid any more.',
        "From that day on, {A} was invited to every party, to light the candles.",
        '"We were wrong about you, {A.call}," they said.',
        "And {A} and {B} played {game} every Sunday.",
    )


@plot
def little_engine(s):
    """A small machine does what the big ones will not."""
    kind, big, road, cargo = s.pick(
        ("train", "trains", "the steep hill", "toys for the children"),
        ("tugboat", "ships", "the stormy bay", "medicine for the island"),
        ("truck", "trucks", "the muddy road", "apples for the market"),
        ("tractor", "tractors", "the rocky field", "hay for the cows"),
        ("bus", "buses", "the snowy pass", "children to the school"),
        ("plane", "planes", "the foggy mountains", "letters for the winter feast"),
    )
    s.let(A=s.being(kind), kind=kind, big=big, road=road, cargo=cargo)
    s.say(
        "{A} was a small {color} {kind}. The big {big} [laughed at|never talked to] {A.him}.",
        "Once there was a little {kind} named {A}. {A.he} was [old and slow|small, but {trait}|the smallest of them all].",
    )
    s.say(
        "{one_day}, someone had to bring {cargo}. The way led across {road}.",
        "There was a problem: who would carry {cargo} across {road}?",
    )
    s.maybe(
        0.3,
        '"[Not me, it is too far|I might get dirty|I am too tired]," said the [first|biggest] one. '
        '"[Not me|Nor I]," said the next.',
    )
    s.say(
        '"I will try," said {A} in a small voice. The big ones laughed.',
        '"Let me do it," {A.says}. "You?" they all laughed.',
    )
    s.paragraph()
    s.say(
        "{A} set off. [Chug, chug, chug|Puff, puff, puff|Rattle, rattle]. It was [hard|slow|cold], and {A} got tired.",
    )
    s.maybe(
        0.3,
        'In the middle of the way, {A} almost stopped. "One more bit," {A.he} told {A.himself}, "and one more bit."',
        '"I can do this, I can do this," {A} hummed, all the way.',
    )
    s.maybe(0.3, "[A {bird} flew ahead to show the way.|The wind pushed from behind.|]")
    s.say(
        "And then {A} was there! [Everyone|All the people] cheered and waved.",
        "[At sunset|At last], {A} was there. Everyone cheered!",
    )
    s.say(
        "The big {big} did not laugh any more.",
        '"Thank you, {A}!" they shouted. {A} was {proud}.',
        "Small can be strong if it does not give up.",
        "That night, {A} dreamed of the next big trip.",
    )


@plot
def little_cloud(s):
    """A cloud is unwanted everywhere until it comes to where rain is needed."""
    s.let(
        A=s.being("cloud"),
        one="[a wedding|a picnic|a school trip]",
        two="[a football game|the washing on the line|the beach]",
        farmer=s.grown_up("farmer"),
        crop="[corn|wheat|beans|roses|pumpkins|potatoes]",
        B=s.child(),
    )
    s.say(
        "{A} was a little gray cloud who [floated over the land|wanted to see the world].",
        "High up in the sky lived a small cloud named {A}. {A.he} was full of rain.",
    )
    s.say(
        '{A} came to {one}. "Go away!" the people called. "You will make us wet!"',
        'First {A} came by {one}. "Oh no, a cloud!" they said. "Go away!"',
    )
    s.maybe(
        0.3,
        '{A} came to {two}. "Not here!" [someone shouted|they cried].',
        'Then {A} floated over {two}. "Not you again!"',
    )
    s.maybe(
        0.3,
        '"Nobody wants me," {A.says}, and a tear fell down.',
        "{A} was {sad}. {A.he} drifted on, far away.",
    )
    s.paragraph()
    s.say('Then {A} came to a dry field. {farmer} the farmer looked at the {crop}. "If only it would rain!"')
    s.say('["A cloud! A cloud!"|"Look up!"] cried a {B.kind} named {B}. "Please stay!"')
    s.say(
        "{A} was so happy that {A.he} let all the rain go. [Drip, drop|Splish, splash]! The {crop} stood up and drank.",
    )
    s.maybe(
        0.3,
        '{B} danced in the rain[ with bare feet|]. "Thank you, little cloud!"',
        '"You saved the {crop}!" {farmer} called. "Come back soon!"',
    )
    s.maybe(
        0.3,
        "Somewhere, someone is waiting for what you have.",
        "Then the sun came out, and {A} wore a rainbow like a scarf.",
        "And {A} came back every week.",
        "From that day on, {A} knew where {A.he} belonged.",
    )


@plot
def lonely_giant(s):
    """A big quiet thing stands alone, until it is useful to small ones."""
    kind, gift, guests = s.pick(
        ("scarecrow", "held out both arms so that they could sit down", "birds"),
        ("oak", "bent down the branches for them", "children"),
        ("stone statue", "let them climb on its back", "children"),
        ("lighthouse", "shone all night to guide them", "boats"),
        ("robot", "carried them home through the rain", "children"),
        ("windmill", "turned its arms to cool them", "cows"),
        ("snow giant", "kept the wind away from them", "sheep"),
        ("rusty bus", "opened its door so that they could hide from the rain", "cats"),
    )
    s.let(
        A=s.being(kind),
        kind=kind,
        gift=gift,
        guests=guests,
        B=s.elder("sparrow", "mouse", "kitten", "ladybug"),
        place="[on a hill|in a field|at the end of the road|by the sea]",
    )
    s.say(
        "{place.cap} stood an old {kind} named {A}. Nobody ever came to visit.",
        "There was once a {kind} called {A}. {A.he} stood {place} and was very lonely.",
    )
    s.say(
        'Day after day, {A} watched the {guests} go by. [None of them stopped|"Hello," {A.he} said, but nobody heard].',
        '"I wish I had a friend," {A} thought, every evening.',
    )
    s.say("{one_day}, a big storm came. A tiny {B.kind} could not find the way.")
    s.paragraph()
    s.say(
        '"[Come here|Over here], little one," said {A}. "You can rest with me." '
        "The {B.kind} [crept|slipped] close and was safe.",
    )
    s.maybe(
        0.3,
        '"You are kind," {B.says}. "Why are you alone?" "Nobody ever asks," {A.says}.',
        'All night they told each other stories. "You have a good heart, {A.call}," {B.says}.',
    )
    s.say(
        "In the morning, {B} told all the others. Soon the {guests} came too, and {A} {gift}.",
        "The next day, {B} came back, and brought the {guests}. {A} {gift}.",
    )
    s.maybe(
        0.3,
        "It was loud and merry now.",
        "There was so much noise and laughing that {A} forgot what quiet was.",
    )
    s.say(
        '"Thank you for finding me, {B.call}," {A.says}.',
        "One small friend can bring a hundred more.",
        "And {A} was never lonely again.",
        "If you have room for one, you have room for many.",
    )


@plot
def stolen_color(s):
    """Something has gone from the world; a child searches for the thief and asks instead of fighting."""
    A = s.child()
    lost, effect, thief, why, deal = s.pick(
        (
            "the color blue",
            "The sky was white and the sea was gray",
            "troll",
            "My cave is so dark and plain",
            "painted a blue window on the wall of the cave",
        ),
        (
            "all the music",
            "Birds opened their beaks, but no song came out",
            "giant",
            "It is so quiet up here",
            "taught the giant to whistle",
        ),
        (
            "the smell of bread",
            "The bakery smelled of nothing at all",
            "witch",
            "Nobody ever bakes for me",
            "baked a loaf for the witch",
        ),
        ("the moon", "The nights were as black as ink", "crow", "It was so shiny", "gave the crow a silver spoon"),
        ("all the laughter", "Nobody could even smile", "ogre", "I never heard a joke", "told the ogre ten jokes"),
        ("the wind", "Kites fell down and boats stood still", "wizard", "It blew away my hat", "sewed a ribbon on the hat"),
        (
            "the letter B",
            "People had to say read and utter for bread and butter",
            "goblin",
            "My name has no B",
            "named the goblin Bob",
        ),
    )
    s.let(A=A, B=s.elder(thief), lost=lost, effect=effect, why=why, deal=deal)
    s.say(
        "One morning, {lost} was gone. {effect}.",
        "{A} woke up, and something was wrong. {effect}. Someone had taken {lost}!",
    )
    s.say(
        '{A}, a {trait} {A.kind}, said, "I will find out who took it."',
        '"Who would do that?" {A.asks}. {A.he} packed some bread and set off.',
    )
    s.say(
        "{A.he} walked over [seven hills|three rivers|the long bridge], until {A.he} came to the door of a {B.kind}.",
    )
    s.paragraph()
    s.say(
        '{A.s} knees shook, but {A.he} knocked. "Did you take {lost}?" {A.he} asked.',
        '"Please give it back," {A.says}. "Everyone is sad without it."',
    )
    s.say(
        '{B} [looked at the floor|sighed|began to cry]. "{why}," {B.he} said.',
        '"Yes," {B.says} in a low voice. "{why}."',
    )
    s.say(
        "{A} thought about that. Then {A.he} {deal}.",
        '"Is that all? I can help you," {A.says}. And {A.he} {deal}.',
    )
    s.say(
        "{B} was so happy that {B.he} opened a big sack, and out came {lost}.",
        "{B} [smiled|laughed] and let {lost} go at once.",
    )
    s.maybe(
        0.3,
        "When {A} got home, all was well again.",
        '"Next time, just ask," {A.says}.',
        "Since then, {A} has visited {B} every spring.",
        "Sometimes a thief is only someone who is sad.",
    )
