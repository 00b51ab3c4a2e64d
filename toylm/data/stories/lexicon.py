"""The words of the stories: names, animals, things, places, food, weather, feelings, and what children like to do.

Lists of words are written as text and split, one entry a comma: they are meant to be read and added to.
"""

from toylm.data.stories.cast import Species


def _list(text: str) -> tuple[str, ...]:
    return tuple(" ".join(entry.split()) for entry in text.split(","))


GIRLS = _list(
    """
    Lily, Mia, Anna, Emma, Zoe, Ruby, Nora, Ella, Maya, Rosa, Clara, Ivy, Lucy, Amy, Grace, Hana, Leila, Sofia,
    Tess, Nina, Olive, Penny, Daisy, Molly, Kate, Sara, Alma, Freya, Greta, June, Kira, Lena, Marta, Priya, Yuki,
    Zara, Bella, Carla, Dora, Edith, Fiona, Gina, Holly, Iris, Jana, Lola, Mina, Noor, Opal, Pia, Rita, Sally,
    Tara
    """
)
BOYS = _list(
    """
    Tom, Ben, Max, Sam, Leo, Jack, Tim, Finn, Noah, Oscar, Theo, Adam, Omar, Hugo, Luke, Milo, Nico, Otto, Paul,
    Ravi, Emil, Felix, George, Henry, Ivan, Jonas, Karl, Liam, Mateo, Ned, Owen, Peter, Ali, Rory, Simon, Toby,
    Victor, Will, Anton, Conrad, Carlos, David, Eddie, Frank, Gus, Harry, Jamal, Kenji, Lars, Marco, Nils, Ollie,
    Pablo
    """
)
GIRL_ANIMALS = _list(
    """
    Hazel, Clover, Willow, Ginger, Fern, Maple, Honey, Juniper, Lulu, Peach, Tansy, Violet, Dot, Cocoa, Poppy,
    Bramble, Pearl, Plum, Misty, Tilly, Nutmeg, Dandelion, Pepper, Mimi, Velvet, Heather, Rosie, Sage
    """
)
BOY_ANIMALS = _list(
    """
    Pip, Bumble, Biscuit, Tumble, Moss, Dusty, Rusty, Twig, Acorn, Flick, Kip, Nibble, Olly, Rolo, Scout, Whisk,
    Ziggy, Barley, Cricket, Bruno, Rocky, Chester, Alder, Basil, Dabble, Monty, Quill, Thistle
    """
)
SURNAMES = _list(
    """
    Bell, Green, Frost, Stone, Wood, Hill, Brown, Fisher, Lake, Rose, Field, Marsh, Page, Reed, Snow, Winter,
    Park, Lopez, Singh, Mori, Novak, Silva, Khan, Berg
    """
)

_TROTTED = ("ran", "trotted", "hurried")
_SCURRIED = ("scurried", "scampered", "dashed")
_HOPPED = ("hopped", "bounced", "leaped")
_WADDLED = ("waddled quickly", "hurried")
_PLODDED = ("hurried", "stomped")

SPECIES = (
    Species("bear", _TROTTED, ("cave", "den"), ("honey", "blueberries", "honey cake")),
    Species("fox", _TROTTED, ("den",), ("plum pie", "berries", "warm bread")),
    Species("rabbit", _HOPPED, ("burrow",), ("carrots", "clover", "carrot soup")),
    Species("hare", _HOPPED, ("hollow",), ("lettuce", "sweet grass")),
    Species("mouse", _SCURRIED, ("hole", "nest"), ("cheese", "bread crumbs", "corn")),
    Species("squirrel", _SCURRIED, ("tree house", "nest"), ("nuts", "acorn cookies", "seeds")),
    Species("hedgehog", _SCURRIED, ("hollow log", "bed of leaves"), ("berries", "mushroom soup")),
    Species("frog", _HOPPED, ("house by the pond",), ("pond soup", "watercress"), "hand"),
    Species("duck", _WADDLED, ("nest in the reeds",), ("corn", "bread", "peas"), "wing"),
    Species("penguin", _WADDLED, ("snow house",), ("sardines", "seaweed soup"), "wing"),
    Species("badger", _TROTTED, ("burrow", "den"), ("apple cake", "mushrooms")),
    Species("beaver", _PLODDED, ("lodge",), ("bark stew", "water lilies")),
    Species("otter", _TROTTED, ("den by the river",), ("river soup", "clams")),
    Species("raccoon", _SCURRIED, ("hollow tree",), ("plums", "corn", "peanuts")),
    Species("mole", _SCURRIED, ("tunnel", "burrow"), ("root soup", "turnips")),
    Species("kitten", _TROTTED, ("basket", "house"), ("milk", "tuna", "cream")),
    Species("puppy", _TROTTED, ("kennel", "house"), ("biscuits", "stew")),
    Species("lamb", _TROTTED, ("barn",), ("clover", "oats"), "hoof"),
    Species("goat", _TROTTED, ("barn", "shed"), ("hay", "turnips", "thistles"), "hoof"),
    Species("piglet", _TROTTED, ("barn", "pen"), ("apples", "potatoes", "corn"), "hoof"),
    Species("pony", _TROTTED, ("stable", "barn"), ("oats", "apples", "carrots"), "hoof"),
    Species("elephant", _PLODDED, ("grove", "home"), ("bananas", "melons", "peanuts"), "trunk"),
    Species("monkey", _SCURRIED, ("tree house",), ("bananas", "mangoes", "figs"), "hand"),
    Species("panda", _PLODDED, ("grove", "cave"), ("bamboo", "rice cakes")),
    Species("koala", _PLODDED, ("tree house",), ("leaf salad", "green leaves")),
    Species("turtle", _PLODDED, ("garden", "hollow log"), ("lettuce", "strawberries"), "foot"),
)  # fmt: skip

AGES = _list("little, little, young, small")
TRAITS = _list(
    """
    cheerful, curious, kind, gentle, friendly, merry, happy, clever, bright, sweet, polite, playful, busy, funny,
    thoughtful, good-hearted, patient, careful, helpful, dreamy
    """
)
COLORS = _list(
    """
    red, blue, green, yellow, orange, purple, pink, white, brown, silver, golden, striped, spotted, bright red,
    dark blue, light green
    """
)
TOYS = _list(
    """
    ball, kite, drum, doll, toy car, toy boat, toy train, puzzle, yo-yo, whistle, toy truck, rocking horse, jump
    rope, hoop, teddy bear, puppet, toy robot, toy plane, toy rabbit, music box, spinning top, toy horse, toy
    tractor, scooter, wagon, toy fire truck, toy dinosaur, paper crown, toy elephant, bubble wand, toy castle, tin
    soldier
    """
)
SMALL_TOYS = _list(
    """
    ball, doll, toy car, toy boat, yo-yo, whistle, teddy bear, puppet, toy robot, toy plane, toy rabbit, spinning
    top, toy horse, toy dinosaur, toy elephant, tin soldier, toy duck, toy lion, rag doll, rubber duck, marble,
    picture book, flashlight
    """
)
CLOTHES = _list("hat, scarf, coat, cap, sweater, dress, raincoat, apron, backpack, jacket, shirt, cape, vest")
TREASURES = _list(
    """
    shell, button, feather, pebble, marble, acorn, coin, bead, ribbon, leaf, crystal, pine cone, key, bell, stone,
    sea star, ring, stamp, sticker, chestnut
    """
)
FRUIT = _list(
    """
    apple, pear, plum, peach, orange, banana, strawberry, cherry, lemon, mango, fig, apricot, melon, tangerine
    """
)
SWEETS = _list(
    """
    cookie, muffin, cupcake, candy, pancake, doughnut, lollipop, waffle, ginger cookie, honey cake, bun, tart,
    brownie
    """
)
FLOWERS = _list(
    """
    daisy, tulip, rose, sunflower, poppy, violet, buttercup, lily, bluebell, daffodil, marigold, pansy
    """
)
BIRDS = _list(
    """
    robin, sparrow, blackbird, wren, blue jay, pigeon, crow, swallow, finch, owl, woodpecker, thrush, magpie
    """
)
SMALL_ANIMALS = _list(
    """
    squirrel, rabbit, butterfly, ladybug, bee, snail, beetle, frog, lizard, grasshopper, caterpillar, dragonfly,
    chipmunk, ant, spider, cricket, toad, mole
    """
)
TREES = _list(
    """
    oak, apple tree, pine, willow, cherry tree, chestnut tree, maple, birch, pear tree, elm, fig tree
    """
)
GAMES = _list(
    """
    hide and seek, tag, catch, leapfrog, hopscotch, marbles, pirates, follow the leader, store, explorers, kings
    and queens, firefighters, blind man's bluff, pretend school, space travelers, knights
    """
)
SKILLS = _list(
    """
    ride a bike, skate, swim, whistle, tie a bow, jump rope, juggle, do a cartwheel, skip stones, stand on one
    leg, write a name, play the flute, dance, fold a paper bird, ride a scooter, knit, draw a horse
    """
)

OUTDOORS = _list(
    """
    in the park, at the playground, by the river, in the meadow, on the hill, in the garden, near the pond, in the
    orchard, at the edge of the woods, behind the barn, by the old bridge, on the village green, in the field,
    down by the stream, under the big oak, in the yard
    """
)
GOING_TO = _list(
    """
    to the park, to the river, to the meadow, up the hill, to the pond, to the orchard, into the woods, to the old
    mill, to the village, to the stream, across the bridge, to the big field, down the lane
    """
)
HIDING_PLACES = _list(
    """
    under the bed, behind the sofa, in the laundry basket, under the table, behind the door, in the tall grass,
    under a bush, in the wheelbarrow, on top of the shelf, behind the curtain, under the porch, in the flower pot,
    beside the well, inside a boot, under a blanket, behind the stove, in the apple basket, on the window sill, in
    the doghouse, under a heap of leaves, in the toy box, in a coat pocket, next to the gate, at the bottom of the
    stairs, in the mailbox, under a pillow
    """
)
LIVING = _list(
    """
    by the sea, near a quiet river, at the edge of a forest, on a small farm, at the end of a long lane, on top of
    a green hill, in a busy village, next to a wide lake, in a sunny valley, behind the old mill, beside a pond,
    near the mountains, close to a windy beach, not far from the woods, across from a garden, under tall trees
    """
)

HOBBIES = _list(
    """
    sing, dance, paint, read books, climb trees, build towers, draw pictures, jump in puddles, pick flowers, play
    the drum, look for bugs, tell jokes, bake bread, ride on swings, count the stars, collect leaves, make mud
    pies, fly kites, watch the clouds, feed the birds, help in the garden, hum songs, chase butterflies, skip
    stones, roll down hills, ask questions, listen to stories, play in the sand, watch the rain, make paper boats,
    cook soup, dig holes, dress up, water the plants, look at maps, sort buttons, invent games, whistle tunes,
    splash in the stream, tell stories
    """
)

GLAD = _list("happy, glad, so happy, very happy, full of joy, delighted, pleased, as happy as could be")
SAD = _list("sad, very sad, unhappy, so sad, miserable, upset, close to tears, gloomy")
SCARED = _list("scared, afraid, frightened, very scared, nervous, worried")
PROUD = _list("proud, very proud, so proud, as proud as a king, full of pride")
ANGRY = _list("angry, cross, mad, very cross, grumpy")
SORRY = _list("sorry, ashamed, very sorry, terrible, so sorry")
TIRED = _list("tired, sleepy, worn out, very tired, so tired")
SMELLS = _list(
    """
    fresh bread, cut grass, rain, wet leaves, roses, pine, hay, wood smoke, cinnamon, apples, mint, the sea,
    honey, warm earth, lemons, wild thyme
    """
)
SOUNDS = _list("buzzed, chirped, rustled, hummed")

FAIR = _list("sunny, bright, warm, windy, cool, quiet, golden, clear, breezy, fine, lovely, blue, mild")
RAINY = _list("rainy, wet, gray, stormy, drizzly, cloudy")
SNOWY = _list("snowy, cold, frosty, icy, white, chilly")
ANY_SKY = _list("quiet, busy, fine, slow, special, lovely, long, sunny, rainy, windy, cold, warm, gray")
MORNING = _list(
    """
    morning, morning, day, day, afternoon, Saturday, Sunday, Monday, Tuesday, Friday, spring day, summer day,
    autumn day
    """
)
EVENING = _list("evening, night")
