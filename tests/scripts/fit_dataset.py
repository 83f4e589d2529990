"""Feed a classifier from a `tf.data.Dataset`."""

import keras
import numpy as np
import tensorflow as tf

from keras_attn.models import Bert, TextClassifier

ids = np.random.default_rng(0).integers(1, 30, (64, 8)).astype("int32")
labels = (ids[:, 0] > 15).astype("int32")
dataset = tf.data.Dataset.from_tensor_slices(({"token_ids": ids}, labels)).batch(16)

backbone = Bert(30, num_layers=1, num_heads=2, hidden_dim=16, intermediate_dim=32)
model = TextClassifier(backbone, labels=["low", "high"])
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(keras.optimizers.Adam(0.01), loss, metrics=["accuracy"])
model.fit(dataset, epochs=8, verbose=0)
assert model.evaluate(dataset, verbose=0, return_dict=True)["accuracy"] > 0.8
