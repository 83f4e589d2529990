"""Several inputs and outputs, nested and shared models, operations of keras.ops."""

import keras
from keras import layers, ops

from zoo.case import WORDS, Case, floats, ids


def mixed_inputs():
    """A dict of ids, floats and a mask of bools; a dict of outputs."""
    tokens = keras.Input((6,), dtype="int32", name="tokens")
    mask = keras.Input((6,), dtype="bool", name="mask")
    features = keras.Input((4,), name="features")
    x = layers.Embedding(WORDS, 8)(tokens)
    x = layers.MultiHeadAttention(2, 4)(x, x, attention_mask=ops.expand_dims(mask, 1))
    x = layers.Concatenate()([layers.GlobalAveragePooling1D()(x, mask=mask), features])
    score, kind = layers.Dense(1, activation="sigmoid")(x), layers.Dense(3)(x)
    return keras.Model({"tokens": tokens, "mask": mask, "features": features}, {"score": score, "kind": kind})


def mixed_arrays(rng, count, length):
    mask = rng.uniform(size=(count, 6)) < 0.7
    mask[:, 0] = True
    features = rng.normal(size=(count, 4)).astype("float32")
    return {"tokens": ids(rng, count, 6), "mask": mask, "features": features}


def nested_outputs():
    left, right = keras.Input((4,), name="left"), keras.Input((3,), name="right")
    x = layers.Dense(6, activation="tanh")(layers.concatenate([left, right]))
    y = layers.Dense(6)(layers.multiply([x, layers.Dense(6)(left)]))
    return keras.Model([left, right], {"first": layers.Dense(2)(x), "rest": [y, (x, ops.sum(y, axis=-1))]})


def towers():
    """Two towers that share their weights, and the cosine of what they return."""
    tower = keras.Sequential(
        [layers.Embedding(WORDS, 8, mask_zero=True), layers.LSTM(8), layers.UnitNormalization()], name="tower"
    )
    query = keras.Input((None,), dtype="int32", name="query")
    answer = keras.Input((None,), dtype="int32", name="answer")
    return keras.Model([query, answer], layers.Dot(axes=1)([tower(query), tower(answer)]))


def categories():
    """Binned ages and one-hot kinds, as tables have them."""
    age, kind = keras.Input((1,), name="age"), keras.Input((1,), dtype="int32", name="kind")
    bins = layers.Discretization(bin_boundaries=[10.0, 20.0, 30.0, 60.0], output_mode="one_hot")
    x = layers.Concatenate()([bins(age), layers.CategoryEncoding(5, "one_hot")(kind)])
    return keras.Model([age, kind], layers.Dense(2)(layers.Dense(8, activation="relu")(x)))


def table(rng, count, length):
    return [rng.uniform(0, 80, (count, 1)).astype("float32"), rng.integers(0, 5, (count, 1))]


def operations():
    x = inputs = keras.Input((6, 4), name="x")
    y = ops.softmax(ops.einsum("btd,bsd->bts", x, x) / 2.0, axis=-1)
    y = ops.matmul(y, x)
    y = ops.where(y > 0, y, 0.1 * y)
    y = ops.concatenate([y, ops.square(x), ops.abs(x), ops.roll(x, 1, axis=1)], axis=-1)
    y = ops.reshape(y, (-1, 24, 4))
    y = ops.transpose(ops.stack([y, ops.clip(y, -1.0, 1.0)], axis=1), (0, 2, 1, 3))
    y = ops.max(ops.split(y, 2, axis=1)[0], axis=2) + ops.mean(x, axis=1, keepdims=True) * 0.1
    y = ops.pad(y, [[0, 0], [1, 0], [0, 0]]) * ops.sqrt(
        ops.maximum(ops.var(x, axis=-1, keepdims=True)[:, :1], 1e-3)
    )
    return keras.Model(inputs, layers.Dense(2)(layers.Flatten()(y)))


def chosen_label():
    """The label's number beside its probability."""
    x = inputs = keras.Input((5,), name="x")
    scores = layers.Dense(4)(layers.Dense(8, activation="relu")(x))
    return keras.Model(
        inputs,
        {
            "label": ops.argmax(scores, axis=-1),
            "worst": ops.argmin(scores, axis=-1),
            "probability": ops.max(ops.softmax(scores), axis=-1),
            "all": ops.logsumexp(scores, axis=-1, keepdims=True),
        },
    )


def nested_models():
    block = keras.Sequential(
        [keras.Input((6,)), layers.Dense(6, activation="relu"), layers.LayerNormalization()]
    )
    inner_input = keras.Input((6,))
    inner = keras.Model(inner_input, [block(inner_input), layers.Dense(3)(inner_input)], name="inner")
    inputs = keras.Input((6,), name="x")
    one, two = inner(inputs)
    three, _ = inner(block(one))
    return keras.Model(inputs, layers.Dense(2)(layers.Concatenate()([one, two, three])))


def many_activations():
    x = inputs = keras.Input((6,), name="x")
    names = (
        "relu",
        "gelu",
        "silu",
        "mish",
        "softplus",
        "softsign",
        "hard_sigmoid",
        "hard_silu",
        "exponential",
        "log_softmax",
        "leaky_relu",
        "celu",
        "squareplus",
        "tanh_shrink",
        "soft_shrink",
        "sparse_plus",
    )
    found = [layers.Dense(4, activation=name)(x) for name in names]
    return keras.Model(inputs, layers.Dense(2)(layers.Concatenate()(found)))


def two_lengths(rng, count, length):
    return [ids(rng, count, length), ids(rng, count, length)]


CASES = {
    "mixed_inputs": Case(mixed_inputs, mixed_arrays),
    "nested_outputs": Case(
        nested_outputs, lambda rng, n, length: [floats(4)(rng, n, length), floats(3)(rng, n, length)]
    ),
    "towers": Case(towers, two_lengths, [5, 9], padded=True),
    "categories": Case(categories, table),
    "operations": Case(operations, floats(6, 4)),
    "chosen_label": Case(chosen_label, floats(5)),
    "nested_models": Case(nested_models, floats(6)),
    "many_activations": Case(many_activations, floats(6)),
}
