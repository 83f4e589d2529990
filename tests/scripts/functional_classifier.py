"""Put the layers into a functional model beside Keras' own."""

import keras
import numpy as np

from keras_attn.layers import TokenAndPositionEmbedding, TransformerEncoder

tokens = keras.Input((None,), dtype="int32")
x = TokenAndPositionEmbedding(50, 32, 16, mask_zero=True)(tokens)
x = TransformerEncoder(intermediate_dim=32, num_heads=2)(x)
x = keras.layers.GlobalAveragePooling1D()(x)
model = keras.Model(tokens, keras.layers.Dense(1, activation="sigmoid")(x))
model.compile("adam", "binary_crossentropy")

ids = np.random.default_rng(0).integers(1, 50, (32, 10))
model.fit(ids, np.ones(32), verbose=0)
short, padded = ids[:1, :5], np.pad(ids[:1, :5], ((0, 0), (0, 5)))
np.testing.assert_allclose(model.predict(short, verbose=0), model.predict(padded, verbose=0), atol=1e-5)
