"""The sinusoids of "Attention Is All You Need"."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_attn.errors import ArgumentError
from keras_attn.layers.argument_types import Tensor
from keras_attn.layers.checked_layer import CheckedLayer

LAYOUTS = ("interleaved", "halves", "fairseq")


def sine_table(
    length: int, depth: int, max_wavelength: float = 10000, layout: str = "interleaved"
) -> np.ndarray:
    """Tabulate PE(p, 2i) = sin(p / max_wavelength^(2i/D)), PE(p, 2i+1) = cos of the same.

    Vaswani et al., 2017, section 3.5. `"halves"` stores all sines, then all cosines (Marian);
    `"interleaved"` alternates them (the paper, KerasHub); `"fairseq"` is `"halves"` with wavelengths that
    reach `max_wavelength` itself (fairseq, tensor2tensor).

    Returns:
        float32 NumPy array (length, depth).
    """
    if layout == "fairseq":
        return _fairseq_table(np.arange(length), depth, max_wavelength)
    rates = max_wavelength ** (-2.0 * np.arange((depth + 1) // 2) / depth)  # (ceil(D/2),)
    angles = np.arange(length)[:, None] * rates  # (length, ceil(D/2))
    table = np.zeros((length, depth), np.float32)
    if layout == "interleaved":
        table[:, 0::2] = np.sin(angles)
        table[:, 1::2] = np.cos(angles[:, : depth // 2])
    else:
        table[:, : (depth + 1) // 2] = np.sin(angles)
        table[:, (depth + 1) // 2 :] = np.cos(angles[:, : depth // 2])
    return table


def fairseq_rates(depth: int, max_wavelength: float = 10000) -> np.ndarray:
    """Tabulate the angles of position 1, (D // 2,), in float32, as models were trained with them."""
    half = depth // 2
    step = np.float32(-np.log(max_wavelength) / max(1, half - 1))
    return np.exp(np.arange(half, dtype=np.float32) * step)


def _fairseq_table(positions: np.ndarray, depth: int, max_wavelength: float) -> np.ndarray:
    angles = positions[:, None].astype(np.float32) * fairseq_rates(depth, max_wavelength)  # (T, D // 2)
    table = np.zeros((len(positions), depth), np.float32)  # of an odd depth, the last column stays zero
    table[:, : depth // 2 * 2] = np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
    return table


@keras.saving.register_keras_serializable("keras_attn")
class SinePositionEncoding(CheckedLayer):
    """Fixed sinusoidal position vectors (Vaswani et al., 2017, section 3.5).

    Args:
        max_wavelength: number, the longest wavelength over 2π.
        layout: `"interleaved"` (the paper, KerasHub), `"halves"` (Marian: sines, then cosines) or
            `"fairseq"` (the same with wavelengths that reach the longest).

    Call arguments:
        inputs: float tensor (B, T, D), or (..., T, D); only its shape matters.
        start_index: int or int32 scalar tensor, position of the first element.
        positions: int32 tensor (T,) or (B, T) of explicit positions, instead of `start_index`.

    Returns:
        The position vectors broadcast to the shape of `inputs`, in the compute dtype and with its Keras mask;
        angles are computed in float32. Add them by `keras.layers.Add`, which keeps the mask; `+` loses it.

    Raises:
        ArgumentError: if `layout` is unknown.

    Example:
        ```python
        import keras
        import numpy as np
        from keras_attn.layers import SinePositionEncoding

        x = np.ones((2, 10, 16))
        x = keras.layers.Add()([x, SinePositionEncoding()(x)])
        ```
    """

    def __init__(self, max_wavelength: float = 10000, layout: str = "interleaved", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if layout not in LAYOUTS:
            raise ArgumentError(f"`layout` must be one of {LAYOUTS}, got {layout!r}.")
        self.max_wavelength = max_wavelength
        self.layout = layout
        self.built = True
        self.supports_masking = True

    def call(self, inputs: Tensor, start_index: int | Tensor = 0, positions: Tensor = None) -> Any:
        """Return the vectors of the positions of `inputs`."""
        length, depth = inputs.shape[-2:]
        if positions is None and isinstance(start_index, int) and isinstance(length, int):
            table = sine_table(start_index + length, depth, self.max_wavelength, self.layout)
            encoding = ops.convert_to_tensor(table[start_index:])  # (T, D)
        else:
            if positions is None:
                positions = ops.arange(ops.shape(inputs)[-2], dtype="int32") + ops.cast(start_index, "int32")
            encoding = self._at(ops.cast(positions, "float32"), depth)  # (T, D) or (B, T, D)
        if len(encoding.shape) == 3:
            for _ in range(len(inputs.shape) - 3):
                encoding = ops.expand_dims(encoding, 1)  # (B, 1, ..., T, D)
        return ops.broadcast_to(ops.cast(encoding, self.compute_dtype), ops.shape(inputs))

    def _at(self, positions, depth):
        # One row of the table per rate and per phase, so that a position is one multiplication away.
        if self.layout == "fairseq":
            rates = ops.convert_to_tensor(fairseq_rates(depth, self.max_wavelength))
            angles = ops.expand_dims(positions, -1) * rates  # (..., T, D // 2)
            pairs = [ops.sin(angles), ops.cos(angles)]
            rest = [ops.zeros_like(angles[..., :1])] if depth % 2 else []
            return ops.concatenate([*pairs, *rest], axis=-1)
        column = np.arange(depth)
        if self.layout == "interleaved":
            pair, is_cosine = column // 2, column % 2 == 1
        else:
            half = (depth + 1) // 2
            pair, is_cosine = column % half, column >= half
        rates = (self.max_wavelength ** (-2.0 * pair / depth)).astype("float32")  # (D,)
        angles = ops.expand_dims(positions, -1) * ops.convert_to_tensor(rates)
        return ops.where(is_cosine, ops.cos(angles), ops.sin(angles))

    def compute_output_shape(self, input_shape):
        """Return the input's shape."""
        return input_shape
