"""Train a Transformer of one's own by `fit`, with callbacks and a validation split."""

import keras
import numpy as np

from keras_attn.models import Transformer

ids = np.random.default_rng(0).integers(4, 20, (64, 6)).astype("int32")
start = np.ones((64, 1), "int32")
inputs = {"encoder_token_ids": ids, "decoder_token_ids": np.concatenate([start, ids[:, :-1]], axis=1)}

model = Transformer(
    20, hidden_dim=16, intermediate_dim=32, num_heads=2, num_encoder_layers=1, num_decoder_layers=1
)
model.compile(keras.optimizers.Adam(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
callbacks = [keras.callbacks.EarlyStopping(patience=2), keras.callbacks.ModelCheckpoint("best.keras")]
history = model.fit(inputs, ids, epochs=6, verbose=0, validation_split=0.25, callbacks=callbacks)
assert history.history["loss"][-1] < history.history["loss"][0]
assert keras.saving.load_model("best.keras").count_params() == model.count_params()
