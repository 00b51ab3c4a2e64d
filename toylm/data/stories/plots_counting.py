"""Plots in which numbers matter. Every count adds up: what is taken, found or shared is said, and so is what is left."""

from toylm.data.stories import lexicon
from toylm.data.stories.grammar import counting
from toylm.data.stories.registry import plot


@plot
def apples_left(s):
    """Some of a number are eaten or given away; the rest is counted."""
    A = s.hero()
    n = s.chance.between(3, 9)
    gone = s.chance.between(1, n - 1)
    s.let(
        A=A,
        B=s.friend(A),
        n=n,
        gone=gone,
        left=n - gone,
        fruit=s.pick(*lexicon.FRUIT),
        place="[basket|bowl|bag|cart|bucket|box]",
        use="[bake a pie|make a cake|cook jam]",
        meal="[supper|a small pie|breakfast]",
    )
    s.introduce(0.1)
    s.say(
        "{one_day}, {A.he} picked {n*fruit} and put them in a {place}.",
        "{one_day}, {A.he} came home from the market with {n*fruit} in a {place}.",
    )
    s.outdoors(0.1)
    if s.chance.yes(0.5):
        s.say('On the way, {A.he} met {B.full}. "I am so hungry," {B.says}. [{B.his} tummy rumbled.|]')
        s.say(
            '"[Here|Please] take {gone}," {A.says}. So {A.he} gave away {gone*fruit}.',
            '{A} gave {B} {gone*fruit}. "[They are sweet|Enjoy them]!" {A.he} said.',
        )
    else:
        s.say(
            "They looked so good that {A.he} ate {gone} of them[ right away| under a {tree}|].",
            "{A.he} was hungry and ate {gone*fruit}. [Yum|Crunch]!",
        )
        s.say(
            '"May I count the rest?" {B.full} asked. "[Please do|Yes]," {A.says}.',
            'Then {B.full} came by. "How many do you have left?" {B.he} asked.',
        )
    s.paragraph()
    s.say(
        '{A} looked into the {place}. "I had {n}. Now {gone} {gone.is} gone, so there {left.is} {left} left," {A.he} said.',
        "They counted together. {n.cap} take away {gone} is {left}. There {left.was} {left*fruit} left.",
    )
    s.say(
        '"You count very well, {A.call}," {B.says}.',
        '"Then we can {use} with {left*fruit}," {B.says}.',
        "{A} took what was left home to {parent_word}.",
        '"That is enough for {meal}," {A.says}.',
    )
    s.say(
        "And what was left tasted wonderful.",
        "Counting is easy when you like {fruit.s}.",
        "{A} hummed a counting song all the way home.",
    )
    s.close_together(0.05)


@plot
def eggs_in_the_barn(s):
    """Eggs are gathered from two or three places and added up."""
    A = s.child()
    a, b, broken = s.chance.between(2, 6), s.chance.between(2, 6), s.chance.yes(0.4)
    s.let(
        A=A,
        B=s.grandparent(A),
        a=a,
        b=b,
        sum=a + b,
        rest=a + b - 1,
        egg="egg",
        hen="[Dotty|Speckles|Henrietta|Goldie|Feathers|Peck]",
        one="[in the straw|under the old cart|in the nest box|by the ladder]",
        two="[behind the barn|in a flower pot|under the stairs|in a straw hat]",
    )
    s.introduce(0.05)
    s.say(
        '{one_day}, {A.he} helped {B} on the farm. "Will you look for the eggs, {A.call}?" {B.asks}.',
    )
    s.outdoors(0.1)
    s.say(
        "{A} found {a*egg} {one} and {b*egg} {two}.",
        "First {A} found {a*egg} {one}. Then {A.he} found {b} more {two}.",
    )
    s.maybe(
        0.3,
        '{hen} the hen [watched|clucked|looked proud]. "Cluck, cluck!"',
        '"{a.cap} and {b} make {sum}," {A} [counted|said].',
    )
    s.paragraph()
    if broken:
        s.say(
            "On the way back, {A} [stumbled|tripped over a bucket]. [Crack|Splat]! One egg broke. Now there were only {rest}.",
        )
        s.say('"I am sorry, {B.call}," {A.says}. "There were {sum}, but I broke one."')
        s.say('"{rest.cap} eggs are plenty," {B.says}. "[The cat will clean up|Thank you for telling me]."')
    else:
        s.say(
            "{A} [walked very slowly|held the basket with both hands] and did not drop a single one.",
            "{A} carried the basket home like a treasure.",
        )
        s.say('"I have {sum*egg}!" {A.shouts}. {B} counted them too. There were {sum}.')
        s.say('"{sum.cap} eggs! [Well done|What a good helper you are], {A.call}," {B.says}.')
    s.maybe(
        0.3,
        "They made [pancakes|an omelet|a yellow cake] for [lunch|supper].",
        "{A} gave {hen} some corn to say thank you.",
        "They ate two eggs and took the others to the market.",
    )
    s.close(0.1)


@plot
def fair_shares(s):
    """A number of sweets is divided equally; with one left over there is a small kindness."""
    A = s.hero()
    B, C = s.friend(A), s.friend(A)
    each = s.chance.between(2, 4)
    extra = s.chance.yes(0.4)
    s.let(
        A=A,
        B=B,
        C=C,
        each=each,
        n=3 * each + extra,
        treat=s.pick(*(lexicon.SWEETS + lexicon.TREASURES)),
        kids=3,
        spare="[a {bird}|a hungry {small_animal}|{parent_word}|a sad neighbor]",
    )
    s.say(
        '{A.full} had {n*treat}. "Let\'s share!" {A.he} said to {B.full} and {C.full}.',
        "{A.full}, {B.full} and {C.full} found a bag. In it were {n*treat}!",
    )
    s.say(
        '"I want most of them!" {B.shouts}. "I am the biggest!"',
        '"How do we make it fair?" {C.asks}.',
        '"I get them all!" {B.shouts}. "No, I do!" {C.says}.',
    )
    s.paragraph()
    s.say(
        '{A} [thought|had an idea]. "One for you, one for you, one for me," {A.he} said, again and again.',
        '"We make three piles," {A.says}. {A.he} put them down one by one.',
    )
    if extra:
        s.say(
            "In the end, each of them had {each*treat}, and there was one left.",
            "Each pile had {each*treat}. But one {treat} was left over!",
        )
        s.say(
            '"Let\'s give it to {spare}," {B.says}. And so they did.',
            '"You did the work. You take it, {A.call}," {C.says}. But {A} gave it to {spare}.',
        )
    else:
        s.say(
            "In the end, each of them had {each*treat}, and none were left.",
            "Each pile had {each*treat}. It was fair!",
        )
        s.say(
            '"{each.cap}, {each} and {each} make {n}," {C.says}.',
            '"Nobody has more, and nobody has less," {C.says}.',
        )
    s.say(
        '{B} was {sorry} for shouting. "Your way is better," {B.he} said.',
        '"You are as fair as a king," {C.says}.',
        "Nobody was angry, because everyone had the same.",
        "They sat {outdoors} and were {glad}.",
    )
    s.say(
        "Fair is when everyone smiles.",
        "Sharing is easy when you can count.",
        "After that, {A} always did the sharing.",
        "They never fought about {treat.s} again.",
    )


@plot
def collecting(s):
    """A collection grows over three days until it is enough for something."""
    A = s.hero()
    a, b, c = s.chance.between(1, 4), s.chance.between(1, 4), s.chance.between(2, 4)
    s.let(
        A=A,
        B=s.parent(A),
        a=a,
        b=b,
        c=c,
        ab=a + b,
        abc=a + b + c,
        item=s.pick(*lexicon.TREASURES),
        made="[a necklace|a mobile for the window|a crown|a picture|a bracelet|a little mosaic]",
    )
    s.introduce(0.05)
    s.say(
        "{A.he} wanted to make {made} out of {item.s}. {A.he} needed {abc}.",
        '"How many {item.s} do I need for {made}?" {A} asked {B}. "{abc.cap}," {B.says}.',
    )
    s.say("On Monday, {A} found {a*item} {outdoors}.", "On Monday, {A} looked {outdoors} and found {a*item}.")
    s.say(
        "On Tuesday, {A.he} found {b} more. Now {A.he} had {ab}.",
        "The next day, {A.he} got {b} more. {a.cap} and {b} made {ab}.",
    )
    s.outdoors(0.1)
    s.paragraph()
    s.say(
        "On Wednesday, it rained. {A} looked and looked, but found none.",
        'On Wednesday, {A} was sad. "I still need {c}," {A.he} said.',
    )
    s.say(
        'Then {B} [opened a drawer|came in with a little box]. "[Look what I have|These are for you]: {c*item}!"',
    )
    s.say("{ab.cap} and {c} are {abc}. That was enough!", "Now there were {abc*item}, just enough.")
    s.maybe(
        0.3,
        "{A} made {made} and gave it to {B}.",
        "They made {made} together at the kitchen table.",
        "By evening, {made} was done, and it was beautiful.",
    )
    s.thank()
    s.close(0.05)


@plot
def missing_duckling(s):
    """A mother counts her young; one is missing and is found."""
    kind, baby, group = s.pick(
        ("duck", "duckling", "on the pond"),
        ("hen", "chick", "in the barn"),
        ("goose", "gosling", "by the lake"),
        ("cat", "kitten", "in a basket"),
        ("dog", "puppy", "in the yard"),
        ("pig", "piglet", "on the farm"),
        ("rabbit", "bunny", "under the hill"),
        ("swan", "cygnet", "on the river"),
    )
    n = s.chance.between(4, 9)
    B = s.elder(kind)
    B.pronoun, B.call = "she", f"Mother {kind.title()}"
    s.let(
        A=s.hero(0.3),
        B=B,
        kind=kind,
        baby=baby,
        group=group,
        n=n,
        short=n - 1,
        counted=counting(n - 1) if n <= 5 else "one, two, three[ and so on|], up to {short}",
        found=(
            "[asleep in an old boot|stuck in the mud|behind a big leaf|chasing a {small_animal}|"
            "under an empty flower pot|caught in the tall reeds|sitting in a bird nest|in a hole under the fence]"
        ),
    )
    s.say(
        "{B.call} had {n*baby}. Every [evening|night], she counted them {group}.",
        "{group.cap} lived a {kind} with {n*baby}. She counted them before bed.",
    )
    s.say(
        "One evening, she counted again: {counted}. One was missing!",
        "One night, there were only {short}. She counted again. {short.cap}!",
    )
    s.say('"My baby! Where is my little {baby}?" {B.he} cried.', '"Has anyone seen my smallest one?" {B.asks}.')
    s.paragraph()
    s.say(
        '{A.full} heard her. "I will help you look," {A.says}.',
        '{A.full} came with a lantern. "Let\'s look together," {A.he} said.',
    )
    s.say(
        "They looked {outdoors}. They called and called. [Only a frog answered|No answer|All was still].",
        "{A} [listened|stood very still]. There was a tiny [noise|sound|cry].",
    )
    s.say("There was the little one, {found}!", "And then {A} found the little {baby}, {found}.")
    s.say(
        '{A} carried it home. "{short.cap} and one make {n}," {A.he} said.',
        "{B.call} counted once more. Now there were {n} again.",
    )
    s.say(
        '"Thank you, {A.call}! Now I can sleep," {B.says}.',
        '"You have good [eyes|ears], {A.call}. Thank you," {B.says}.',
    )
    s.say(
        "All {n} slept [close together|very well] that night.",
        "And the little one never [ran|went] off again.",
        "Every one of them counts.",
    )


@plot
def shopping_with_coins(s):
    """Coins are counted at a shop; there is just enough, or one too few."""
    A = s.child()
    price = s.chance.between(3, 9)
    short = s.chance.yes(0.5)
    have = price - s.chance.between(1, 2) if short else price + s.chance.between(1, 3)
    s.let(
        A=A,
        B=s.grown_up("shopkeeper", "baker", "toy maker"),
        coin="coin",
        price=price,
        have=have,
        gap=abs(price - have),
        counted=counting(have),
        C=s.parent(A),
        gift=s.thing(lexicon.CLOTHES) if s.chance.yes(0.5) else s.toy(),
    )
    s.introduce(0.1)
    s.say(
        "It was almost {C.s} birthday. {A.he} had saved {have*coin}[ in a jar| in a sock|].",
        "{A.he} had {have*coin} and wanted to buy a gift for {C}.",
    )
    s.say(
        'In the shop window was {gift.a}. {A} went in. "How much is it?" "{price.cap} coins," said {B}.',
        "{A} went to {B.s} shop and saw {gift.a}. It cost {price*coin}.",
    )
    s.paragraph()
    s.say(
        '{A} put the coins down, one by one. "{counted}."',
        "{A} counted the coins on the table. There {have.was} {have}.",
    )
    if short:
        s.say("It was not enough. {gap*coin} {gap.was} missing. {A} [looked at the floor|felt {sad}].")
        s.say(
            '"You can [sweep the shop|water my plants|carry these boxes] for me," {B.says}, "and I will give '
            'you the {gap*coin}."',
        )
        s.say("{A} worked hard. Then {A.he} had {price*coin}, and the {gift} was {A.hers}.")
    else:
        s.say("{A} gave {B} {price*coin} for the {gift}. {have.cap} take away {price} is {gap}, so {A} still had {gap*coin}.")
        s.say(
            "With the {gap*coin}, {A.he} bought [a {sweet}|a ribbon|a {fruit}|paper to wrap it].",
            '"What will you do with the other {gap}?" {B.asks}. "I will save what is left," {A.says}.',
        )
    s.maybe(
        0.3,
        '"For me?" {C} said at home. "It is just what I wanted!"',
        "{C} put it on the table and looked at it all evening.",
        "{C} hugged {A} for a long time.",
    )
    s.close(0.1)


_VILLAGE = (
    "the baker", "the mail carrier", "a tired old man", "the teacher", "a crying baby", "the fisherman", "the bus driver",
    "the doctor", "the neighbor", "an old woman",
)  # fmt: skip
_FOREST = (
    "the owl", "the old toad", "a lost ladybug", "the crow", "the snail", "a shy deer", "the heron", "a baby bird",
    "the woodpecker",
)  # fmt: skip


@plot
def flowers_for_everyone(s):
    """A bunch is given away one by one, and the last one goes to an unexpected person."""
    A = s.hero()
    n = s.chance.between(3, 5)
    friends = s.chance.pick_several(_FOREST if A.species else _VILLAGE, n - 1)
    s.let(
        A=A,
        B=s.parent(A),
        n=n,
        flower=s.pick(*lexicon.FLOWERS),
        fourth="[in a glass of water|on the pillow|by the window]",
    )
    s.introduce(0.1)
    s.say("{one_day}, {A.he} picked {n*flower} for {B}.", "{A.he} picked {n*flower} {outdoors}. They were for {B}.")
    for given, friend in enumerate(friends, start=1):
        s.let(friend=friend, left=n - given)
        s.say(
            "[On the way home|Then], {A.he} met {friend} and gave away one {flower}. Now {A.he} had {left}.",
            "One {flower} went to {friend}. That left {left}.",
            "Then came {friend}. {A} gave one {flower} away and had {left} left.",
        )
    s.paragraph()
    s.say(
        'At home, {A} held out the last {flower}. "I had {n}, but I gave the others away," {A.he} said.',
        '"I am sorry, {B.call}. There is only one left," {A.says}.',
    )
    s.say(
        '{B} [smiled|kissed {A}]. "One {flower} from you is [enough|as good as a hundred|the best gift]."',
        '"And how many people smiled?" {B.asks}. "All of them!" {A.says}.',
    )
    s.maybe(
        0.3,
        "They put it {fourth}.",
        "The next day, there was a whole basket of {flower.s} at the door!",
        "Kindness grows when you give it away.",
    )
    s.close(0.05)
