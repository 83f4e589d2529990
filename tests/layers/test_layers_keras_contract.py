"""Keras' contract for every layer: configurations, files, dtypes, symbols, masks, and no retracing."""

import keras
import numpy as np
import pytest
from keras import ops
from layer_cases import CASES, MEMORY, PADDING, Case, array, numpy, set_known_weights

from keras_attn import layers

EVERY = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


def as_model(case: Case, layer, length):
    """A functional model of the layer with a free batch size and, if `length` is `None`, a free length."""
    inputs = []
    for x in case.inputs:
        shape = x.shape[1:] if length or case.fixed else (None, *x.shape[2:])
        inputs.append(keras.Input(shape, dtype="int32" if x.dtype.kind == "i" else "float32"))
    return keras.Model(inputs, layer(*inputs))


@EVERY
def test_layer_is_restored_from_its_config(case):
    layer = case.make(name="one")
    copy = type(layer).from_config(layer.get_config())
    assert copy.get_config() == layer.get_config()
    case.call(layer), case.call(copy)
    assert [w.shape for w in copy.weights] == [w.shape for w in layer.weights]
    assert [w.path for w in copy.weights] == [w.path for w in layer.weights]


@EVERY
def test_saved_model_is_bit_equal(case, tmp_path):
    model = as_model(case, case.make(), length=True)
    set_known_weights(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(numpy(loaded(list(case.inputs))), numpy(model(list(case.inputs))))


@EVERY
def test_symbols_know_the_shape_that_comes_out(case):
    layer = case.make()
    symbolic = as_model(case, layer, length=None)
    out = symbolic(list(case.inputs))
    for known, actual in zip(symbolic.output_shape, out.shape, strict=True):
        assert known in (None, actual)
    shapes = [x.shape for x in case.inputs]
    if not isinstance(layer, layers.Dropout):
        assert tuple(layer.compute_output_shape(*shapes)) == tuple(out.shape)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "float16"])
@EVERY
def test_low_precision_is_close_and_of_its_dtype(case, policy):
    exact, low = case.make(), case.make(dtype=policy)
    case.call(exact), case.call(low)
    set_known_weights(exact), set_known_weights(low)
    out = case.call(low)
    assert keras.backend.standardize_dtype(out.dtype) == policy.removeprefix("mixed_")
    np.testing.assert_allclose(numpy(out), numpy(case.call(exact)), atol=0.1)


@pytest.mark.parametrize("name", ["multi_head", "cached", "encoder", "encoder_pre_norm", "decoder"])
def test_a_specification_has_the_compute_dtype(name):
    case = CASES[name]
    layer = case.make(dtype="mixed_float16")
    case.call(layer)
    spec = layer.compute_output_spec(*case.inputs, **case.arguments)
    assert spec.dtype == "float16" and spec.shape == case.call(layer).shape


@EVERY
def test_dropout_is_for_training_only(case):
    keras.utils.set_random_seed(0)
    layer = case.make()
    first, second = numpy(case.call(layer, training=False)), numpy(case.call(layer))
    np.testing.assert_array_equal(first, second)
    if case.drops:
        trained, again = numpy(case.call(layer, training=True)), numpy(case.call(layer, training=True))
        assert (trained != first).any() and (trained != again).any()


class Counted(keras.layers.Layer):
    """Counts how often Python runs it, which in a compiled model is once per trace."""

    def __init__(self):
        super().__init__()
        self.traces = 0

    def call(self, inputs):
        """Count, and change nothing."""
        self.traces += 1
        return inputs


@pytest.mark.filterwarnings("ignore:Explicitly requested dtype")  # of Keras' own trainer on JAX, for ids
@EVERY
def test_calls_of_one_shape_are_traced_once(case):
    if keras.backend.backend() == "torch":
        pytest.skip("the torch backend does not trace")
    layer, counted = case.make(), Counted()
    inputs = [keras.Input(x.shape[1:], dtype=x.dtype.name) for x in case.inputs]
    model = keras.Model(inputs, counted(layer(*inputs)))
    data = [np.array(x) for x in case.inputs]
    model.predict(data, verbose=0)
    before = counted.traces
    for _ in range(3):
        model.predict(data, verbose=0)
    assert counted.traces == before


def gradients(function, layer, x):
    """Gradients of `function(x)`, summed squares of its output, for x and the layer's weights."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        x = tf.Variable(x)
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(function(x) ** 2)
        return tape.gradient(loss, [x, *(v.value for v in layer.trainable_variables)])
    if backend == "torch":
        x = ops.convert_to_tensor(x).requires_grad_()
        (function(x) ** 2).sum().backward()
        return [x.grad, *(v.value.grad for v in layer.trainable_variables)]
    import jax

    def loss(weights, x):
        with keras.StatelessScope(list(zip(layer.trainable_variables, weights, strict=True))):
            return ops.sum(function(x) ** 2)

    weights = [v.value for v in layer.trainable_variables]
    return jax.tree.leaves(jax.grad(loss, argnums=(0, 1))(weights, ops.convert_to_tensor(x)))


BLIND = np.zeros((2, 6), bool)  # not one position exists
ALL_MASKED = {
    "multi_head": (layers.MultiHeadAttention(2, 4), lambda layer, x: layer(x, x, value_mask=BLIND)),
    "encoder": (layers.TransformerEncoder(16, 2), lambda layer, x: layer(x, padding_mask=BLIND)),
    "decoder": (
        layers.TransformerDecoder(16, 2),
        lambda layer, x: layer(x, MEMORY, decoder_padding_mask=BLIND, encoder_padding_mask=BLIND[:, :5]),
    ),
    "bahdanau": (layers.BahdanauAttention(7), lambda layer, x: layer([x, x], mask=[None, BLIND])),
}


@pytest.mark.parametrize("name", ALL_MASKED)
def test_gradients_are_finite_where_everything_is_masked(name):
    layer, call = ALL_MASKED[name]
    x = array(2, 6, 8)
    call(layer, x)
    found = gradients(lambda x: call(layer, x), layer, x)
    assert len(found) == 1 + len(layer.trainable_variables)
    for gradient in found:
        assert np.isfinite(numpy(gradient)).all()


def test_an_explicit_padding_mask_wins_over_the_inputs_own():
    layer = layers.TransformerEncoder(16, 2)
    embedded = layers.TokenAndPositionEmbedding(9, 9, 8, mask_zero=True)(np.array([[1, 2, 3, 0, 0, 0]]))
    _, implicit = layer(embedded, return_attention_scores=True)
    assert (numpy(implicit)[:, :, :3, 3:] == 0).all()
    _, explicit = layer(array(1, 6, 8), padding_mask=PADDING[:1], return_attention_scores=True)
    assert (numpy(explicit)[..., 4:] == 0).all() and (numpy(explicit)[:, :, :4, 3] > 0).all()


def test_masks_travel_through_a_sequential_model():
    model = keras.Sequential(
        [
            layers.TokenAndPositionEmbedding(9, 9, 8, mask_zero=True),
            layers.TransformerEncoder(16, 2),
            keras.layers.GlobalAveragePooling1D(),
        ]
    )
    short, padded = np.array([[1, 2, 3]]), np.array([[1, 2, 3, 0, 0]])
    np.testing.assert_allclose(numpy(model(padded)), numpy(model(short)), atol=1e-5)


class AttentiveCell(keras.layers.Layer):
    """A GRU that reads an attention context beside its input."""

    def __init__(self, units, memory):
        super().__init__()
        self.state_size, self.memory = units, memory
        self.gru, self.attention = keras.layers.GRUCell(units), layers.BahdanauAttention(7)

    def build(self, shape):
        self.attention.build([(None, self.state_size), self.memory.shape])
        self.gru.build((*shape[:-1], shape[-1] + self.memory.shape[-1]))

    def call(self, inputs, states, training=None):
        context = self.attention([states[0], self.memory])
        return self.gru(ops.concatenate([inputs, context], -1), states, training=training)


def test_bahdanau_attention_works_in_a_cell_of_keras_rnn():
    cell, x = AttentiveCell(5, ops.convert_to_tensor(MEMORY)), array(2, 6, 8)
    got = numpy(keras.layers.RNN(cell, return_sequences=True)(x))
    state = ops.zeros((2, 5))
    for i in range(6):
        state, _ = cell(ops.convert_to_tensor(x[:, i]), [state])
        np.testing.assert_allclose(got[:, i], numpy(state), atol=1e-5)
