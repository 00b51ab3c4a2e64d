"""Beats that any story may use: how it opens, what happens by the way, how people feel, how it closes.

Each is a tuple of templates (see `template.py`), one of which is drawn; `A` is always the hero.
"""

INTRODUCTIONS = (
    "[Once upon a time,|Once,|Long ago,|A long time ago,] there was a {trait} {A.kind} named {A}.",
    "There once was a {trait} {A.kind} called {A}.",
    "[Once upon a time,|Once,] a {trait} {A.kind} named {A} lived {living}.",
    "{A} was a {A.kind} who lived {living}.",
    "{A} was a {age} and {trait2} {A.kind}.",
    "In a [small|cozy|tidy|little|warm|snug] {A.home} lived a {A.kind} named {A}.",
    "{living.cap} lived a {trait} {A.kind}. {A.own} name was {A}.",
    "This is the story of {A}, a {trait} {A.kind}.",
    "{A} was a {A.kind} with a [big smile|loud laugh|soft voice|{color} {clothes}|kind heart].",
    "Do you know {A}, the {trait} {A.kind}?",
    "Everyone {living2} knew {A}, the {trait} {A.kind}.",
    "{A} was a {trait} {A.kind}.",
    "There was a {trait} {A.kind} named {A}.",
    "Here comes {A}, a {age} {A.kind} from {town}.",
)

# A second sentence for the introduction. {hobby} and {hobby2} are verb phrases.
HABITS = (
    "{A.he} [loved|liked|really loved] to {hobby} and {hobby2}.",
    "{A.he} loved {hobby.doing} more than anything.",
    "Every [day|morning|week|Sunday], {A.he} {hobby.did}[ and {hobby2.did}|].",
    "When {A.he} was not {hobby.doing}, {A.he} was {hobby2.doing}.",
    "{A.his} favorite [food was {A.food}|color was {plain_color}|thing to do was to {hobby}].",
    "{A.he} [always|often|almost always] wore a {color} {clothes}.",
    "{A.he} liked {A.food}, long naps and {hobby.doing}.",
    "Most of all, {A.he} liked to {hobby}.",
    "[In the mornings|After breakfast|After lunch|On warm days], {A.he} liked to {hobby}.",
    "{A.he} could {hobby} all day long.",
)

# What may be seen, heard and smelled by the way, out of doors in fair weather.
OUTDOOR_ASIDES = (
    "A {bird} sang in [the|an old|a tall] {tree}.",
    "The {flowers} [were in bloom|nodded in the wind|smelled sweet].",
    "The air smelled of {smell}[ and {smell2}|].",
    "A {small_animal} [sat in the grass|rested on a warm stone|hid under a leaf|watched from the shade].",
    "The sun [felt warm|was high in the sky|shone through the leaves|peeked from behind a cloud].",
    "[Soft|White|Fluffy|Small] clouds [drifted by|floated over the hills|looked like sheep].",
    "On the way, {A.he} [saw a {small_animal}|counted three {bird.s}|waved to a {bird}|picked a {flower}].",
    "The grass [was wet with dew|tickled {A.his} feet|was soft and green|swayed in the breeze].",
    "Somewhere a [dog barked|cow mooed|bell rang|rooster crowed|{bird} called].",
    "[Bees|Flies|Dragonflies] {hummed} [over the {flowers}|in the warm air].",
    "A [cool|soft|light|gentle] breeze [blew|moved the leaves|played with the grass].",
)

INDOOR_ASIDES = (
    "The kitchen smelled of {smell}.",
    "The clock on the wall went tick, tock.",
    "[Outside|Behind the window], a {bird} [sang|hopped on the wall|looked for crumbs].",
    "The floor was [cold|warm] under {A.his} feet.",
    "A pot of {A.food} stood on the table.",
    "[Sunlight|Light] fell [through the window|on the rug].",
    "Somewhere a door [creaked|closed].",
    "It was [very quiet|warm and cozy|nice and warm] inside.",
)

THANKS = (
    '"Thank you, {B.call}!" {A.says}.',
    '"Thank you so much, {B.call}," {A.says}.',
    '"Oh, thank you, {B.call}! You are [so kind|very kind|a good friend|the best]," {A.says}.',
    '"{B.call}, [you saved the day|you are wonderful|thank you for helping me]," {A.says}.',
    '{A} [hugged|thanked] {B}. "[I could not have done it without you|You are so good to me], {B.call}," {A.says}.',
    '"I will never forget this, {B.call}," {A.says}. "Thank you."',
)

AGREEMENTS = (
    '"[Yes|Of course|Sure|All right|Okay|Good idea|Yes, please|That sounds fun|Why not]!" {B.says}.',
    '"[I would love to|Let\'s do it|I am ready|What fun|Count me in]," {B.says}.',
    "{B} nodded. \"[Let's try|Let's go|Fine with me|I like that|Gladly].\"",
    "{B} [smiled|grinned|clapped|jumped up] and said yes.",
)

# The last sentence of a story about one hero, whatever has happened in it.
CLOSINGS = (
    "[That night|That evening], {A} [fell asleep with a smile|slept very well|dreamed sweet dreams|went to bed happy].",
    "{A} [smiled|laughed|hummed] all the way home.",
    "It was [the best|a wonderful|a very good|a perfect|a day to remember, the best] day.",
    "[Then|Soon] it was time for dinner, and {A} ate two [bowls|plates] of {A.food}.",
    "{A} [never forgot|always remembered|often thought about] that day.",
    "And {A} was {glad}.",
    "{A} felt warm inside.",
    "What a day it had been!",
    "From that day on, {A} [smiled more|felt a little bigger|was even more {trait2} than before].",
    "{A} could not wait to tell {parent_word} all about it.",
    "The sun went down, and {A} [yawned|went home|was {tired}].",
    "And that was [a good ending to the day|the end of it|just how {A} liked it].",
)

# The same for two friends, A and B.
SHARED_CLOSINGS = (
    "{A} and {B} [laughed|smiled|giggled|danced] together.",
    "From then on, {A} and {B} [were best friends|did everything together|played together every day|always helped each other].",
    "{A} and {B} [walked home|went home] [hand in hand|side by side|singing|with big smiles].",
    "They played until [the sun went down|the stars came out|it was time to go home|dinner].",
    '"You are my best friend," {A.says}. "And you are mine," {B.says}.',
    "Both of them were {glad}.",
    "{A} and {B} [shared|ate] {A.food} and talked about it all evening.",
    "[That night|At bedtime], they both thought about [the day|each other] and smiled.",
    "[It was|They both said it was] [the best|a wonderful] day.",
    '{A} waved to {B}. "See you tomorrow!" {A.shouts}.',
)
