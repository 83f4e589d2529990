"""Search hyperparameters with a loop, as a tuner does."""

import itertools

import keras
import numpy as np

from keras_attn.models import Bert, TextClassifier

ids = np.random.default_rng(0).integers(1, 20, (32, 6)).astype("int32")
labels = ids[:, 0] % 2


def build(hidden_dim, dropout):
    backbone = Bert(
        20, num_layers=1, num_heads=2, hidden_dim=hidden_dim, intermediate_dim=16, dropout=dropout
    )
    model = TextClassifier(backbone, labels=["even", "odd"], dropout=dropout)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


losses = {}
for hidden_dim, dropout in itertools.product((8, 16), (0.0, 0.2)):
    model = build(hidden_dim, dropout)
    history = model.fit({"token_ids": ids}, labels, validation_split=0.25, verbose=0).history
    losses[hidden_dim, dropout] = history["val_loss"][-1]
assert len(losses) == 4 and min(losses, key=losses.__getitem__) in losses
