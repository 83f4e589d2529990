"""Rewritten files compute the same: shared tables, rows that are left out, and smoothing."""

import collections

import numpy as np
import pytest
from hand_made_graphs import HandMade
from keras_attn_export.tflite.compact import compact
from keras_attn_export.tflite.edited_model import EditedModel
from keras_attn_export.tflite.inspection import inspect_model
from keras_attn_export.tflite.quantize import quantize
from keras_attn_export.tflite.row_selection import select_rows
from keras_attn_export.tflite.smoothing import smooth

DEPTH, HEADS, LENGTHS = 32, 4, (8, 16)


def constant(*shape, seed=0, size=0.3):
    return (np.random.default_rng(seed).normal(size=shape) * size).astype(np.float32)


def assert_same(made, content, tolerance=1e-5):
    before, after = made.outputs(made.content), made.outputs(content)
    for length, expected in before.items():
        scale = np.abs(expected).max()
        np.testing.assert_allclose(after[length], expected, atol=tolerance * scale)
        assert expected.std() > 0.01 * scale  # or equality would say little


def kinds(content, graph=0):
    edited = EditedModel(content).graphs[graph]
    return collections.Counter(edited.kind(operator) for operator in edited.operators)


def positioned(add, x, length):
    table = constant(1, 64, DEPTH)
    return add.same("ADD", x, np.ascontiguousarray(table[:, :length]))


def test_tables_of_positions_become_parts_of_the_longest():
    made = HandMade(positioned, (32, 48, 64), DEPTH)
    small = compact(made.content)
    assert_same(made, small, 0)
    assert inspect_model(small).constant_bytes["FLOAT32"] == 64 * DEPTH * 4
    assert [kinds(small, i)["SLICE"] for i in range(3)] == [1, 1, 0]


def test_square_tables_are_shared_at_their_corner():
    table = constant(1, HEADS, 64, 64)

    def biased(add, x, length):
        heads = add("RESHAPE", [x, np.array([1, 1, length, DEPTH], np.int32)], (1, 1, length, DEPTH))
        scores = add("BATCH_MATMUL", [heads, heads], (1, 1, length, length), adjY=True)
        bias = np.ascontiguousarray(table[:, :, :length, :length])
        return add("ADD", [scores, bias], (1, HEADS, length, length))

    made = HandMade(biased, (40, 64), DEPTH)
    small = compact(made.content)
    assert_same(made, small, 1e-6)
    assert inspect_model(small).constant_bytes["FLOAT32"] == table.nbytes


def test_other_tables_and_those_of_matrices_stay():
    def unlike(add, x, length):
        x = add.same("ADD", x, constant(1, length, DEPTH, seed=length))
        return add.dense(x, constant(64, DEPTH, seed=3)[:length])

    made = HandMade(unlike, (32, 64), DEPTH)
    assert kinds(compact(made.content))["SLICE"] == 0


def attention(add, x, length, causal=False):
    """One block of a Transformer: attention with heads, a residual connection and a norm."""
    depth = DEPTH // HEADS

    def heads(seed):
        y = add.dense(x, constant(DEPTH, DEPTH, seed=seed), constant(DEPTH, seed=seed + 1))
        y = add("RESHAPE", [y, np.array([1, length, HEADS, depth], np.int32)], (1, length, HEADS, depth))
        return add("TRANSPOSE", [y, np.array([0, 2, 1, 3], np.int32)], (1, HEADS, length, depth))

    query, key, value = heads(1), heads(3), heads(5)
    scores = add("BATCH_MATMUL", [query, key], (1, HEADS, length, length), adjY=True)
    later = np.triu(np.full((length, length), -1e9, np.float32), 1)[None, None]
    scores = add.same("ADD", scores, later) if causal else scores
    weights = add("SOFTMAX", [scores], (1, HEADS, length, length), beta=1.0)
    mixed = add("BATCH_MATMUL", [weights, value], (1, HEADS, length, depth))
    mixed = add("TRANSPOSE", [mixed, np.array([0, 2, 1, 3], np.int32)], (1, length, HEADS, depth))
    mixed = add("RESHAPE", [mixed, np.array([length, DEPTH], np.int32)], (length, DEPTH))
    mixed = add.dense(mixed, constant(DEPTH, DEPTH, seed=7))
    y = add("ADD", [x, mixed], (1, length, DEPTH))
    mean = add("MEAN", [y, np.array([2], np.int32)], (1, length, 1), keepDims=True)
    centred = add("SUB", [y, mean], (1, length, DEPTH))
    square = add.same("MUL", centred, centred)
    mean = add("MEAN", [square, np.array([2], np.int32)], (1, length, 1), keepDims=True)
    inverse = add.same("RSQRT", mean)
    return add("MUL", [centred, inverse], (1, length, DEPTH))


def row(add, x, number):
    begin, end = np.array([0, number, 0], np.int32), np.array([0, number + 1, 0], np.int32)
    masks = {"beginMask": 5, "endMask": 5, "shrinkAxisMask": 2}
    return add("STRIDED_SLICE", [x, begin, end, np.ones(3, np.int32)], (1, DEPTH), **masks)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("number", [0, 5])
def test_only_the_row_that_is_read_is_computed(number, causal):
    made = HandMade(lambda add, x, n: row(add, attention(add, x, n, causal), number), LENGTHS, DEPTH)
    small = select_rows(made.content)
    assert_same(made, small)
    graph = EditedModel(small).graphs[0]
    rows = [graph.shape(int(each.outputs[0])) for each in graph.operators if graph.kind(each) == "SOFTMAX"]
    assert rows == [(1, HEADS, 1, LENGTHS[0])]
    products = [each for each in graph.operators if graph.kind(each) == "FULLY_CONNECTED"]
    sizes = [np.prod(graph.shape(int(each.outputs[0]))) // DEPTH for each in products]
    assert sorted(sizes) == [1, 1, LENGTHS[0], LENGTHS[0]]  # query and output; key and value


@pytest.mark.parametrize(("left", "transposed"), [(True, False), (True, True), (False, False)])
def test_a_matrix_without_a_batch_axis_may_mix_the_rows(left, transposed):
    """As the Fourier transform of FNet does, or a matrix that mixes the positions of an MLP-Mixer."""

    def mixed(add, x, length):
        if left:
            x = add("BATCH_MATMUL", [constant(length, length), x], (1, length, DEPTH), adjX=transposed)
        else:
            x = add("BATCH_MATMUL", [x, constant(DEPTH, DEPTH)], (1, length, DEPTH))
        x = add("BATCH_MATMUL", [x, constant(DEPTH, DEPTH, seed=1)], (1, length, DEPTH))
        return row(add, x, 2)

    made = HandMade(mixed, LENGTHS, DEPTH)
    small = select_rows(made.content)
    assert_same(made, small)
    assert small != made.content


def test_the_row_may_be_computed_by_the_model():
    def at_largest(add, x, length):
        y = attention(add, x, length)
        total = add("SUM", [x, np.array([0, 2], np.int32)], (length,), keepDims=False)
        indices = add("TOPK_V2", [total, np.array(1, np.int32)], (1,))
        graph = add.graph
        places = graph.like(indices)
        graph.graph.tensors[places].type = 2  # int32
        graph.operators[-1].outputs = np.array([indices, places], np.int32)
        return add("GATHER", [y, places], (1, 1, DEPTH), axis=1)

    made = HandMade(at_largest, LENGTHS, DEPTH)
    small = select_rows(made.content)
    assert_same(made, small)
    graph = EditedModel(small).graphs[1]
    assert (1, HEADS, 1, 16) in [graph.shape(int(each.outputs[0])) for each in graph.operators]


def test_rows_that_something_else_reads_are_computed():
    def both(add, x, length):
        y = attention(add, x, length)
        first = row(add, y, 0)
        mean = add("MEAN", [y, np.array([1], np.int32)], (1, DEPTH), keepDims=False)
        return add.same("ADD", first, mean)

    made = HandMade(both, LENGTHS, DEPTH)
    assert select_rows(made.content) is made.content


def normalized(add, x):
    """A norm with large scales, as trained models have them."""
    gamma = np.where(np.arange(DEPTH) % 8 == 0, 20.0, 0.5).astype(np.float32)
    return add.same("ADD", add.same("MUL", x, gamma), constant(DEPTH, seed=2))


def feed_forward(add, x):
    y = add.same("GELU", add.dense(x, constant(64, DEPTH, seed=4)))
    return add.dense(y, constant(DEPTH, 64, seed=6))


def pre_norm(add, x, length):
    return add.same("ADD", x, feed_forward(add, normalized(add, x)))


def post_norm(add, x, length):
    y = normalized(add, x)
    return add.same("ADD", y, feed_forward(add, y))


def error(made, content):
    exact, found = made.outputs(made.content), made.outputs(content)
    return np.mean([np.abs(found[n] - exact[n]).mean() for n in made.lengths])


@pytest.mark.parametrize(("build", "products"), [(pre_norm, 0), (post_norm, 1)])
def test_smoothing_changes_only_the_rounding(build, products):
    made = HandMade(build, LENGTHS, DEPTH)
    samples = [("encode_8", made.arrays(8, seed)) for seed in range(4)]
    smoothed = smooth(made.content, samples)
    assert_same(made, smoothed)
    before, after = (
        error(made, compact(quantize(each, "int8", "int8"))) for each in (made.content, smoothed)
    )
    assert 0 < after < 0.75 * before
    # A norm that only the matrix reads is divided; elsewhere there is one more product.
    added = kinds(smoothed) - kinds(made.content)
    assert added == collections.Counter({"MUL": products} if products else {})
    matrices = {each for graph in EditedModel(smoothed).graphs for each in weights(graph)}
    assert len(matrices) == 2  # which all lengths share


def rectified(add, x, length):
    """Units of which every other one rests while the first channel is above 0, and a scale for each."""
    first = np.zeros((DEPTH, DEPTH), np.float32)
    first[:, 0] = np.tile([1, -1], DEPTH // 2)
    hidden = add.same("MAXIMUM", add.dense(x, first), np.zeros(1, np.float32))
    scaled = add.same("MUL", hidden, constant(DEPTH, seed=5) + 1)
    return add.dense(scaled, constant(DEPTH, DEPTH, seed=3))


def test_units_that_rest_in_the_samples_may_wake():
    made = HandMade(rectified, LENGTHS, DEPTH)
    samples = [("encode_8", {name: abs(each) for name, each in made.arrays(8, i).items()}) for i in range(4)]
    errors = [
        error(made, compact(quantize(each, "int8", "int8")))
        for each in (made.content, smooth(made.content, samples))
    ]
    assert errors[1] < 5 * errors[0]  # 87 times as large if their channels are divided by next to nothing


def weights(graph):
    operators = [each for each in graph.operators if graph.kind(each) == "FULLY_CONNECTED"]
    return [graph.owner.key(graph.graph.tensors[int(each.inputs[1])].buffer) for each in operators]


def test_a_matrix_that_is_also_a_table_stays():
    table = constant(64, DEPTH, seed=8)

    def tied(add, x, length):
        words = add("GATHER", [table, np.arange(length, dtype=np.int32)], (length, DEPTH))
        y = add("ADD", [normalized(add, x), words], (1, length, DEPTH))
        return add.dense(y, table)

    made = HandMade(tied, LENGTHS, DEPTH)
    smoothed = EditedModel(smooth(made.content, [("encode_8", made.arrays(8))]))
    assert [each for graph in smoothed.graphs for each in weights(graph)] == 2 * [
        weights(EditedModel(made.content).graphs[0])[0]
    ]


def test_without_samples_of_a_signature_its_own_matrices_stay():
    def own(add, x, length):
        return add.dense(normalized(add, x), constant(48, DEPTH, seed=length))

    made = HandMade(own, LENGTHS, DEPTH)
    before, after = (
        EditedModel(each) for each in (made.content, smooth(made.content, [("encode_8", made.arrays(8))]))
    )
    assert weights(before.graphs[1]) == weights(after.graphs[1])
    assert weights(before.graphs[0]) != weights(after.graphs[0])
