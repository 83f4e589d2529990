"""The training corpus as token ids, in several encodings with BPE-dropout, kept in the run folder.

Texts are tokenized once and then read from disk. BPE-dropout uses a random generator that cannot be seeded;
its encodings are stored, so that a resumed run sees the same batches.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from keras_attn.data import encode_pairs, with_dropout
from keras_attn.data.batching.ragged import Ragged, stored

PLAIN = "plain"
SIDES = ("source", "target")


class EncodedCorpus:
    """Encodings of training pairs, made on first use.

    Args:
        folder: the folder that stores the encodings.
        tokenizer: `tokenizers.Tokenizer`.
        pairs: the training pairs.
        dropout: float, BPE-dropout; 0 for none.
        variants: int, number of random encodings, which the epochs use in turn.
        encode: given a tokenizer and the pairs, returns the ids of both sides of each.
    """

    def __init__(
        self,
        folder: Path,
        tokenizer,
        pairs,
        dropout: float,
        variants: int,
        encode: Callable[[Any, Any], Sequence[tuple[list[int], list[int]]]] = encode_pairs,
    ):
        self.folder = folder
        self.tokenizer = tokenizer
        self.pairs = pairs
        self.dropout = dropout
        self.variants = variants
        self.encode = encode

    def variant(self, epoch: int, plain: bool) -> str:
        """Return the name of the encoding that an epoch uses."""
        return PLAIN if plain or not self.dropout else f"dropout-{epoch % self.variants}"

    def load(self, variant: str) -> tuple[Ragged, Ragged]:
        """Return the sources' and the targets' ids of an encoding, memory-mapped."""
        arrays = stored(self.folder / variant, lambda: self._encode(variant))
        source, target = (Ragged(arrays[f"{side}_ids"], arrays[f"{side}_ends"]) for side in SIDES)
        return source, target

    def _encode(self, variant: str) -> dict:
        drops = variant != PLAIN
        tokenizer = with_dropout(self.tokenizer, self.dropout) if drops else self.tokenizer
        encoded = self.encode(tokenizer, self.pairs)
        arrays = {}
        for number, side in enumerate(SIDES):
            ids = Ragged.of(pair[number] for pair in encoded)
            arrays |= {f"{side}_ids": ids.flat, f"{side}_ends": ids.ends}
        return arrays
