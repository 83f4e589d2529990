"""Derive from a block, and save a model that has the new layer."""

import keras
import numpy as np

from keras_attn.layers import TransformerEncoder


@keras.saving.register_keras_serializable("mine")
class ScaledEncoder(TransformerEncoder):
    def __init__(self, *args, scale=0.5, **kwargs):
        super().__init__(*args, **kwargs)
        self.scale = scale

    def call(self, inputs, padding_mask=None, training=None):
        return self.scale * super().call(inputs, padding_mask=padding_mask, training=training)

    def get_config(self):
        return {**super().get_config(), "scale": self.scale}


inputs = keras.Input((None, 8))
model = keras.Model(inputs, ScaledEncoder(16, 2, scale=0.25)(inputs))
model.save("scaled.keras")
x = np.ones((1, 3, 8), "float32")
again = keras.saving.load_model("scaled.keras")
np.testing.assert_allclose(again(x), model(x), atol=1e-6)
assert again.layers[1].scale == 0.25
