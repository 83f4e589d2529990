"""The recipe of mixed widths: matrices get 4 bits where the model was measured to bear it, and only there."""

import dataclasses
import functools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras_attn_export import export, recipes
from keras_attn_export.buckets import Bucket
from keras_attn_export.proof.decoder_run import DecoderProofRun
from keras_attn_export.recipes import FP32, RECIPES, Tolerance, tolerance_for
from keras_attn_export.tflite.compact import compact
from keras_attn_export.tflite.inspection import inspect_model
from keras_attn_export.tflite.int4_selection import (
    MOST_USED,
    Measured,
    largest_accepted,
    matrices,
    select_int4,
)
from keras_attn_export.tflite.quantize import quantize
from tiny_models import convert_source, in_process, pairs, tiny, tokenizer

from keras_attn import device
from keras_attn.sources.find_source import find_source


@functools.cache
def raw():
    """A Transformer of one length, as converted: every width that is tried rewrites the whole file."""
    source = find_source(tiny("shallow"), tokenizer=tokenizer())
    made = convert_source(source, "mixed", buckets=[Bucket(4, 8)], options={"rows": [1]}, recipe=FP32)
    return made.raw.read_bytes()


def test_every_large_matrix_is_found_once_by_its_path():
    found = {matrix.name: matrix for matrix in matrices(raw())}
    config = tiny("shallow").get_config()
    width, hidden = config["hidden_dim"], config["intermediate_dim"]
    assert found["embedding table"].weights == config["vocabulary_size"] * width
    assert found["decoder_layer_0/feedforward_output_dense"].weights == hidden * width
    assert found["encoder_layer_0/self_attention_layer"].weights == 3 * width * width
    # The table's users in a step: a look-up and the output layer.
    assert len(found["embedding table"].operators) > len(found["decoder_layer_0/self_attention"].operators)


def test_sensitive_matrices_keep_8_bits():
    """An error that is all one matrix' (as the widths in the file tell) leaves 8 bits to that one alone."""
    chosen = next(matrix for matrix in matrices(raw()) if matrix.name == "embedding table")

    def error(content):
        narrow = inspect_model(content).constant_bytes.get("INT4", 0)
        return Measured(1.0 if narrow >= chosen.weights // 2 else 0.01, 0.0)

    mixture = select_int4(raw(), "int8", "int8", error, more_error=4.0)
    widths = {tried.name: tried.narrow for tried in mixture.tried}
    assert not widths["embedding table"] and sum(widths.values()) >= 1
    assert mixture.error_mixed <= 4 * mixture.error
    assert inspect_model(mixture.content).constant_bytes["INT4"] < chosen.weights // 2


def test_without_tolerance_no_matrix_has_4_bits():
    mixture = select_int4(
        raw(), "int8", "int8", lambda content: Measured(float("INT4" in inspect_model(content).dtypes), 0.0)
    )
    assert not any(tried.narrow for tried in mixture.tried)
    assert mixture.content == compact(quantize(raw(), "int8", "int8"))


@pytest.fixture
def chosen_only(monkeypatch):
    """Files that hold nothing but the names of the operators whose weights have 4 bits."""
    monkeypatch.setattr("keras_attn_export.tflite.int4_selection.compact", lambda content: content)
    monkeypatch.setattr(
        "keras_attn_export.tflite.int4_selection.quantize",
        lambda content, weights, activations, names: " ".join(names).encode(),
    )


def narrow(content):
    return len(content.split())


@pytest.mark.usefixtures("chosen_only")
def test_the_limits_of_the_proof_decide():
    """The mean error is no larger with 4 bits, but a limit is used up from half of them on."""
    everything = narrow(select_int4(raw(), "int8", "int8", lambda content: Measured(0.1, 0.0)).content)

    def measure(content):
        return Measured(0.1, MOST_USED * (1.1 if narrow(content) > everything / 2 else 1.0))

    found = select_int4(raw(), "int8", "int8", measure)
    assert 0 < narrow(found.content) <= everything / 2 < everything


@pytest.mark.usefixtures("chosen_only")
def test_selection_that_fails_the_proof_is_reverted():
    """By their figures all may have 4 bits, but the metric bears half of them."""
    asked = []

    def holds(content):
        asked.append(narrow(content))
        return narrow(content) <= asked[0] / 2

    found = select_int4(raw(), "int8", "int8", lambda content: Measured(0.1, 0.1), holds)
    assert 0 < narrow(found.content) <= asked[0] / 2 and asked[0] == max(asked)
    assert 0 < sum(each.narrow for each in found.tried) < len(found.tried)
    found = select_int4(raw(), "int8", "int8", lambda content: Measured(0.1, 0.1), lambda content: False)
    assert found.content == b"" and not any(each.narrow for each in found.tried)


@given(costs=st.lists(st.floats(0, 1), max_size=40), accepted=st.floats(0, 5))
@settings(max_examples=200, deadline=None)
def test_accepted_number_is_the_limit(costs, accepted):
    summed = np.cumsum([0.0, *costs])
    found = largest_accepted(len(costs), lambda count: summed[count] <= accepted)
    assert found == 0 or summed[found] <= accepted
    assert found == len(costs) or summed[found + 1] > accepted


def test_export_reports_figures_and_proves_the_final_file(tmp_path, monkeypatch):
    run, unchanged = DecoderProofRun.run, []

    def compared(self):
        before = self.converted.quantized.read_bytes()
        proof = run(self)
        unchanged.append(self.converted.quantized.read_bytes() == before)
        return proof

    monkeypatch.setattr(DecoderProofRun, "run", compared)
    with in_process():
        bundle = export(
            tiny("transformer"), tmp_path / "bundle", "int4-mixed", tokenizer=tokenizer(), examples=pairs(),
            buckets=[(6, 12)], beam=2, metric_sentences=8, proof_sentences=4,
        )  # fmt: skip
    assert unchanged == [True]
    report = json.loads((bundle.path / "report.json").read_text("utf-8"))
    [widths] = [check["figures"] for check in report["rungs"] if check["name"] == "int4-mixed widths"]
    assert {each["name"] for each in widths["matrices"]} >= {
        "embedding table",
        "encoder_layer_1/self_attention_layer",
    }
    assert widths["mean_error"] <= 6 * widths["mean_error_int8"]
    assert bundle.manifest["runtimes"] == list(RECIPES["int4-mixed"].runtimes)
    assert device.load(bundle.path).translate("the red cat").text is not None


@pytest.mark.parametrize("task", ["classification", "embedding", "masked-lm", "translation", "generation"])
def test_if_only_int8_passes_no_matrix_has_4_bits(task):
    """No limit is narrower than int8's, whatever is listed."""
    wide, mixed = (tolerance_for(RECIPES[name], task) for name in ("int8", "int4-mixed"))
    assert mixed == mixed.widest(wide)


def test_without_limits_the_mixture_stays_at_int8(monkeypatch):
    monkeypatch.setitem(recipes._BY_TASK["embedding"], "int4-mixed", Tolerance(0.01, 0.001, 0.999, 1.0))
    assert tolerance_for(RECIPES["int4-mixed"], "embedding") == tolerance_for(RECIPES["int8"], "embedding")


def test_custom_tolerance_applies_to_every_task():
    own = dataclasses.replace(RECIPES["int8"], tolerance=Tolerance(0.5, 0.05, 0.97, 0.1))
    assert tolerance_for(own, "embedding") == own.tolerance


def test_the_recipe_is_refused_where_no_kernel_computes_it():
    with pytest.raises(ValueError, match="no kernel"):
        quantize(raw(), "int4", "float32")
