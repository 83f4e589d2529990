"""Layer normalization that subtracts the mean before it multiplies."""

import keras
from keras import ops


class LayerNormalization(keras.layers.LayerNormalization):
    """`keras.layers.LayerNormalization` over the last axis, with less rounding.

    Keras multiplies inputs and mean separately and adds the products, which cancel where the mean is large
    (Ba et al., 2016, arXiv:1607.06450, equation 4, multiplied out). On torch it calls torch's own function.

    Call arguments:
        inputs: float tensor (..., D).

    Returns:
        Tensor like `inputs`.
    """

    def call(self, inputs):
        """Normalize in at least float32."""
        if keras.backend.backend() == "torch":
            return super().call(inputs)
        x = ops.cast(inputs, keras.backend.result_type(inputs.dtype, "float32"))
        centred = x - ops.mean(x, axis=-1, keepdims=True)
        variance = ops.mean(ops.square(centred), axis=-1, keepdims=True)
        x = centred * (ops.rsqrt(variance + self.epsilon) * ops.cast(self.gamma, x.dtype))
        return ops.cast(x if self.beta is None else x + ops.cast(self.beta, x.dtype), self.compute_dtype)
