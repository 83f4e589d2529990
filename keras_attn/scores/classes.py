"""Prediction of classes by a Keras model, and their scores."""

from collections.abc import Sequence

import numpy as np
from keras import ops

from keras_attn.compilation import compiled
from keras_attn.data.batching.row_batches import RowBatches, widths
from keras_attn.data.byte_tokenizer import encode_texts
from keras_attn.device.runtime.encoder import segments_of
from keras_attn.scores.order import correlations


class ClassPredictor:
    """A text classifier with its tokenizer; compiled once per width.

    Args:
        model: `keras_attn.models.TextClassifier`.
        tokenizer: `tokenizers.Tokenizer`, whose `encode` gives the model's input.
        pad_id: int.
        max_tokens: int; longer texts are cut.
        boundaries: widths that batches are padded to.
        batch_size: int.
        segments: whether the model distinguishes the texts of a pair by segments.
    """

    def __init__(
        self,
        model,
        tokenizer,
        pad_id: int,
        max_tokens: int,
        boundaries: Sequence[int],
        batch_size=32,
        segments: bool = False,
    ):
        self.tokenizer, self.pad_id, self.max_tokens = tokenizer, pad_id, max_tokens
        self.boundaries = widths(boundaries, max_tokens)
        self.batch_size = batch_size
        self.classes = len(getattr(model, "labels", ("score",)))
        enclosing = tokenizer.encode("").ids
        self._end = enclosing[-1] if enclosing and segments else None
        self._logits = compiled(model, lambda inputs: model(inputs, training=False))

    @classmethod
    def of_run(cls, run) -> "ClassPredictor":
        """Return the classifier of a run."""
        config = run.config
        boundaries = config["training"]["boundaries"]
        segments = bool(config["training"].get("pair_column")) and run.model.backbone.num_segments > 1
        return cls(
            run.model,
            run.tokenizer,
            run.special_ids["pad"],
            config["max_tokens"],
            boundaries,
            segments=segments,
        )

    def logits(self, texts: Sequence[str | tuple[str, str]]) -> np.ndarray:
        """Compute the logits of texts or pairs, float32 (N, C)."""
        ids = encode_texts(self.tokenizer, texts, self.max_tokens)
        found = np.zeros((len(ids), self.classes), np.float32)
        for batch in RowBatches([len(row) for row in ids], self.boundaries, self.batch_size).in_order():
            token_ids, exists = batch.padded(ids, self.pad_id)
            inputs = {"token_ids": token_ids, "padding_mask": exists}
            if self._end is not None:
                inputs["segment_ids"] = segments_of(token_ids, self._end) * exists
            scores = self._logits({name: ops.convert_to_tensor(array) for name, array in inputs.items()})
            found[batch.rows] = np.asarray(ops.convert_to_numpy(scores), np.float32)[: len(batch.rows)]
        return found


def label_scores(truth: np.ndarray, found: np.ndarray) -> dict[str, float]:
    """Compute the scores of texts that may have several labels, or none.

    Args:
        truth: (N, C) bool, the right labels.
        found: (N, C) bool.

    Returns:
        `micro_f1` over all labels of all texts, `macro_f1`, the mean F1 of the labels that occur,
        `accuracy`, the share of texts whose labels are all right, and the number of `sentences`.
    """
    hits = (truth & found).sum(axis=0)
    sums = truth.sum(axis=0) + found.sum(axis=0)  # (C,)
    occurs = sums > 0
    return {
        "micro_f1": float(2 * hits.sum() / sums.sum()) if sums.sum() else 1.0,
        "macro_f1": float(np.mean(2 * hits[occurs] / sums[occurs])) if occurs.any() else 1.0,
        "accuracy": float((truth == found).all(axis=1).mean()),
        "sentences": len(truth),
    }


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


def probabilities(kind: str, logits: np.ndarray) -> np.ndarray:
    """Return the probabilities (N, C) of logits: by a softmax of `"classes"`, else one by one."""
    wide = logits.astype(np.float64)
    if kind != "classes":
        return np.exp(-np.logaddexp(0.0, -wide))
    shifted = np.exp(wide - wide.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def logit_loss(kind: str, logits: np.ndarray, truth: np.ndarray) -> float:
    """Compute the mean loss of logits (N, C), as `ClassObjective` has it for each kind."""
    if kind == "classes":
        return cross_entropy(logits, truth.tolist())
    wide = logits.astype(np.float64)
    losses = (wide - truth) ** 2 if kind == "number" else np.logaddexp(0.0, wide) - truth * wide
    return float(losses.mean())


def logit_scores(kind: str, logits: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Compute the scores of logits (N, C).

    Args:
        kind: `"classes"`, `"labels"`, `"probability"` or `"number"`.
        logits: (N, C).
        truth: classes (N,), labels (N, C) or scores (N, 1).

    Returns:
        As `class_scores`, `label_scores` or `correlations`.
    """
    if kind == "classes":
        return class_scores(confusion(truth.tolist(), logits.argmax(axis=1).tolist(), logits.shape[1]))
    if kind == "labels":
        return label_scores(truth > 0, logits > 0)
    return correlations(truth[:, 0].tolist(), logits[:, 0].tolist())
