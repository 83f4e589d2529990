"""The training corpus as token ids, several times over when BPE-dropout is on, kept in the run folder.

Texts are tokenized once, and read from disk from then on. BPE-dropout draws from a generator that cannot be
seeded; what it drew is stored, so that a resumed run sees the very batches it would have seen.
"""

from pathlib import Path

from keras_attn.data import encode_pairs, with_dropout
from keras_attn.data.batching.ragged import Ragged, stored

PLAIN = "plain"
SIDES = ("source", "target")


class EncodedCorpus:
    """Encodings of training pairs, made when first asked for.

    Args:
        folder: where encodings are kept.
        tokenizer: `tokenizers.Tokenizer`.
        pairs: the training pairs.
        dropout: float, BPE-dropout; 0 for none.
        variants: int, how many random encodings are drawn; epochs take turns among them.
    """

    def __init__(self, folder: Path, tokenizer, pairs, dropout: float, variants: int):
        self.folder = folder
        self.tokenizer = tokenizer
        self.pairs = pairs
        self.dropout = dropout
        self.variants = variants

    def variant(self, epoch: int, plain: bool) -> str:
        """Name the encoding that an epoch uses."""
        return PLAIN if plain or not self.dropout else f"dropout-{epoch % self.variants}"

    def load(self, variant: str) -> tuple[Ragged, Ragged]:
        """Give the sources' and the targets' ids of an encoding, mapped into memory."""
        arrays = stored(self.folder / variant, lambda: self._encode(variant))
        source, target = (Ragged(arrays[f"{side}_ids"], arrays[f"{side}_ends"]) for side in SIDES)
        return source, target

    def _encode(self, variant: str) -> dict:
        drops = variant != PLAIN
        tokenizer = with_dropout(self.tokenizer, self.dropout) if drops else self.tokenizer
        encoded = encode_pairs(tokenizer, self.pairs)
        arrays = {}
        for number, side in enumerate(SIDES):
            ids = Ragged.of(pair[number] for pair in encoded)
            arrays |= {f"{side}_ids": ids.flat, f"{side}_ends": ids.ends}
        return arrays
