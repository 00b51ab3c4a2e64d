"""Plots out of doors: weather, seeds, animals in need, forests, stars."""

from toylm.data.stories import lexicon
from toylm.data.stories.registry import plot


@plot
def planting_a_seed(s):
    """A seed is planted, nothing happens for long, and then it grows."""
    A = s.hero()
    seed, wonder = s.pick(("sunflower", "taller than the fence"), ("pumpkin", "as big as a chair"), ("bean", "all the way up to the roof"), ("tomato", "full of red balls"),
                          ("apple", "a real little tree"), ("watermelon", "round and green and heavy"), ("carrot", "orange and crisp"), ("poppy", "as red as a fire truck"),
                          ("strawberry", "sweet and red"), ("corn", "higher than {A.his} head"))  # fmt: skip
    s.let(A=A, B=s.pick(s.grandparent, s.parent)(A), seed=seed, wonder=wonder, days=s.pick("Three days", "Five days", "A week", "Ten days", "Two weeks"))
    s.introduce(0.084)
    s.say(
        "{one_day}, {B} gave {A} a {seed} seed. It was [no bigger than a crumb|tiny and brown|so small].",
        "{one_day}, {A.he} found a {seed} seed in [a drawer|an old tin|the grass].",
    )
    s.say(
        "{A} [dug a hole|put it in a pot|pushed it into the soft earth] and gave it some water.",
        '"Put it in the ground and wait," {B.says}. So {A} planted it [by the wall|in a pot|by the gate|near '
        "the door].",
    )
    s.say(
        '{days} went by. Nothing. "[It is asleep|I think it is broken]," {A.says}.',
        'Every morning {A} looked. [Nothing|Only dirt]. "Did I do something wrong?" {A.he} asked.',
    )
    s.paragraph()
    s.say(
        '"[It is working under the ground|Seeds are never in a hurry]," {B.says}. '
        '"Give it water and sun, and be patient."',
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
    s.close(0.084)


@plot
def storm(s):
    """A storm comes; there is shelter, fear, and a clear sky afterwards."""
    A = s.hero()
    s.weather("rainy")
    s.let(A=A, B=s.friend(A), shelter=s.pick("a hollow tree", "an old barn", "a small cave", "a boat house", "a shed", "the mill", "a hut", "a haystack"),
          brave=s.pick("sing a song", "tell a story", "count between the flash and the boom", "guess what the clouds had for lunch", "make shadow animals"))
    s.introduce(0.07)
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
    s.close_together(0.084)


@plot
def baby_bird(s):
    """A young animal has fallen or is hurt; it is cared for and goes back."""
    A = s.hero(0.2)
    s.let(A=A, B=s.parent(A), bird=s.pick(*lexicon.BIRDS), hurt=s.pick("had fallen out of its nest", "had hurt its wing", "was too weak to fly", "was cold and wet", "had lost its mother"),
          bed=s.pick("a shoe box", "a straw hat", "a basket", "an old nest", "a soft sock"), food=s.pick("seeds", "bread crumbs", "worms", "berries", "oats"))
    s.introduce(0.084)
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
def snowman(s):
    """A snowman is built and melts; something of him stays."""
    A, B = s.child(), s.child()
    s.weather("snowy")
    s.let(A=A, B=B, nose=s.pick("carrot", "pine cone", "red pepper", "corn cob", "stick", "potato"), eyes=s.pick("two buttons", "two stones", "two walnuts", "two bottle caps", "two coins"),
          hat=s.thing(("hat", "bucket", "pot", "cap", "basket")), name=s.pick("Mr. Frost", "Snowy", "Captain Cold", "Uncle Ice", "Flake", "Old Chilly", "Sir Snow"))
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
        '"He is [not gone|only water now]," {A.says}. "He is in the [stream|clouds|ground]. '
        'He will be back next winter."',
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
    s.let(A=A, B=s.sibling(A, s.pick("big", "little")), plan=s.pick("go on a picnic", "fly a kite", "play ball", "go to the zoo" if not A.species else "climb the hill", "have a garden party", "sleep in a tent", "pick berries"),
          boat=s.pick("a leaf", "a nutshell", "a paper boat", "a piece of bark", "half a walnut", "an old shoe", "a matchbox"), boat2=s.pick("a cork", "a stick", "a feather", "a paper hat", "a tin lid", "a little basket"))
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
    s.close(0.07)


@plot
def lost_in_the_woods(s):
    """Someone loses the way and is led home by an animal that was kind or was treated kindly."""
    A = s.child()
    guide, how = s.pick(("deer", "walked ahead and looked back at every turn"), ("owl", "flew from tree to tree"), ("fox", "ran along the path with a waving tail"), ("squirrel", "jumped from branch to branch"),
                        ("crow", "called from tree to tree"), ("badger", "knew every path, even in the dark"), ("stork", "flew high and could see the roofs"), ("rabbit", "hopped along the secret path"))  # fmt: skip
    s.let(A=A, B=s.elder(guide), how=how, C=s.parent(A), bait=s.pick("a {small_animal}", "a blue butterfly", "some berries", "a strange song", "big mushrooms", "a trail of feathers"),
          bread=s.pick("half of {A.own} bread", "an apple", "a handful of nuts", "a kind word", "the last cookie", "some water"))
    s.introduce(0.07)
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
    bug, light = s.pick(("butterfly", "opened and closed its wings"), ("firefly", "glowed only a little"), ("grasshopper", "did not jump any more"), ("dragonfly", "sat still on the glass"),
                        ("ladybug", "walked around and around"), ("frog", "looked out with sad eyes"), ("snail", "stayed in its shell"), ("cricket", "did not sing"), ("moth", "beat against the glass"))  # fmt: skip
    s.let(A=A, B=s.pick(s.grandparent, s.parent)(A), bug=bug, light=light, jar=s.pick("jar", "box", "bottle", "bucket"), spot=s.pick(*lexicon.OUTDOORS))
    s.introduce(0.084)
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
        "The {bug} [waited|sat on {A.s} {A.hand} for a moment]. "
        "Then it was off[ into the green|, free and happy|].",
    )
    s.maybe(
        0.3,
        '"It is even more beautiful like this," {A.says}.',
        "{A} came back every day to look for it.",
        '"I am proud of you," {B.says}.',
        "What is wild is happiest when it is free.",
    )
    s.close(0.07)


@plot
def little_fish(s):
    """In the water: a fish leaves home, is in danger, and is saved by one it was warned of."""
    A = s.being("fish")
    B = s.elder("crab", "turtle", "octopus", "whale", "eel", "sea horse")
    s.let(A=A, B=B, water=s.pick("sea", "bay", "lagoon"), home=s.pick("a coral reef", "a sunken ship", "a green cave", "a garden of seaweed", "a big pink shell"),
          danger=s.pick("a net", "an empty bottle", "a ring of weeds", "a broken pot", "a rusty chain", "a crack in the rock"))
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
        "[Tiny bubbles rose.|The water was dark.|Long weeds waved.|] "
        "[Then|All at once], {A} was caught in {danger}!",
    )
    s.paragraph()
    s.maybe(
        0.3,
        '{A} pulled and turned, but could not get out. "Help!" {A.he} cried.',
        '"Help! I am stuck!" {A.shouts}. Nobody came. Then something moved in the dark.',
    )
    s.say(
        'It was {B}! {A} [closed {A.own} eyes|trembled]. But {B} said, "[Hold still, little one|Do not be '
        'afraid]."',
    )
    s.say(
        {"crab": "Snip, snap, went {B.s} claws, and {A} was free.", "turtle": "{B} pushed with a hard shell until {A} was free.", "octopus": "{B} pulled with all eight arms, and {A} was free.", "whale": "{B} gave one gentle push, and {A} was free.", "eel": "{B} slid in and showed {A} the way out.", "sea horse": "{B} worked at it with a curly tail until {A} was free."}[B.kind],
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
def wish_on_a_star(s):
    """A wish is made on a star; it comes true by work or in another way than expected."""
    A = s.hero()
    wish, true = s.pick(("a friend", "A new family had moved in next door, and someone waved"), ("a night without bad dreams", "{A.he} dreamed of a ship made of clouds"), ("to be tall", "{B} lifted {A.him} up, and {A.he} could touch the branch"),
                        ("snow", "The whole world was white"), ("a song of {A.his} own", "A tune was in {A.his} head, and {A.he} could not stop humming it"), ("to see the sea", "{B} packed a bag, and they went to the beach"),
                        ("a good idea", "{A.he} woke up and knew how to build a boat out of a box"), ("to fly", "{B} pushed the swing so high that it was just like flying"), ("a pet", "A thin gray cat sat at the door and said meow"))  # fmt: skip
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
    s.say(
        "{A} closed {A.own} eyes. \"I wish for {wish},\" {A.he} thought." if not wish.startswith("to ") else "{A} closed {A.own} eyes. \"I wish {wish},\" {A.he} thought.",
    )
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
