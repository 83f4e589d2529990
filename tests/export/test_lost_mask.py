"""Where a mask is lost: the layer, or the operation between layers, by name, with what to do."""

import keras
import numpy as np
import pytest
from keras import layers, ops
from keras_attn_export.tracing.lost_mask import NO_MASK, UNUSED, where_mask_is_lost

IDS = np.array([[3, 4, 0, 0]], "int32")


def model(pooled, mask_zero=True):
    ids = keras.Input((None,), dtype="int32")
    x = layers.Embedding(9, 4, mask_zero=mask_zero)(ids)
    return keras.Model(ids, layers.GlobalAveragePooling1D()(pooled(x)))


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.table, self.pool = layers.Embedding(9, 4, mask_zero=True), layers.GlobalAveragePooling1D()

    def call(self, ids):
        return self.pool(self.table(ids) + 1.0)


@pytest.mark.filterwarnings("ignore:.*does not support masking")
@pytest.mark.parametrize(
    ("build", "found"),
    [
        (lambda: model(layers.Conv1D(4, 2, name="near")), "lost at layer 'near' (Conv1D), which does not"),
        (lambda: model(lambda x: x + x), "(Add), which is not a layer: use keras.layers.Add, which keeps it"),
        (lambda: model(lambda x: ops.maximum(x, 2 * x)), "(Multiply), which is not a layer"),
        (lambda: model(lambda x: ops.sin(x)), "(Sin), which is not a layer: use a layer that keeps it"),
        (lambda: model(layers.Dense(3), mask_zero=False), NO_MASK),
        (Subclassed, UNUSED),
    ],
    ids=["layer", "sum", "first", "function", "none", "subclassed"],
)
def test_what_loses_the_mask_is_named(build, found):
    built = build()
    assert found in where_mask_is_lost(built, lambda: built(IDS))


def test_a_mask_that_is_kept_is_not_said_to_be_lost():
    built = model(lambda x: layers.Add()([x, layers.Dense(4)(x)]))
    assert where_mask_is_lost(built, lambda: built(IDS)) == UNUSED
