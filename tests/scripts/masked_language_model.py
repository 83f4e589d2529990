"""Mask tokens in a `tf.data` pipeline and train a masked language model on them."""

import keras
import numpy as np
import tensorflow as tf

from keras_attn.layers import MaskedLMMaskGenerator
from keras_attn.models import Bert, MaskedLM

mask = MaskedLMMaskGenerator(30, mask_selection_rate=0.3, mask_token_id=4, mask_selection_length=3)


def example(ids):
    masked = mask(ids)
    inputs = {"token_ids": masked["token_ids"], "mask_positions": tf.cast(masked["mask_positions"], "int32")}
    return inputs, masked["mask_ids"], masked["mask_weights"]


ids = np.random.default_rng(0).integers(5, 30, (32, 10)).astype("int32")
dataset = tf.data.Dataset.from_tensor_slices(ids).batch(8).map(example)
model = MaskedLM(Bert(30, num_layers=1, num_heads=2, hidden_dim=16, intermediate_dim=32))
model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
losses = model.fit(dataset, epochs=2, verbose=0).history["loss"]
assert np.isfinite(losses).all()
