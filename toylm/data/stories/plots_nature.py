"""Plots out of doors: weather, seeds, snow, stars."""

from toylm.data.stories.registry import plot


@plot
def planting_a_seed(s):
    """A seed is planted, nothing happens for long, and then it grows."""
    A = s.hero()
    seed, wonder = s.pick(
        ("sunflower", "taller than the fence"),
        ("pumpkin", "as big as a chair"),
        ("bean", "all the way up to the roof"),
        ("tomato", "full of red balls"),
        ("apple", "a real little tree"),
        ("watermelon", "round and green and heavy"),
        ("carrot", "orange and crisp"),
        ("poppy", "as red as a fire truck"),
        ("strawberry", "sweet and red"),
        ("corn", "higher than {A.his} head"),
    )
    s.let(
        A=A,
        B=s.pick(s.grandparent, s.parent)(A),
        seed=seed,
        wonder=wonder,
        days="[Three days|Five days|A week|Ten days|Two weeks]",
    )
    s.introduce(0.1)
    s.say(
        "{one_day}, {B} gave {A} a {seed} seed. It was [no bigger than a crumb|tiny and brown|so small].",
        "{one_day}, {A.he} found a {seed} seed in [a drawer|an old tin|the grass].",
    )
    s.say(
        "{A} [dug a hole|put it in a pot|pushed it into the soft earth] and gave it some water.",
        '"Put it in the ground and wait," {B.says}. So {A} planted it [by the wall|in a pot|by the gate|near the door].',
    )
    s.say(
        '{days} went by. Nothing. "[It is asleep|I think it is broken]," {A.says}.',
        'Every morning {A} looked. [Nothing|Only dirt]. "Did I do something wrong?" {A.he} asked.',
    )
    s.paragraph()
    s.say(
        '"[It is working under the ground|Seeds are never in a hurry]," {B.says}. "Give it water and sun, and be patient."',
        '"Wait a little longer, {A.call}," {B.says}.',
    )
    s.maybe(
        0.3,
        "So {A} gave it water and [sang to it|told it stories|kept the {bird.s} away].",
        "Rain fell, and then the sun came out.",
    )
    s.say('Then, one morning, there was [a green tip|something green|a tiny leaf]! "It is growing!" {A.shouts}.')
    s.say("By the end of summer, it was {wonder}.", "It grew and grew until it was {wonder}.")
    s.say(
        '"You took good care of it," {B.says}.',
        "{A} saved one seed for the next spring.",
        "Little things can become big if you give them time.",
        "{A} shared it with all the neighbors.",
    )
    s.close(0.1)


@plot
def storm(s):
    """A storm comes; there is shelter, fear, and a clear sky afterwards."""
    A = s.hero()
    s.weather("rainy")
    s.let(
        A=A,
        B=s.friend(A),
        shelter="[a hollow tree|an old barn|a small cave|a boat house|a shed|the mill|a hut|a haystack]",
        brave=(
            "[sing a song|tell a story|count between the flash and the boom|guess what the clouds had for lunch|"
            "make shadow animals]"
        ),
    )
    s.introduce(0.05)
    s.say(
        "{one_day}, {A.he} and {B.full} were playing {outdoors} when the sky turned [black|dark|gray].",
        "{one_day}, {A.he} was on the way to meet {B.full}. The wind began to [howl|blow hard].",
    )
    s.say(
        "Rain [poured down|fell in big drops]. [Boom|Crash|Rumble], went the thunder!",
        "A flash! Then a boom! And then came the rain.",
    )
    s.say('"[Quick, over there|Come in here]!" {B.shouts}. They hurried into {shelter}.')
    s.paragraph()
    s.say('{A} [shook|held {B.s} {A.hand}|hid {A.own} face]. "I am [scared|afraid|frightened]," {A.he} whispered.')
    s.say(
        '"[Let\'s|We can] {brave}," {B.says}.',
        '"Me too," {B.says}. "But we are [dry|together]. Let\'s {brave}."',
    )
    s.say(
        "So they did, and the thunder did not sound so [loud|bad] any more.",
        "It helped. [Soon {A} even laughed|Soon they forgot the storm].",
        "With each minute, the booms were farther away.",
    )
    s.say(
        "[At last|After an hour|Then] the rain stopped. [The sun came out|A rainbow stood over the "
        "hills|Everything was wet and bright].",
    )
    s.say(
        '"That was [an adventure|not so bad]," {A.says}.',
        '"Thank you for staying with me, {B.call}," {A.says}.',
        "They jumped in every puddle on the way home.",
        "A storm is less scary with a friend.",
    )
    s.close_together(0.1)


@plot
def snowman(s):
    """A snowman is built and melts; something of him stays."""
    A, B = s.child(), s.child()
    s.weather("snowy")
    s.let(
        A=A,
        B=B,
        nose="[carrot|pine cone|red pepper|corn cob|stick|potato]",
        eyes="[two buttons|two stones|two walnuts|two bottle caps|two coins]",
        hat=s.thing(("hat", "bucket", "pot", "cap", "basket")),
        name="[Mr. Frost|Snowy|Captain Cold|Uncle Ice|Flake|Old Chilly|Sir Snow]",
    )
    s.say(
        "{one_day}, {A} and {B} built a snowman. They rolled [one big ball and one small ball|three big balls].",
        '{one_day}, it snowed and snowed. {A} called {B}. "Let\'s build a snowman!"',
    )
    s.say("The snowman got a {nose} for a nose, {eyes} for eyes, and {hat.a} on his head.")
    s.say('"His name is {name}," {A.says}.', "They called him {name}.")
    s.maybe(
        0.3,
        "Every day [after school|before lunch], they [told him stories|said hello to him|danced around "
        "him|showed him their drawings].",
    )
    s.paragraph()
    s.say(
        "But then the sun got [warm|stronger]. {name} got [smaller and smaller|thin and crooked].",
        'One morning, the roof dripped. "Oh no, {name} is melting!" {B.shouts}.',
    )
    s.maybe(
        0.3,
        "{A} tried to keep him cold with [more snow|a wet sheet|a big umbrella], but it was no use.",
        '"We must save him!" {A.says}. But nobody can stop the spring.',
    )
    s.say("In the end, only the {nose} and the {hat} lay in the grass. {B} was {sad}.")
    s.say(
        '"He is [not gone|only water now]," {A.says}. "He is in the [stream|clouds|ground]. He will be back next winter."',
        '"Look," {A.says}. A {flower} was growing right where {name} had been.',
    )
    s.maybe(
        0.3,
        "They kept the {hat} for him[ in a box|], and when the first snow fell, they were ready.",
        '"See you next year, {name}!" they called.',
        "And the next winter, they built him again, even bigger.",
    )


@plot
def boat_race_in_the_rain(s):
    """Rain spoils a plan; puddles and gutters make a better game."""
    A = s.hero()
    s.weather("rainy")
    s.let(
        A=A,
        B=s.sibling(A, s.pick("big", "little")),
        plan=s.pick(
            "go on a picnic",
            "fly a kite",
            "play ball",
            "climb the hill",
            "have a garden party",
            "sleep in a tent",
            "pick berries",
        ),
        boat="[a leaf|a nutshell|a paper boat|a piece of bark|half a walnut|an old shoe|a matchbox]",
        boat2="[a cork|a stick|a feather|a paper hat|a tin lid|a little basket]",
    )
    s.say(
        "{A.full} wanted to {plan}. But it was a {sky} day, and rain ran down the windows.",
        "{one_day}, {A.full} and {B} wanted to {plan}, but it rained and rained.",
    )
    s.say(
        '"[Bad rain|Go away, rain]!" {A.says}. {A.he} [pressed {A.own} nose to the glass|sat on the floor and '
        "pouted|was {sad}].",
    )
    s.say(
        '"Rain is [good for something|not all bad]," said {B}, {A.s} {B.kind}. "[Put on your boots|Come with me]!"',
        '{B}, {A.s} {B.kind}, [had an idea|looked outside]. "Look at that stream by the [road|path|fence]!"',
    )
    s.paragraph()
    s.say('They made ships. {A} took {boat}, and {B} took {boat2}. "[Ready, set, go|One, two, three]!"')
    s.say(
        "The ships [danced|jumped|spun] on the water, past [a stone|a frog|the gate], under [a bridge of "
        "sticks|a big leaf] and around the corner.",
    )
    s.maybe(
        0.3,
        "First {B} was ahead. Then {A.s} ship [caught up|passed]. They splashed along beside them.",
        "{A} ran next to the water and [cheered|clapped].",
    )
    s.say(
        '{A} won by a nose! "Again!" {A.he} cried.',
        "{B} won the first race and {A} won the second.",
        "Both ships reached the big puddle together. Nobody lost!",
    )
    s.maybe(
        0.3,
        "They came home [wet to the skin|muddy and happy] and had [hot cocoa|warm milk|soup].",
        '"I hope it rains tomorrow," {A.says}.',
        "A rainy day can be the best day.",
    )
    s.close(0.05)


@plot
def wish_on_a_star(s):
    """A wish is made on a star; it comes true by work or in another way than expected."""
    A = s.hero()
    wish, true = s.pick(
        ("for a friend", "A new family had moved in next door, and someone waved"),
        ("for a night without bad dreams", "{A.he} dreamed of a ship made of clouds"),
        ("to be tall", "{B} lifted {A.him} up, and {A.he} could touch the branch"),
        ("for snow", "The whole world was white"),
        ("for a song of my own", "A tune was in {A.his} head, and {A.he} could not stop humming it"),
        ("to see the sea", "{B} packed a bag, and they went to the beach"),
        ("for a good idea", "{A.he} woke up and knew how to build a boat out of a box"),
        ("to fly", "{B} pushed the swing so high that it was just like flying"),
        ("for a pet", "A thin gray cat sat at the door and said meow"),
    )
    s.weather("fair", "evening")
    s.let(A=A, B=s.pick(s.grandparent, s.parent)(A), wish=wish, true=true)
    s.introduce(0.1)
    s.say(
        "{one_day}, {A.he} [looked out of the window|lay in the grass|sat on the roof] with {B}. "
        "[The sky was full of stars|Stars came out one by one].",
    )
    s.say(
        '"Look, a shooting star! Make a wish," {B.says}.',
        'One star [fell|flew] across the sky. "Quick, make a wish, {A.call}!"',
    )
    s.say('{A} closed {A.own} eyes. "I wish {wish}," {A.he} thought.')
    s.maybe(
        0.3,
        '"What did you wish for?" {B.asks}. "It is a secret," {A.says}.',
        '"Do wishes come true?" {A.asks}. "Some do, [in their own way|if you help them]," {B.says}.',
    )
    s.paragraph()
    s.say(
        "The next day, nothing happened. {A} [waited|was a little sad].",
        "{A} woke up and looked around. Everything was the same[ as before|].",
        "All morning, {A} waited for the wish to come true.",
    )
    s.say("And then, [in the afternoon|after lunch|two days later], it came true. {true}[.|!]")
    s.say(
        '"My wish!" {A.says}.',
        "{A} laughed out loud. It had come true in its own way.",
        "{A} was {glad} and thought of the star.",
    )
    s.maybe(
        0.3,
        "That night, {A} said thank you to the star.",
        '"What will you wish for next?" {B.asks}. "Nothing," {A.says}. "I have all I need."',
        "Wishes find their way.",
        "{A} told {B} what the wish had been, and they both smiled.",
    )
