"""Prediction of classes by a Keras model, and their scores."""

from collections.abc import Sequence

import numpy as np
from keras import ops

from keras_attn.compilation import compiled
from keras_attn.data.batching.row_batches import RowBatches, widths
from keras_attn.data.byte_tokenizer import encode_texts


class ClassPredictor:
    """A text classifier with its tokenizer; compiled once per width.

    Args:
        model: `keras_attn.models.TextClassifier`.
        tokenizer: `tokenizers.Tokenizer`, whose `encode` gives the model's input.
        pad_id: int.
        max_tokens: int; longer texts are cut.
        boundaries: widths that batches are padded to.
        batch_size: int.
    """

    def __init__(
        self, model, tokenizer, pad_id: int, max_tokens: int, boundaries: Sequence[int], batch_size=32
    ):
        self.tokenizer, self.pad_id, self.max_tokens = tokenizer, pad_id, max_tokens
        self.boundaries = widths(boundaries, max_tokens)
        self.batch_size = batch_size
        self.classes = len(model.labels)
        self._logits = compiled(model, lambda inputs: model(inputs, training=False))

    @classmethod
    def of_run(cls, run) -> "ClassPredictor":
        """Return the classifier of a run."""
        config = run.config
        boundaries = config["training"]["boundaries"]
        return cls(run.model, run.tokenizer, run.special_ids["pad"], config["max_tokens"], boundaries)

    def logits(self, texts: Sequence[str]) -> np.ndarray:
        """Compute the logits of texts, float32 (N, C)."""
        ids = encode_texts(self.tokenizer, texts, self.max_tokens)
        found = np.zeros((len(ids), self.classes), np.float32)
        for batch in RowBatches([len(row) for row in ids], self.boundaries, self.batch_size).in_order():
            token_ids, exists = batch.padded(ids, self.pad_id)
            scores = self._logits(
                {
                    "token_ids": ops.convert_to_tensor(token_ids),
                    "padding_mask": ops.convert_to_tensor(exists),
                }
            )
            found[batch.rows] = np.asarray(ops.convert_to_numpy(scores), np.float32)[: len(batch.rows)]
        return found


def confusion(truth: Sequence[int], found: Sequence[int], classes: int) -> np.ndarray:
    """Count the texts of each class (rows) by the class that was found (columns), int (C, C)."""
    counts = np.zeros((classes, classes), int)
    np.add.at(counts, (np.asarray(truth, int), np.asarray(found, int)), 1)
    return counts


def class_scores(counts: np.ndarray) -> dict[str, float]:
    """Compute accuracy and the mean F1 of all classes that occur, from the counts of `confusion`."""
    hits, sums = np.diag(counts), counts.sum(axis=0) + counts.sum(axis=1)
    occurs = sums > 0
    return {
        "accuracy": float(hits.sum() / counts.sum()),
        "macro_f1": float(np.mean(2 * hits[occurs] / sums[occurs])),
        "sentences": int(counts.sum()),
    }


def cross_entropy(logits: np.ndarray, truth: Sequence[int]) -> float:
    """Compute the mean cross-entropy in nats of classes (N,) under logits (N, C)."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return float(-log_p[np.arange(len(log_p)), np.asarray(truth, int)].mean())
