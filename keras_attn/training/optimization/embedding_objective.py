"""The losses of sentence encoders: negatives of the batch, scores of pairs, a teacher's vectors."""

from collections.abc import Sequence

from keras import ops

from keras_attn.training.optimization.gradient_cache import cached_step
from keras_attn.training.optimization.objectives import CompiledObjective
from keras_attn.training.optimization.position_objectives import weighted_mean

EXCLUDED = -1e9
PAIRS, SCORES = "pairs", "scores"


class EmbeddingObjective(CompiledObjective):
    """Trains a model that returns one vector per text, by texts that belong together.

    Args:
        model: such as `keras_attn.models.TextEmbedder`, with vectors (N, D).
        kind: `"pairs"`, `"scores"`, or `None` for the teacher only.
        scale: float, factor of cosines.
        dimensions: numbers of first values whose losses are added to that of the whole vector; the mean of
            all is the loss.
        distillation: float, weight of the teacher, from 0 to 1.

    Call arguments:
        inputs: dict of `token_ids` and `padding_mask` (B, K, T) of K texts a row, and of their
            `text_numbers` (B, K), equal for equal texts.

    Returns:
        Vectors (B, K, D).
    """

    def __init__(
        self, model, kind: str | None, scale=20.0, dimensions: Sequence[int] = (), distillation=0.0, **kwargs
    ):
        super().__init__(model, **kwargs)
        self.kind, self.scale, self.distillation = kind, scale, distillation
        self.prefixes = sorted(set(dimensions))

    def train_step(self, *arguments):
        """Run one step; of several parts, with cached gradients of the vectors."""
        if self.accumulate == 1:
            return super().train_step(*arguments)
        return cached_step(self, *arguments)

    def call(self, inputs, training=None):
        """Compute the vectors."""
        token_ids, mask = inputs["token_ids"], inputs["padding_mask"]
        texts, length = token_ids.shape[1:]
        flat = {
            "token_ids": ops.reshape(token_ids, (-1, length)),  # (B·K, T)
            "padding_mask": ops.reshape(mask, (-1, length)),
        }
        vectors = self.model(flat, training=training)  # (B·K, D)
        return ops.reshape(vectors, (-1, texts, vectors.shape[-1]))

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Compute the loss of vectors (B, K, D), weighted (B,).

        Targets `y` are scores (B,), or the teacher's vectors (B, K, D).
        """
        vectors, weights = ops.cast(y_pred, "float32"), ops.cast(sample_weight, "float32")
        y = ops.convert_to_tensor(y)
        width = vectors.shape[-1]
        sizes = [*(size for size in self.prefixes if size < width), width]
        total = 0.0
        for size in sizes:
            unit = unit_length(vectors[..., :size])
            if self.kind is not None and self.distillation < 1:
                near = ranking_loss(unit, (x or {})["text_numbers"], weights, self.scale)
                if self.kind == SCORES:
                    near = order_loss(ops.sum(unit[:, 0] * unit[:, 1], axis=-1), y, weights, self.scale)
                total = total + (1 - self.distillation) * near
            if self.distillation:
                far = ops.sum(ops.square(unit - unit_length(ops.cast(y[..., :size], "float32"))), axis=-1)
                total = total + self.distillation * weighted_mean(ops.mean(far, axis=-1), weights)
        return total / len(sizes)


def unit_length(x):
    """Scale vectors (..., D) to length 1."""
    return x / ops.sqrt(ops.maximum(ops.sum(ops.square(x), axis=-1, keepdims=True), 1e-24))


def ranking_loss(unit, text_numbers, weights, scale):
    """Compute the cross-entropy of each first text's second among the other texts of the batch.

    Henderson et al., 2017 (arXiv:1705.00652), section 4.4, with cosines as scores. A text that equals the
    right one or the first one, and what belongs to an equal first text, are not among the negatives.

    Args:
        unit: (B, K, D) vectors of length 1.
        text_numbers: (B, K) int32, equal for equal texts.
        weights: (B,) float32, 0 for rows that are padding.
        scale: float.

    Returns:
        float32 scalar, the mean over the rows that exist.
    """
    rows, texts = ops.shape(unit)[0], unit.shape[1]
    candidates = ops.concatenate([unit[:, i] for i in range(1, texts)], axis=0)  # ((K - 1)·B, D)
    numbers = ops.concatenate([text_numbers[:, i] for i in range(1, texts)], axis=0)
    exists = ops.concatenate([weights > 0] * (texts - 1), axis=0)
    scores = scale * ops.matmul(unit[:, 0], ops.transpose(candidates))  # (B, (K - 1)·B)
    first, second = text_numbers[:, :1], text_numbers[:, 1:2]
    same = ops.logical_or(ops.equal(numbers[None], second), ops.equal(numbers[None], first))
    siblings = ops.equal(text_numbers[None, :, 0], first)  # (B, B)
    blank = ops.zeros_like(siblings)
    same = ops.logical_or(same, ops.concatenate([siblings, *[blank] * (texts - 2)], axis=1))
    places = ops.arange(rows, dtype="int32")
    own = ops.equal(ops.arange(rows * (texts - 1), dtype="int32")[None], places[:, None])
    kept = ops.logical_or(own, ops.logical_and(exists[None], ops.logical_not(same)))
    log_p = ops.log_softmax(ops.where(kept, scores, EXCLUDED), axis=-1)
    return weighted_mean(-ops.sum(ops.where(own, log_p, 0.0), axis=-1), weights)


def order_loss(cosines, scores, weights, scale):
    """Compute CoSENT's loss: log(1 + Σ exp(scale (cos_j - cos_i))) over pairs where score_i > score_j.

    Args:
        cosines: (B,) of each row's two texts.
        scores: (B,) float32, how similar they are.
        weights: (B,) float32, 0 for rows that are padding.
        scale: float.

    Returns:
        float32 scalar.
    """
    exists = weights > 0
    ordered = ops.logical_and(scores[:, None] > scores[None], ops.logical_and(exists[:, None], exists[None]))
    apart = scale * (cosines[None] - cosines[:, None])  # [i, j] = cos_j - cos_i
    found = ops.reshape(ops.where(ordered, apart, EXCLUDED), (-1,))
    return ops.logsumexp(ops.concatenate([ops.zeros((1,), "float32"), found]))
