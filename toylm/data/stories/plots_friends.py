"""Plots about friends: meeting, sharing, quarreling, missing each other."""

from toylm.data.stories import lexicon
from toylm.data.stories.registry import plot


@plot
def shy_newcomer(s):
    """Someone new is too shy to speak, until a small kindness opens the way."""
    A = s.hero()
    s.let(
        A=A,
        B=s.friend(A),
        bridge="[a drawing|a ladybug|a paper boat|a shiny stone|half a cookie|a daisy chain|a tiny snail|a sticker]",
    )
    s.let(where="school" if not A.species else s.pick("the meadow", "the pond", "the forest", "the old farm"))
    s.say(
        "{one_day}, someone new came to {where}. It was a [shy|quiet] {B.kind} named {B}.",
        "{A.full} saw someone new at {where}: a {B.kind} with [big eyes|a {color} {clothes}|a soft voice]. "
        '"[That is|This is] {B}," they said.',
    )
    s.say(
        "{B} did not [talk|play|say a word] and sat alone [under a {tree}|by the wall|in the shade].",
        "When the others played {game}, {B} only [watched|looked at the ground].",
    )
    s.maybe(
        0.3,
        '"Why does {B.he} not talk?" someone asked.',
        "Some said that {B} was not friendly. {A} was not so sure.",
    )
    s.paragraph()
    s.say(
        "{A} remembered how it felt to be new.",
        '{A} thought, "Maybe {B} is just shy."',
        "{A} did not like to see anyone alone.",
    )
    s.say("{A.he} [sat down|took a seat] next to {B} and held out {bridge}.")
    s.say(
        "{B} [looked up|blinked]. [Slowly|After a while], {B.he} smiled.",
        "At first {B} said nothing. Then {B.he} [laughed|said hello].",
    )
    s.say(
        '"I [like|love] {hobby.doing}," {B.says}. "[Me too|So do I]!" {A.says}.',
        '"Do you want to play {game}?" {A.asks}. {B} nodded.',
        '"I am {A}," {A.says}. "I know a good game."',
    )
    s.say(
        "[Soon|By noon|Before long] they were [laughing and running|playing|talking] like old friends.",
        "The next day, {B} waited for {A} at the gate.",
        "It turned out that {B} [knew the best jokes|could whistle like a {bird}|was very funny]!",
    )
    s.say(
        "A small hello can start a big friendship.",
        "Shy does not mean unfriendly.",
        "{B} was not [alone|shy] any more.",
        "All {B} needed was one friend.",
    )
    s.close_together(0.1)


@plot
def one_swing(s):
    """Two want the same thing; shouting fails, taking turns works."""
    A = s.hero()
    s.let(A=A, B=s.friend(A), place=s.pick(*lexicon.OUTDOORS))
    prize, use, turn = s.pick(
        ("swing", "sat on", "ten pushes"),
        ("slide", "climbed up", "two rides"),
        ("hammock", "lay in", "one song"),
        ("red bike", "rode", "one lap"),
        ("sled", "rode", "one hill"),
        ("trampoline", "jumped on", "twenty jumps"),
        ("toy boat", "sailed", "five minutes"),
        ("big drum", "played", "one song"),
        ("scooter", "rode", "two laps"),
        ("rope swing", "sat on", "three swings"),
        ("telescope", "looked through", "one star"),
        ("paint box", "used", "one picture"),
    )
    s.let(prize=prize, use=use, turn=turn)
    s.say(
        "{A.full} and {B.full} were [friends|good friends|neighbors]. {one_day}, they both saw the {prize} {place}.",
        "There was only one {prize} {place}, and {one_day} both {A.full} and {B.full} wanted it.",
    )
    s.say('"I was here first!" {A.shouts}.', '"Mine!" {A.shouts}.', '"I saw it first!" {A.shouts}.')
    s.say('"No, me!" {B.shouts}.', '"That is not fair!" {B.says}.', '"But I want it too!" {B.says}.')
    s.say(
        "They [pulled and pushed|argued and stamped their feet|both held on] until [they both fell down|{B} "
        "began to cry|nobody had any fun].",
    )
    s.paragraph()
    s.say(
        'Then {A} had an idea. "[Let\'s take turns|We can share it]. You get {turn}, and then I get {turn}."',
        '{A} looked at {B.s} sad face and [let go|stepped back]. "You go first," {A.he} said. "I can wait."',
    )
    s.maybe(
        0.3,
        '{B} [stopped crying|wiped {B.own} eyes|smiled]. "[Really|All right]? [Thank you|That is fair], {A.call}."',
    )
    s.say(
        "{B} {use} the {prize} while {A} [counted|clapped|cheered]. Then {A} {use} it while {B} [counted|clapped|cheered].",
    )
    s.say(
        "[Taking turns|Sharing] was [much more fun than fighting|easier than they thought].",
        "Nobody shouted any more.",
        '"It is more fun with two," {B.says}.',
        '"Why did we fight at all?" {A.asks}.',
    )
    s.close_together(0.15)


@plot
def quarrel(s):
    """Friends quarrel over something small, miss each other, and make up."""
    A = s.hero()
    s.let(A=A, B=s.friend(A), gift="[a picture|a bunch of flowers|a {sweet}|a warm {sweet}|a letter|a {color} ribbon]")
    cause, sorry = s.pick(
        ("{B} stepped on {A.s} sand castle", "I should have looked where I was going"),
        ("{B} laughed when {A} fell in the mud", "I should not have laughed"),
        (
            "{B} forgot to wait for {A} at the bridge",
            "I should have waited",
        ),
        ("{B} said that {A.s} picture looked like a potato", "your picture was pretty"),
        ("{B} would not let {A} win a single game", "I wanted to win too much"),
        ("{B} told everyone {A.s} secret", "I should have kept it"),
        ("{B} ate the last {sweet} without asking", "I should have asked"),
    )
    s.let(cause=cause, sorry=sorry)
    s.say(
        "{A.full} and {B.full} [were best friends|did everything together|met every day to play {game}].",
        "{A.full} had a best friend, {B.full}.",
    )
    s.say(
        "But {one_day}, {cause}. {A} was {angry}.",
        'Then, {one_day}, {cause}. "You are [mean|not my friend any more]!" {A.shouts}.',
    )
    s.maybe(
        0.3,
        '"I do not want to play with you!" {A.he} [said|cried] and [stamped|{A.ran}] home.',
        "{B} went home one way, and {A} went the other.",
    )
    s.paragraph()
    s.say(
        "[At home|The next day|All afternoon], {A} tried to {hobby} alone. It was [no fun|boring|not the same].",
        "{A} played {game} alone. It is hard to play that with nobody.",
    )
    s.maybe(
        0.3,
        "{B} was {sad} too. [{B.he} looked out of the window for a long time|{B.he} did not even want {B.own} "
        "lunch|{B.he} kept thinking of {A}].",
    )
    s.say(
        "[Then there was a knock at the door|In the evening, someone knocked]. It was {B}, with {gift}.",
        "At last {A} went out to find {B}. They met half way! {B} was carrying {gift}.",
    )
    s.say('"I am sorry, {A.call}," {B.says}. "[I mean it|Really], {sorry}."')
    s.say(
        '"I am sorry [that I shouted|too]," {A.says}. They [hugged|shook hands|laughed].',
        '"I missed you," {A.says}. "[Let\'s never fight again|I am sorry I shouted]."',
    )
    s.maybe(
        0.3,
        "[Friends fight sometimes|Even best friends get angry], but [a sorry can mend it|they always make up].",
        '"Sorry" is a small word, but it is a strong one.',
        "Soon they were playing {game} again.",
    )
    s.close_together(0.1)


@plot
def left_out(s):
    """Someone is told they are too small or slow, and it turns out to be just what is needed."""
    A = s.hero(0.8)
    reason, need, deed = s.pick(
        ("too small", "the ball rolled into a hollow log", "crawled right inside and pushed it out"),
        ("too little", "the key fell through a crack in the floor", "squeezed under the floor and got it"),
        ("too slow", "they ran past the path and got lost", "had looked at every stone and knew the way back"),
        ("too quiet", "a baby {bird} had to be carried to its nest", "was the only one who did not scare it"),
        ("too small", "the kite string was caught deep in a thorn bush", "slipped between the thorns and set it free"),
        ("too young", "nobody could remember the words of the song", "knew every word and sang it"),
        ("too short", "a coin rolled under the low bridge", "walked under the bridge without bending down"),
    )
    s.let(A=A, B=s.friend(A), C=s.friend(A), reason=reason, need=need, deed=deed)
    s.introduce(0.05)
    s.say('{one_day}, {B.full} and {C.full} were playing {game} {outdoors}. "Can I play too?" {A.asks}.')
    s.say(
        '"You are {reason}," {B.says}. "[Maybe next year|Go and watch|Not today]."',
        '"No," {C.says}. "You are {reason}, {A.call}."',
    )
    s.maybe(0.3, "{A} [sat on a stone and watched|went away with {A.own} head down|felt {sad}].")
    s.paragraph()
    s.say(
        "[Then|After a while|All of a sudden], {need}. {B} tried to help, and {C} tried too, but it was no use.",
        'But then {need}. "What do we do now?" {C.asks}.',
    )
    s.say('"Let me try," {A.says}. And {A.he} {deed}!', "{A} [stood up|came closer]. {A.he} {deed}!")
    s.say('"[Hooray|Wow]! You did it, {A.call}!" they [shouted|cried].', "{B} and {C} [cheered|clapped].")
    s.say(
        '"I am sorry I said no," {B.says}. "[Please play with us|You are just right]."',
        '"We were wrong," {C.says}. "You are not {reason} at all."',
    )
    s.maybe(
        0.3,
        "After that, [they never left {A} out again|{A} was always asked first].",
        "Everyone is good at something.",
        "{A} was {proud}.",
        "And so all three of them played together.",
    )


@plot
def surprise_party(s):
    """Everyone seems to have forgotten a birthday; it was a secret."""
    A = s.hero()
    s.let(
        A=A,
        B=s.friend(A),
        C=s.friend(A),
        cake="[chocolate|carrot|lemon|strawberry|honey|banana|nut|cherry]",
        n=s.chance.between(4, 8),
        gift=s.thing(lexicon.TOYS),
    )
    s.say(
        "It was {A.s} birthday. [The {A.kind}|{A}] [woke up early|jumped out of bed|got up with the sun], but "
        "nobody said a word about it.",
        "{A.full} was turning {n}. {A.he} waited for someone to say happy birthday.",
    )
    s.say(
        '{A} met {B.full}. "Do you know what day it is?" {A.asks}. "[No, why|Is it wash day|Is it Sunday]?" '
        "{B.replies} and [hurried on|ran off].",
    )
    s.maybe(
        0.3,
        "{C.full} [hid something behind {C.own} back|carried a big bag] and would not stop to talk.",
        "Then {A} saw {C.full}, but {C.he} was too busy to play.",
    )
    s.say(
        '"They have all forgotten," {A} thought, and {A.he} felt {sad}.',
        "{A} [walked home slowly|kicked a stone]. It was a lonely birthday.",
    )
    s.paragraph()
    s.say(
        'At home it was dark. {A} opened the door. "SURPRISE!"',
        '{A} pushed the door open. "Happy birthday, {A.call}!" everyone shouted.',
    )
    s.say(
        "[Lamps|Candles] shone everywhere. There was a {cake} cake with {n} candles[, and a banner with {A.s} name|].",
        "{B} and {C.full} held a {cake} cake with {n} candles on it.",
    )
    s.say(
        '"We wanted to keep it a secret," {B.says}.',
        '"It was so hard not to tell you!" {C.says}.',
        '"Did you think we forgot?" {B.says}.',
    )
    s.say(
        "{A} [blew out|took a deep breath and blew out] all {n} candles.",
        "{A} got {gift.a} and hugged them all.",
        "They ate every crumb and played {game}.",
    )
    s.maybe(
        0.3,
        "It was the best birthday ever.",
        "Good friends do not forget.",
        "{A} laughed and cried at the same time.",
        '"I wish for nothing," {A.says}. "I have you."',
    )


@plot
def sick_friend(s):
    """A friend is ill in bed; a visit helps."""
    A = s.hero()
    s.let(
        A=A,
        B=s.friend(A),
        ill="[a cold|a sore throat|a fever|a cough|the flu|a runny nose|red spots]",
        gift=(
            "[a jar of honey|a bowl of hot soup|a funny book|a bunch of {flowers}|a warm blanket|a basket of berries|a puppet]"
        ),
    )
    s.introduce(0.1)
    s.say(
        "{one_day}, {A.he} waited for {B.full} {outdoors}, but {B} did not come.",
        "{one_day}, {A.own} friend {B} [was not there|did not come out to play].",
    )
    s.say(
        '"{B} is in bed with {ill}," [someone told {A}|a neighbor said].',
        "{A} went to {B.s} {B.home}. {B} lay in bed with {ill}.",
    )
    s.paragraph()
    s.say(
        "{A} [wanted|wished] to help. {A.he} [packed|found|got] {gift} and went to see {B}.",
        '"I must cheer {B} up," {A} thought. {A.he} took {gift} along.',
    )
    s.outdoors(0.05)
    s.maybe(
        0.3,
        '"[How do you feel|Are you better], {B.call}?" {A.asks}. "[Not so good|A little better|Bored]," {B.says}.',
        '{B} was {sad}. "I have been alone all day," {B.he} said.',
    )
    s.say(
        "{A} [told a funny story|made silly faces|played all the parts of a play|sang the song about the "
        "{small_animal}|did a trick] until {B} laughed.",
        "They played cards in bed and made plans for [summer|the weekend|a picnic].",
    )
    s.say(
        '"Laughing is the best medicine," {B.says}. "Thank you, {A.call}."',
        '"You are better than any medicine, {A.call}," {B.says}.',
        "{B} drank some tea and felt a little better.",
    )
    s.say(
        "A [few|couple of] days later, {B} was [well|outside] again, and they played {game}.",
        "By the end of the week, {B} was well. Then {A} began to sneeze, and it was {B} who came to visit!",
        "By the end of the week, {B} could {hobby} again.",
    )
    s.close_together(0.1)


@plot
def moving_away(s):
    """A friend moves away, and they find a way to stay friends."""
    A, B = s.child(), s.child()
    s.let(
        A=A,
        B=B,
        far=("[to the city|across the sea|to the mountains|to another town|to an island|to the north|to a farm far away]"),
        half=(
            "[a friendship bracelet|half of a blue shell|a drawing of the two of them|a small flashlight|"
            "a favorite marble|a lucky button|a tape with silly songs|a little compass]"
        ),
    )
    s.say(
        "{A} and {B} lived [next door to each other|on the same street|in the same house] and [played {game} "
        "every day|walked to school together].",
    )
    s.say(
        '{one_day}, {B} had sad news. "We are moving {far}," {B.he} said.',
        '"I have to tell you something," {B.says} {one_day}. "We are moving {far}."',
    )
    s.maybe(
        0.3,
        "{A} [did not know what to say|felt a lump in {A.own} throat|felt {sad}]. Who would {hobby} with {A} now?",
    )
    s.paragraph()
    s.say(
        "On the last day, a big truck stood [in the street|at the door]. {A} gave {B} {half}. "
        '"[So you think of me|To remember me by|For you]," {A.he} said.',
        "{A} helped {B} pack [the toys|the last box]. At the bottom {A.he} hid {half} for {B} to find.",
    )
    s.say(
        '"I will write to you every week," {B.says}. They [hugged|waved until the truck was gone].',
        "{B} waved from the back of the car until {A} was only a dot.",
    )
    s.maybe(
        0.3,
        "[The street|The next day] was very quiet. {A} [missed {B}|sat on the steps alone].",
        "For a few days, {A} did not want to play.",
    )
    s.say(
        'Then a letter came. "Dear {A}," {B} wrote. "[My new room has a window to the stars|There is a dog '
        'next door|I learned to {hobby2}]. [Come and visit|I miss you]!"',
    )
    s.maybe(
        0.3,
        "{A} [read it three times|smiled] and wrote back at once.",
        "In summer, {A} took the train to see {B}, and it was as if no time had passed.",
        "Friends can be far apart and still be friends.",
    )
    s.close(0.1)
