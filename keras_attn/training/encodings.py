"""The training corpus as token ids, several times over when BPE-dropout is on, kept in the run folder.

BPE-dropout draws from a generator that cannot be seeded; what it drew is stored, so that a resumed run sees
the very batches it would have seen.
"""

from pathlib import Path

import numpy as np

from keras_attn.data import encode_pairs, with_dropout

PLAIN = "plain"


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

    def load(self, variant: str) -> list[tuple[list[int], list[int]]]:
        """Give the pairs of ids of an encoding."""
        if variant == PLAIN:
            return encode_pairs(self.tokenizer, self.pairs)
        path = self.folder / f"{variant}.npz"
        if not path.is_file():
            encoded = encode_pairs(with_dropout(self.tokenizer, self.dropout), self.pairs)
            self._write(path, encoded)
        with np.load(path, allow_pickle=False) as arrays:
            sides = [
                _split(arrays[f"{side}_ids"], arrays[f"{side}_lengths"]) for side in ("source", "target")
            ]
        return list(zip(*sides, strict=True))

    def _write(self, path: Path, encoded) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        arrays = {}
        for i, side in enumerate(("source", "target")):
            arrays[f"{side}_ids"] = np.concatenate([np.array(pair[i], np.int32) for pair in encoded])
            arrays[f"{side}_lengths"] = np.array([len(pair[i]) for pair in encoded], np.int32)
        aside = path.with_suffix(".part")
        with aside.open("wb") as file:
            np.savez_compressed(file, **arrays)
        aside.rename(path)


def _split(ids, lengths) -> list[list[int]]:
    ends = np.cumsum(lengths)
    return [ids[end - length : end].tolist() for end, length in zip(ends, lengths, strict=True)]
