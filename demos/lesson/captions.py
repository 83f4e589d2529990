"""Texts that the lesson learns from: captions in English and French, and sentences about what "it" means.

A grammar of some fifty words writes them, so that nothing is downloaded and a small model can be good.
"""

import random

# English: French, feminine?
NOUNS = {
    "dog": ("chien", False), "horse": ("cheval", False), "cat": ("chat", False), "wolf": ("loup", False),
    "cow": ("vache", True), "mouse": ("souris", True), "goat": ("chèvre", True), "hen": ("poule", True),
    "boy": ("garçon", False), "baker": ("boulanger", False), "king": ("roi", False), "poet": ("poète", False),
    "girl": ("fille", True), "woman": ("femme", True), "queen": ("reine", True), "lady": ("dame", True),
}  # fmt: skip
ANIMALS = tuple(NOUNS)[:8]
PEOPLE = tuple(NOUNS)[8:]
# English: French masculine, feminine. In French they stand behind the noun.
ADJECTIVES = {
    "black": ("noir", "noire"), "white": ("blanc", "blanche"), "tired": ("fatigué", "fatiguée"),
    "happy": ("content", "contente"), "strong": ("fort", "forte"), "gentle": ("doux", "douce"),
    "slow": ("lent", "lente"), "hungry": ("affamé", "affamée"),
}  # fmt: skip
# What both do, what only animals do, what only people do.
BOTH = {"sleeps": "dort", "waits": "attend", "plays": "joue", "drinks": "boit", "walks": "marche"}
ANIMAL_VERBS = {"grazes": "broute", "bites": "mord", "sniffs": "renifle", "scratches": "gratte"}
PERSON_VERBS = {"sings": "chante", "reads": "lit", "talks": "parle", "writes": "écrit"}

TIRED = ("tired", "hungry", "afraid", "sick", "sleepy")
WIDE = ("wide", "busy", "long", "icy", "noisy")
CROSSED = ("street", "bridge", "road", "river")


def clause(chance: random.Random, nouns: tuple[str, ...] = tuple(NOUNS)) -> tuple[str, str]:
    """Return one caption, such as "the black dog sleeps", in English and in French."""
    noun = chance.choice(nouns)
    french, feminine = NOUNS[noun]
    adjective = chance.choice(list(ADJECTIVES))
    verbs = BOTH | (ANIMAL_VERBS if noun in ANIMALS else PERSON_VERBS)
    verb = chance.choice(list(verbs))
    english = f"the {adjective} {noun} {verb}"
    return english, f"{'la' if feminine else 'le'} {french} {ADJECTIVES[adjective][feminine]} {verbs[verb]}"


def caption_pairs(count: int, seed: int, clauses: tuple[int, ...] = (1, 2, 3, 4)) -> list[tuple[str, str]]:
    """Return captions of several clauses, English and French."""
    chance = random.Random(seed)
    pairs = []
    for _ in range(count):
        english, french = zip(*(clause(chance) for _ in range(chance.choice(clauses))), strict=True)
        pairs.append((" and ".join(english), " et ".join(french)))
    return pairs


def captions(count: int, seed: int, nouns: tuple[str, ...] = tuple(NOUNS)) -> list[str]:
    """Return English captions of one clause about some nouns."""
    chance = random.Random(seed)
    return [clause(chance, nouns)[0] for _ in range(count)]


def it_sentences(count: int, seed: int) -> list[tuple[str, str]]:
    """Return sentences like "the dog did not cross the street because it was too tired", and what "it" is."""
    chance = random.Random(seed)
    found = []
    for _ in range(count):
        animal, place = chance.choice(ANIMALS), chance.choice(CROSSED)
        word, meant = chance.choice([(each, animal) for each in TIRED] + [(each, place) for each in WIDE])
        found.append((f"the {animal} did not cross the {place} because it was too {word}", meant))
    return found
