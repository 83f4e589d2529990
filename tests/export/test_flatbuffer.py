"""Contents of .tflite files, forbidden contents, and lossless rewriting."""

import copy

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from keras_attn_export.recipes import FP32, INT8
from keras_attn_export.tflite.compact import compact
from keras_attn_export.tflite.inspection import buffer_bytes, check_model, inspect_model, read_object
from tiny_models import converted, tiny


@pytest.fixture(scope="module")
def int8() -> bytes:
    return converted("transformer").quantized.read_bytes()


def _pack(model) -> bytes:
    import flatbuffers

    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def test_names_shapes_and_types_of_signatures():
    info = inspect_model(converted("transformer").fp32)
    assert sorted(info.signatures) == [
        "encode_4", "encode_8", "step_8_16_1", "step_8_16_2", "step_8_3_1", "step_8_3_2",
    ]  # fmt: skip
    step = info.signatures["step_8_16_2"]
    assert step.inputs["tokens"].shape == (2,) and step.inputs["tokens"].dtype == "INT32"
    assert step.inputs["position"].shape == (1,)
    assert step.inputs["self_bias"].shape == (2, 2 * 16)
    assert step.inputs["key_cache_01"].shape == (2, 8, 2 * 16)
    assert step.outputs["row_01"].shape == (2, 2 * 16)
    assert step.outputs["top_tokens"].shape == step.outputs["top_scores"].shape == (2, 8)
    assert step.outputs["alignment"].shape == (2, 8)
    encode = info.signatures["encode_8"]
    assert set(encode.outputs) <= set(step.inputs)
    assert encode.inputs["source_mask"].shape == (1, 8)
    assert check_model(info, FP32.dtypes) == []


def test_tied_table_is_stored_once(int8):
    model = tiny("transformer")
    table = model.vocabulary_size * model.hidden_dim
    layers = sum(
        int(np.prod(v.shape)) for v in model.variables if "kernel" in v.path and "seed" not in v.path
    )
    info = inspect_model(int8)
    assert info.constant_bytes["INT8"] == table + layers
    assert info.operators["EMBEDDING_LOOKUP"] == len(info.signatures)


def test_int8_rows_raise_operator_versions(int8):
    versions = inspect_model(int8).versions
    assert versions["EMBEDDING_LOOKUP"] == [4] and versions["FULLY_CONNECTED"] == [12]


def test_the_loop_of_the_recurrent_encoder_counts():
    info = inspect_model(converted("rnnsearch").quantized)
    assert info.signatures["encode_8"].operators["WHILE"] == 1
    assert info.signatures["encode_8"].operators["FULLY_CONNECTED"] >= 7
    assert check_model(info, INT8.dtypes) == []
    # All matrices are quantized, those inside the loop's body too.
    matrices = [v for v in tiny("rnnsearch").variables if len(v.shape) == 2 and v.shape[-1] > 1]
    assert info.constant_bytes["INT8"] == sum(int(np.prod(v.shape)) for v in matrices)


def test_compacting_again_changes_nothing(int8):
    again = compact(int8)
    assert len(again) == len(int8)
    tokens = {"token_ids": np.array([[9, 8, 7, 2]], np.int32), "source_mask": np.ones((1, 4), np.float32)}
    results = [Interpreter(model_content=c).get_signature_runner("encode_4")(**tokens) for c in (int8, again)]
    for name, value in results[0].items():
        np.testing.assert_array_equal(value, results[1][name])


def test_compacting_removes_copies(int8):
    model = read_object(int8)
    graph = model.subgraphs[-1]
    for tensor in graph.tensors:
        data = buffer_bytes(model.buffers[tensor.buffer], int8)
        if data:
            twin = schema.BufferT()
            twin.data = np.frombuffer(data, np.uint8)
            tensor.buffer = len(model.buffers)
            model.buffers.append(twin)
    blown_up = _pack(model)
    assert len(blown_up) > len(int8) + 10_000
    assert len(compact(blown_up)) <= len(int8)


def test_graphs_that_differ_in_shapes_share_the_rest(int8):
    """Operators that are alike are one table, though they are in several graphs."""
    model = schema.Model.GetRootAs(int8, 0)
    places = [
        [graph.Operators(i)._tab.Pos for i in range(graph.OperatorsLength())]
        for graph in map(model.Subgraphs, range(model.SubgraphsLength()))
    ]
    steps = [places[inspect_model(int8).signatures[name].subgraph] for name in ("step_8_3_1", "step_8_16_1")]
    assert len({*steps[0], *steps[1]}) < 1.1 * len(steps[0])
    assert 1.5 * len(int8) < len(_pack(read_object(int8)))


def test_constants_are_aligned(int8):
    root = schema.Model.GetRootAs(int8, 0)
    for index in range(root.BuffersLength()):
        buffer = root.Buffers(index)
        if buffer.DataLength() > 64:
            field = buffer._tab.Offset(4)
            assert buffer._tab.Vector(field) % 16 == 0


@pytest.mark.parametrize(
    ("builtin", "custom", "word"),
    [
        (schema.BuiltinOperator.VAR_HANDLE, None, "not tracked"),
        (schema.BuiltinOperator.READ_VARIABLE, None, "not tracked"),
        (schema.BuiltinOperator.CUSTOM, b"FlexErf", "FlexErf"),
    ],
)
def test_forbidden_operators_are_found(int8, builtin, custom, word):
    model = read_object(int8)
    code = schema.OperatorCodeT()
    code.builtinCode, code.deprecatedBuiltinCode, code.customCode = builtin, min(builtin, 127), custom
    model.operatorCodes.append(code)
    model.subgraphs[0].operators[0].opcodeIndex = len(model.operatorCodes) - 1
    problems = check_model(inspect_model(_pack(model)), INT8.dtypes)
    assert len(problems) == 1 and word in problems[0]


def test_forbidden_types_and_shapes_are_found(int8):
    model = read_object(int8)
    definition = model.signatureDefs[0]
    graph = model.subgraphs[definition.subgraphIndex]
    graph.tensors[definition.inputs[0].tensorIndex].type = schema.TensorType.INT64
    graph.tensors[definition.inputs[1].tensorIndex].shapeSignature = [1, -1]
    problems = check_model(inspect_model(_pack(model)), INT8.dtypes)
    assert any("type INT64" in problem for problem in problems)
    assert any("not int32 or float32" in problem for problem in problems)
    assert any("unknown dimension" in problem for problem in problems)
    assert check_model(inspect_model(int8), FP32.dtypes) != []


def test_no_signatures_is_a_problem(int8):
    model = copy.deepcopy(read_object(int8))
    model.signatureDefs = None
    assert "no signatures" in check_model(inspect_model(_pack(model)), INT8.dtypes)


def test_other_files_are_refused():
    with pytest.raises(ValueError, match="TFL3"):
        inspect_model(b"a text, not a model")
