"""Plots of growing up: a first visit, a first play, a loose tooth, something learned."""

from toylm.data.stories import lexicon
from toylm.data.stories.registry import plot


@plot
def doctor_visit(s):
    """A visit is feared; it turns out better than the fear."""
    A = s.child()
    job, act, prize = s.pick(
        ("doctor", "listened to {A.s} heart and looked into both ears", "a sticker with a lion"),
        ("dentist", "counted {A.s} teeth with a little mirror", "a new green toothbrush"),
        ("barber", "cut {A.s} hair, snip, snip, snip", "a comb"),
        ("doctor", "looked into {A.s} throat and said hum", "a paper crown"),
        ("nurse", "gave {A} a shot that was over before the count of three", "a blue bandage"),
        ("eye doctor", "let {A} read the letters on the wall", "round red glasses"),
    )
    s.let(A=A, B=s.grown_up(job), C=s.parent(A), act=act, prize=prize, toy=s.toy())
    s.introduce(0.1)
    s.say(
        "{one_day}, {A.he} had to go to the {B.kind}. {A} was {scared}.",
        '"Today we go to the {B.kind}," {C.says} {one_day}. {A} hid under the table.',
    )
    s.say(
        '"Will it hurt, {C.call}?" {A.asks}. "[Maybe a little|Not at all|I will hold your hand]," {C.says}.',
    )
    s.maybe(
        0.3,
        "{A} took {A.own} {toy} along and held it tightly.",
        "In the waiting room, {A} squeezed {A.own} {toy.full}.",
    )
    s.paragraph()
    s.say(
        '{B}, the {B.kind}, had [a friendly voice|warm hands|funny socks|a kind face]. "Who is first, you or the {toy}?"',
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
    s.close(0.05)


@plot
def stage_fright(s):
    """A part in a play is feared and forgotten; a friend helps, and it goes well."""
    A = s.hero()
    part, line = s.pick(
        ("a tree", "My leaves are green"),
        ("the moon", "I shine for you all"),
        ("the king", "Bring me my crown"),
        ("a bee", "Buzz, buzz, here I come"),
        ("the wolf", "I only want to be friends"),
        ("the queen", "Open the gates"),
        ("a cloud", "I bring the rain"),
        ("a pirate", "Land ahead"),
        ("the wind", "I blow where I like"),
        ("a clown", "Who took my nose"),
    )
    s.let(A=A, B=s.friend(A), part=part, line=line, C=s.parent(A))
    s.introduce(0.05)
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
        '"[Look only at me|Just look for {C}|Take three deep breaths]," {B.full} whispered. "You can do it, {A.call}."',
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
    s.close_together(0.05)


@plot
def lost_tooth(s):
    """A loose tooth will not come out, and comes out when nobody thinks of it."""
    A, B = s.child(), s.child()
    s.let(
        A=A,
        B=B,
        C=s.parent(A),
        how=(
            "[bit into an apple|sneezed|laughed at a joke|ate a piece of toast|jumped off the swing|"
            "said the word thistle|blew a whistle]"
        ),
        gap=(
            "[whistle through the gap|drink with a straw through the gap|say funny words|"
            "stick {A.own} tongue out with a closed mouth]"
        ),
        gift="[a shiny coin|a little letter|a tiny silver box|a new toothbrush|a gold star]",
    )
    s.introduce(0.1)
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
    s.close(0.05)


@plot
def lost_at_the_market(s):
    """A child is lost in a crowd, does the right thing, and is found."""
    A = s.child()
    s.let(
        A=A,
        B=s.grown_up("baker", "fish seller", "flower seller", "police officer", "cheese seller", "farmer"),
        C=s.pick(s.parent, s.grandparent)(A),
        sight=("[a juggler|a puppet show|a cage of doves|a heap of melons|a dancing dog|a man with balloons|a toy stand]"),
        place="[market|fair|harbor|train station|zoo|big store]",
        mark=s.thing(lexicon.CLOTHES),
    )
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
        '{A} wanted to cry. But {A.he} remembered: "If you are lost, [stay where you are|ask someone who works there]."',
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
        '"Thank you, {B.call}," {A.says}. Then they bought [a {sweet}|{fruit.s}] and went home.',
    )
    s.close(0.05)


@plot
def teach_a_skill(s):
    """Someone cannot do a thing, is taught, fails, tries again, and can."""
    A = s.hero(0.3)
    s.let(A=A, B=s.pick(s.grandparent, s.parent, s.friend)(A), skill=s.pick(*lexicon.SKILLS), tries=s.chance.between(3, 9))
    s.introduce(0.1)
    s.say(
        "But {A.he} could not {skill}. [All the others could|Everyone else could|It looked so easy].",
        "There was one thing {A.he} [could not do|wanted to learn]: to {skill}.",
    )
    s.say(
        "{one_day}, {A.he} tried [and tried|all alone]. It [went wrong|did not work]. "
        '"I will never learn to {skill}!" {A.he} [cried|said].',
        '"Will you teach me to {skill}?" {A} asked {B.full} {one_day}.',
    )
    s.paragraph()
    s.say(
        '"[I could not do it at first either|It takes time|Nobody can do it at once], {A.call}," {B.says}. '
        '"[Watch me|Do it slowly|One small step at a time]."',
    )
    s.say(
        "{B} showed {A} how. {A} tried once. [Oops|No]. {A.he} tried twice. [Almost|Still no].",
        "The first time, {A} [fell over|gave up|did it all wrong]. The second time was [a little better|no better].",
    )
    s.maybe(
        0.3,
        '"Good! Again!" {B.says}.',
        '{A} wanted to stop, but {B} said, "[One more time|Do not give up]."',
        "{A.he} practiced every day for a week.",
    )
    s.say(
        'On try number {tries}, [it worked|something clicked]! "Look! I can {skill}!" {A.shouts}.',
        'And then, on day {tries}, {A.he} did it! "I can {skill}!" {A.he} [shouted|cried].',
    )
    s.say(
        '{B} clapped. "I knew you could."',
        '"You see? You did not give up," {B.says}.',
        "{A} was {proud}, and so was {B}.",
    )
    s.say(
        "Now {A} wanted to {skill} all day.",
        "Practice makes hard things easy.",
        "The next week, {A} taught [a little cousin|a neighbor|someone smaller] to {skill}.",
        "Everyone has to start somewhere.",
    )
    s.close(0.05)


@plot
def grandparents_secret(s):
    """A skill or a song is handed down and practiced until it works."""
    A = s.hero()
    thing, use, sound = s.pick(
        ("fiddle", "play", "like a cat with a cold"),
        ("flute", "play", "like the wind in a bottle"),
        ("accordion", "play", "like a sad goose"),
        ("loom", "weave on", "bumpy and thin"),
        ("pottery wheel", "use", "like a squashed hat"),
        ("harp", "play", "like rain on a tin roof"),
        ("camera", "use", "blurry and gray"),
        ("piano", "play", "like a mouse on the keys"),
    )
    art = "sounded" if use == "play" else "looked"
    s.let(
        A=A,
        B=s.grandparent(A),
        thing=thing,
        use=use,
        sound=sound,
        art=art,
        weeks="[weeks|a whole winter|a month|many rainy days]",
    )
    s.introduce(0.05)
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
        "Then came {B.s} birthday. {A} had a surprise. It {art} beautiful.",
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
        "Old things can have a new life.",
        "A little every day makes a lot.",
    )
    s.close(0.05)


@plot
def building_a_fort(s):
    """Something is built, falls down, and is built better with what was learned."""
    A = s.hero()
    what, first, flaw, better = s.pick(
        ("a fort", "pillows and two chairs", "somebody sneezed", "a rope, clips and the big blanket"),
        ("a tower", "tall blocks on small ones", "a {small_animal} ran by", "big blocks at the bottom and small ones on top"),
        ("a bridge", "thin sticks", "the first step was taken", "thick branches and a strong rope"),
        ("a raft", "loose boards", "it touched the water", "four barrels and a lot of knots"),
        ("a hut", "dry leaves", "the wind blew", "mud, sticks and a roof of bark"),
        ("a sand castle", "dry sand", "a little wave came", "wet sand and a deep ditch"),
        ("a bird house", "cardboard", "it rained", "wood and real nails"),
        ("a go-cart", "a box and three wheels", "it rolled down the hill", "four wheels and a good brake"),
    )
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
    s.close_together(0.05)
