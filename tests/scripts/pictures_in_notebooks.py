"""Draw without a path: a figure comes back and nothing is written."""

import os

import numpy as np

from keras_attn import pictures
from keras_attn.layers import sine_table

before = set(os.listdir())
rows = [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.5}]
for figure in (
    pictures.training_curves(rows),
    pictures.confusion_matrix(np.array([[5, 1], [2, 6]]), ["good", "bad"]),
    pictures.position_encoding(sine_table(32, 16)),
    pictures.bleu_by_length({"RNNsearch": ([5, 10], [30.0, 28.0])}),
):
    assert figure.axes and figure._repr_png_()
assert set(os.listdir()) == before
