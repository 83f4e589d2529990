"""Quantization recipes: each is a named piece of data.

A recipe says how weights are stored and computed with, which runtimes compute the result correctly
(an old runtime may load a file and return garbage without an error), and how far from the trained model
its numbers may be before the export refuses to write a bundle.
"""

from __future__ import annotations

from dataclasses import dataclass

from keras_attn.errors import ArgumentError

LITERT = "ai-edge-litert>=1.4"
"""The current interpreter, on every platform."""
TENSORFLOW = "tensorflow>=2.21"
"""TensorFlow's tf.lite, the same kernels."""
LITERT_WEB = "@litertjs/core>=2.5"
"""The current interpreter, in a browser."""
OLD_RUNTIME = "tflite-runtime>=2.14"
"""The last tflite-runtime (2.14): it supports neither per-row int8 tables nor per-channel dynamic int8."""
TENSORFLOW_TEXT = "tensorflow-text>=2.21"
"""What a host needs with the current interpreter for signatures that begin with a text."""

FP32_SCORE_TOLERANCE = 1e-4
"""Largest difference of a log-probability between the Keras model and its fp32 lowering, at any step."""


@dataclass(frozen=True)
class Tolerance:
    """How far a quantized file may be from the Keras model, measured with forced target tokens.

    Attributes:
        max_error: largest accepted difference of a single log-probability.
        mean_error: largest accepted mean difference of the log-probabilities compared.
        token_agreement: smallest accepted fraction of steps whose best token is the Keras model's.
        metric_loss: largest accepted loss of the task's metric (BLEU points, or percent exact match).
    """

    max_error: float
    mean_error: float
    token_agreement: float
    metric_loss: float

    def widest(self, other: Tolerance) -> Tolerance:
        """Return limits that accept everything that either accepts."""
        return Tolerance(
            max(self.max_error, other.max_error),
            max(self.mean_error, other.mean_error),
            min(self.token_agreement, other.token_agreement),
            max(self.metric_loss, other.metric_loss),
        )

    def used(self, max_error: float, mean_error: float, agreement: float) -> float:
        """Return the largest fraction of one of these limits that is used."""
        missing = (1 - agreement) / max(1 - self.token_agreement, 1e-9)
        return max(max_error / self.max_error, mean_error / self.mean_error, missing)


@dataclass(frozen=True)
class Recipe:
    """One way of storing and computing the weights.

    Attributes:
        name: as users type it and the manifest records it.
        title: one line that explains it.
        weights: "float32", "float16" or "int8".
        selects_int4: whether matrices get 4 bits where that costs little; see `tflite.int4_selection`.
        activations: "float32", or "int8" when they are quantized row by row while running.
        dtypes: tensor types that may occur in the file.
        runtimes: runtimes that compute this file correctly; the device refuses others.
        tolerance: the accepted distance from the Keras model.
    """

    name: str
    title: str
    weights: str
    activations: str
    dtypes: frozenset[str]
    runtimes: tuple[str, ...]
    tolerance: Tolerance
    selects_int4: bool = False

    @property
    def quantized(self) -> bool:
        """Whether the file is not the fp32 lowering itself."""
        return self.weights != "float32"


_BASE_DTYPES = frozenset({"FLOAT32", "INT32", "BOOL"})

FP32 = Recipe(
    name="fp32",
    title="32-bit floats: the reference",
    weights="float32",
    activations="float32",
    dtypes=_BASE_DTYPES,
    runtimes=(LITERT, TENSORFLOW, LITERT_WEB, OLD_RUNTIME),
    tolerance=Tolerance(FP32_SCORE_TOLERANCE, FP32_SCORE_TOLERANCE, 0.999, 0.05),
)
FP16 = Recipe(
    name="fp16",
    title="weights in 16-bit floats, computed in 32 bits",
    weights="float16",
    activations="float32",
    dtypes=_BASE_DTYPES | {"FLOAT16"},
    runtimes=(LITERT, TENSORFLOW, LITERT_WEB, OLD_RUNTIME),
    tolerance=Tolerance(0.1, 0.01, 0.99, 0.3),
)
INT8 = Recipe(
    name="int8",
    title="8-bit weights with a scale per row, activations quantized while running",
    weights="int8",
    activations="int8",
    dtypes=_BASE_DTYPES | {"INT8"},
    runtimes=(LITERT, TENSORFLOW, LITERT_WEB),
    tolerance=Tolerance(3.0, 0.3, 0.9, 0.5),
)
INT8_WEIGHTS = Recipe(
    name="int8-weights",
    title="8-bit weights with a scale per row, computed in 32 bits (old runtimes too)",
    weights="int8",
    activations="float32",
    dtypes=_BASE_DTYPES | {"INT8"},
    runtimes=(LITERT, TENSORFLOW, LITERT_WEB, OLD_RUNTIME),
    tolerance=Tolerance(2.0, 0.2, 0.93, 0.5),
)
INT4_MIXED = Recipe(
    name="int4-mixed",
    title="4-bit weights where the model is measured to bear it, 8-bit elsewhere; activations as in int8",
    weights="int8",
    activations="int8",
    dtypes=_BASE_DTYPES | {"INT8", "INT4"},
    runtimes=(LITERT, TENSORFLOW, LITERT_WEB),
    tolerance=INT8.tolerance,
    selects_int4=True,
)

RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in (FP32, FP16, INT8, INT8_WEIGHTS, INT4_MIXED)}


def find_recipe(recipe: str | Recipe) -> Recipe:
    """Return the recipe of that name; a `Recipe` (for example with another tolerance) is returned as it is.

    Raises:
        ArgumentError: when no recipe has the name.
    """
    if isinstance(recipe, Recipe):
        return recipe
    try:
        return RECIPES[recipe]
    except KeyError:
        raise ArgumentError(f"recipe {recipe!r} is unknown: use one of {', '.join(RECIPES)}") from None


# For tasks whose values are not log-probabilities of words, or that have fewer answers.
_BY_TASK: dict[str, dict[str, Tolerance]] = {
    "classification": {
        "int8": Tolerance(3.0, 0.3, 0.95, 0.5),
        "int8-weights": Tolerance(2.0, 0.2, 0.97, 0.5),
    },
    # Of unit vectors; the agreement is the mean cosine, the metric the fraction of nearest neighbours.
    "embedding": {
        "fp32": Tolerance(1e-4, 1e-5, 0.99999, 0.5),
        "fp16": Tolerance(1e-2, 1e-3, 0.9999, 1.0),
        "int8": Tolerance(0.15, 0.02, 0.99, 6.0),
        "int4-mixed": Tolerance(0.15, 0.02, 0.985, 10.0),
        "int8-weights": Tolerance(0.05, 0.005, 0.998, 4.0),
    },
    # Of relative errors; the agreement is the mean cosine of each output.
    "prediction": {
        "fp32": Tolerance(1e-4, 1e-5, 0.99999, 0.0),
        "fp16": Tolerance(0.05, 0.005, 0.9999, 0.0),
        "int8": Tolerance(1.0, 0.1, 0.99, 0.0),
        "int8-weights": Tolerance(0.5, 0.05, 0.995, 0.0),
    },
    "token-classification": {
        "int8": Tolerance(3.0, 0.3, 0.95, 0.5),
        "int8-weights": Tolerance(2.0, 0.2, 0.97, 0.5),
    },
    # Of the positions' log-probabilities, of which all but a few are far below 0.
    "question-answering": {
        "int8": Tolerance(5.0, 0.5, 0.9, 1.0),
        "int8-weights": Tolerance(3.0, 0.3, 0.93, 1.0),
    },
    # Of logits; one number has no best answer, and the metric is the share of pairs in the same order.
    "scoring": {
        "fp32": Tolerance(1e-4, 1e-4, 0.0, 0.1),
        "fp16": Tolerance(0.1, 0.02, 0.0, 0.5),
        "int8": Tolerance(2.0, 0.3, 0.0, 2.0),
        "int8-weights": Tolerance(1.0, 0.2, 0.0, 1.0),
    },
    "masked-lm": {
        "int8": Tolerance(5.0, 0.5, 0.8, 2.0),
        "int8-weights": Tolerance(3.0, 0.3, 0.9, 1.0),
    },
}


def tolerance_for(recipe: Recipe, task: str) -> Tolerance:
    """Return the tolerance of a recipe for a task; the recipe's own if none is listed.

    int4-mixed accepts at least what int8 does, which it is without a matrix in 4 bits. A recipe with a
    tolerance of the user's has that for every task.
    """
    listed = _BY_TASK.get(task, {})
    if recipe.name in RECIPES and recipe.tolerance != RECIPES[recipe.name].tolerance:
        return recipe.tolerance
    if not recipe.selects_int4:
        return listed.get(recipe.name, recipe.tolerance)
    wide = tolerance_for(INT8, task)
    return wide.widest(listed.get(recipe.name, wide))
