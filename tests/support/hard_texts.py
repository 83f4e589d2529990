"""Texts that tell two tokenizers apart, with words of a caller's among them."""

import random
from collections.abc import Sequence

from keras_attn.device.proof.tokenizer_proof import HARD_TEXTS

_JOINTS = ("", " ", "  ", "\u00a0", "\u3000", ".", ", ", "\n", "-", "'", "é", "日", "\u200d", "x", "S")
_WORDS = (
    "was bad",
    "Naïve façade",
    "株価は上がった",
    "👩\u200d👩\u200d👧 ok",
    "שָׁלוֹם",
    "don't",
    "HELLO",
    "a\x00b",
    "12.5%",
    "",
)


def hard_texts(words: Sequence[str], count: int = 300) -> list[str]:
    """Return the texts of the proof, shortened, and `count` more in which `words` touch all sorts of text."""
    rng = random.Random(0)
    spelled = [each for word in words for each in (word, word.upper(), word.capitalize(), word.lower())]
    made = []
    for _ in range(count):
        parts = rng.choices([*spelled, *_WORDS], k=rng.randrange(1, 6))
        made.append("".join(part + rng.choice(_JOINTS) for part in parts))
    return [text[:400] for text in HARD_TEXTS] + spelled + made
