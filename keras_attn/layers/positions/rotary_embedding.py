"""Rotary position embedding, and its extensions beyond the trained length."""

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_attn.errors import ArgumentError
from keras_attn.layers.argument_types import Tensor
from keras_attn.layers.checked_layer import CheckedLayer

ROPE_TYPES = ("linear", "dynamic", "dynamic_ntk", "llama3", "yarn")


def llama3_rates(rates, factor, trained_length, low_freq_factor, high_freq_factor):
    """Divide the slow rates by `factor`, keep the fast ones, and blend those between (Llama 3.1).

    A rate is slow when it turns less than `low_freq_factor` times within `trained_length` positions, and
    fast when it turns more than `high_freq_factor` times.
    """
    turns = trained_length * rates / (2 * math.pi)
    keep = np.clip((turns - low_freq_factor) / (high_freq_factor - low_freq_factor), 0, 1)
    return rates * (keep + (1 - keep) / factor)


def yarn_rates(rates, factor, trained_length, max_wavelength, beta_fast, beta_slow, truncate):
    """Divide the slow rates by `factor` and keep the fast ones ("NTK by parts"; Peng et al., 2024, 3.2).

    Unlike Llama 3.1, the blend is linear in the index of the rate, from the one that turns `beta_fast` times
    within `trained_length` positions to the one that turns `beta_slow` times.
    """
    depth = 2 * len(rates)

    def index_of(turns):
        return depth * math.log(trained_length / (turns * 2 * math.pi)) / (2 * math.log(max_wavelength))

    first, last = index_of(beta_fast), index_of(beta_slow)
    if truncate:
        first, last = math.floor(first), math.ceil(last)
    first, last = max(first, 0), min(last, depth - 1)
    slow = np.clip((np.arange(len(rates)) - first) / max(last - first, 0.001), 0, 1)
    return rates * (1 - slow + slow / factor)


@keras.saving.register_keras_serializable("keras_attn")
class RotaryEmbedding(CheckedLayer):
    """Rotate queries or keys by their positions, so that dot products depend only on the distance.

    Feature i of the first half and feature i of the second half are the two coordinates of one point, which
    is turned by the angle `position * max_wavelength ** (-2i / D)` (Su et al., 2021, equation 34; halves
    instead of neighbours, as in GPT-NeoX and Llama).

    For texts longer than those of the training, `rope_type` changes the rates (`s` is `scaling_factor`):

    - `"linear"`: all rates over s (Chen et al., 2023); with s = 1 the plain embedding.
    - `"dynamic"`: all rates over s^(D / (D - 2)), for any length; KerasHub's formula.
    - `"dynamic_ntk"`: the base grows with the length once it exceeds `original_max_position_embeddings`; what
      Hugging Face calls `"dynamic"`.
    - `"llama3"`: slow rates over s, fast ones kept, with a blend between them (Llama 3.1).
    - `"yarn"`: the same by index, and cosines and sines times `attention_factor` (Peng et al., 2024).

    Args:
        max_wavelength: number, the base of the wavelengths (`rope_theta`).
        scaling_factor: number, how much longer than trained the texts may be.
        rope_type: one of the above.
        beta_fast, beta_slow: yarn: turns within the trained length from which a rate is kept, and up to
            which it is divided.
        original_max_position_embeddings: int, the trained length, for `dynamic_ntk`, `llama3` and `yarn`.
        truncate: yarn: whether the blend starts and ends at whole indices.
        sequence_axis: int, the axis of the positions.
        feature_axis: int, the axis of the features.
        denominator_dim: int that replaces D in the exponent, when only some of the features are rotated.
        low_freq_factor, high_freq_factor: llama3: turns within the trained length up to which a rate is
            divided, and from which it is kept.
        attention_factor: yarn: number; by default 0.1 ln(s) + 1 (equation 22), and 1 if s is below 1.

    Call arguments:
        inputs: float tensor with a sequence and a feature axis, such as (B, T, D) or (B, T, H, D).
        start_index: int or int32 scalar tensor, position of the first element.
        positions: tensor (T,) or (B, T) of explicit positions, instead of `start_index`.

    Returns:
        Tensor of the shape of `inputs`, in the compute dtype; angles and rotation are computed in float32.

    Raises:
        ArgumentError: if `rope_type` is unknown or does not fit the other arguments, the number of features
            is odd or unknown, the axes do not fit `inputs`, or `positions` is not of rank 1 or 2.

    Example:
        ```python
        import numpy as np
        from keras_attn.layers import RotaryEmbedding

        queries = np.ones((2, 10, 4, 16))  # (B, T, H, dh)
        rotated = RotaryEmbedding()(queries)
        last = RotaryEmbedding()(queries[:, 9:], start_index=9)  # equals rotated[:, 9:]
        ```
    """

    def __init__(
        self,
        max_wavelength: float = 10000,
        scaling_factor: float = 1.0,
        rope_type: str = "linear",
        beta_fast: float = 32.0,
        beta_slow: float = 1.0,
        original_max_position_embeddings: int = 4096,
        truncate: bool = True,
        sequence_axis: int = 1,
        feature_axis: int = -1,
        denominator_dim: int | None = None,
        low_freq_factor: float = 1.0,
        high_freq_factor: float = 4.0,
        attention_factor: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if rope_type not in ROPE_TYPES:
            raise ArgumentError(f"`rope_type` must be one of {ROPE_TYPES}, got {rope_type!r}.")
        if scaling_factor <= 0:
            raise ArgumentError(f"`scaling_factor` must be positive, got {scaling_factor}.")
        if rope_type == "yarn" and denominator_dim is not None:
            raise ArgumentError(f"`denominator_dim` must be None with yarn, got {denominator_dim}.")
        if rope_type == "llama3" and high_freq_factor <= low_freq_factor:
            raise ArgumentError(
                f"`high_freq_factor` must exceed `low_freq_factor` {low_freq_factor}, got {high_freq_factor}."
            )
        self.max_wavelength = max_wavelength
        self.scaling_factor = scaling_factor
        self.rope_type = rope_type
        self.beta_fast = beta_fast
        self.beta_slow = beta_slow
        self.original_max_position_embeddings = original_max_position_embeddings
        self.truncate = truncate
        self.sequence_axis = sequence_axis
        self.feature_axis = feature_axis
        self.denominator_dim = denominator_dim
        self.low_freq_factor = low_freq_factor
        self.high_freq_factor = high_freq_factor
        self.attention_factor = attention_factor
        self.supports_masking = True
        self.built = True

    def call(self, inputs: Tensor, start_index: int | Tensor = 0, positions: Tensor = None) -> Any:
        """Rotate `inputs`."""
        sequence_axis, feature_axis = self._axes(inputs.shape)
        if positions is None:
            length = ops.shape(inputs)[sequence_axis]
            positions = ops.arange(length, dtype="float32") + ops.cast(start_index, "float32")
        positions = ops.cast(ops.convert_to_tensor(positions), "float32")  # (T,) or (B, T)
        if len(positions.shape) not in (1, 2) or (len(positions.shape) == 2 and sequence_axis == 0):
            raise ArgumentError(
                "`positions` must be of shape (length,), or (batch, length) if `inputs` start with a batch; "
                f"got {tuple(positions.shape)} for the sequence axis {sequence_axis}."
            )
        angles = ops.expand_dims(positions, -1) * self._rates(positions, inputs.shape[feature_axis])
        if sequence_axis > feature_axis:
            angles = ops.swapaxes(angles, -1, -2)
        covered = {sequence_axis, feature_axis} | ({0} if len(positions.shape) == 2 else set())
        for axis in range(len(inputs.shape)):
            if axis not in covered:
                angles = ops.expand_dims(angles, axis)  # finally one axis for each of the inputs'
        cos, sin = (turn(angles) * self._attention_factor() for turn in (ops.cos, ops.sin))
        first, second = ops.split(ops.cast(inputs, "float32"), 2, axis=feature_axis)  # each (..., D/2)
        rotated = [first * cos - second * sin, second * cos + first * sin]
        return ops.cast(ops.concatenate(rotated, axis=feature_axis), self.compute_dtype)

    def _axes(self, shape):
        rank = len(shape)
        for name, axis in (("sequence_axis", self.sequence_axis), ("feature_axis", self.feature_axis)):
            if not -rank <= axis < rank:
                raise ArgumentError(f"`{name}` is {axis}, out of range for inputs of rank {rank}.")
        sequence_axis, feature_axis = self.sequence_axis % rank, self.feature_axis % rank
        if sequence_axis == feature_axis:
            raise ArgumentError(
                f"`sequence_axis` and `feature_axis` are both axis {feature_axis} of `inputs`."
            )
        if shape[feature_axis] is None or shape[feature_axis] % 2:
            raise ArgumentError(
                f"The features of `inputs` (axis {feature_axis}) must be even in number, as halves rotate "
                f"together; got {shape[feature_axis]}."
            )
        return sequence_axis, feature_axis

    def _rates(self, positions, depth):
        # Radians per position, (D/2,).
        factor, trained = self.scaling_factor, self.original_max_position_embeddings
        exponents = np.arange(0, depth, 2) / (self.denominator_dim or depth)
        rates = float(self.max_wavelength) ** -exponents
        if self.rope_type == "linear":
            rates = rates / factor
        elif self.rope_type == "dynamic":
            rates = rates / factor ** (depth / max(1, depth - 2))
        elif self.rope_type == "llama3":
            rates = llama3_rates(rates, factor, trained, self.low_freq_factor, self.high_freq_factor)
        elif self.rope_type == "yarn":
            rates = yarn_rates(
                rates, factor, trained, self.max_wavelength, self.beta_fast, self.beta_slow, self.truncate
            )
        rates = ops.convert_to_tensor(rates.astype("float32"))
        if self.rope_type != "dynamic_ntk":
            return rates
        # max_wavelength * growth^(D / (D - 2)) is the new base, so the slowest rate is divided by the growth.
        length = ops.maximum(ops.max(positions) + 1, float(trained))
        growth = factor * length / trained - (factor - 1)
        return rates * ops.power(growth, (-exponents * depth / max(1, depth - 2)).astype("float32"))

    def _attention_factor(self):
        if self.rope_type != "yarn":
            return 1.0
        if self.attention_factor is not None:
            return self.attention_factor
        return 1.0 + 0.1 * math.log(max(self.scaling_factor, 1.0))

    def compute_output_shape(self, input_shape):
        """Return the input's shape."""
        self._axes(input_shape)
        return input_shape
