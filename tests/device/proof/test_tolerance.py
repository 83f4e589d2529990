"""Errors are held against limits as they are where values are small, and relative where they are large."""

import io
import json

import numpy as np
import pytest
import tiny_encoders
from keras_attn_export import ExportError, export
from keras_attn_export.proof import references
from keras_attn_export.proof.perplexity import text_metric
from keras_attn_export.recipes import FP32
from tiny_language import WINDOWS, prompt_tokenizer, tiny_language_model
from tiny_models import in_process, pairs, sentences, tiny, tokenizer
from web_browser import drive, require_node

from keras_attn.device.errors import BundleError
from keras_attn.device.files.bundle import PROOF
from keras_attn.device.proof.decoder_proof import Proof
from keras_attn.device.proof.encoder_proof import EncoderProof
from keras_attn.device.proof.perplexity import LEAST as LEAST_COUNTED
from keras_attn.device.proof.perplexity import text_loss
from keras_attn.device.proof.tolerance import IMPOSSIBLE, LARGE, counted_errors
from keras_attn.device.proof.verify import verify
from keras_attn.sources.source import Source

LEAST = float(np.finfo(np.float32).min)


def test_small_values_count_as_they_are():
    reference = np.array([0.0, -0.5, -LARGE, 7.0])
    found = reference + np.array([1e-4, -1e-3, 0.5, 0])
    assert counted_errors(found, reference) == pytest.approx(np.abs(found - reference))


def test_large_values_count_relative_to_their_size():
    reference = np.array([-0.1, -2.0, -3.0, -10_000.0])
    found = reference + np.array([1e-4, 0, 0, 0.005])
    assert counted_errors(found, reference) == pytest.approx([1e-4, 0, 0, 0.005 * LARGE / 10_000])


def test_one_large_value_does_not_raise_the_tolerance_of_others():
    reference = np.array([-0.1, -2.0, -3.0, -1e30])
    assert counted_errors(reference + np.array([0.01, 0, 0, 0]), reference)[0] == pytest.approx(0.01)


def test_errors_count_relative_to_typical_values():
    reference = np.array([[0.0, -2000, -3000, -4000]])
    assert counted_errors(reference + 1e-3, reference)[0, 0] == pytest.approx(1e-3 * LARGE / 2000)


@pytest.mark.parametrize("mask", [-10_000.0, LEAST, -np.inf])
@pytest.mark.parametrize("masked", [4, 200])
def test_suppressed_tokens_do_not_raise_the_tolerance_of_others(mask, masked):
    """Most tokens are masked, as in a vocabulary of which few may be written."""
    reference = np.array([-0.1, -2.5, -4.0, -7.0, *[mask] * masked])
    found = reference + np.array([0.01] * 4 + [0.0] * masked)
    assert counted_errors(found, reference)[:4] == pytest.approx([0.01] * 4)


@pytest.mark.parametrize("size", [1.0, 1e3, 1e5])
def test_relative_error_of_a_thousandth_is_refused(size):
    reference = -size * np.array([0.5, 1, 2, 3, 50, 60, 70, 80])
    counted = counted_errors(reference * 1.001, reference)
    assert counted.max() > 10 * FP32.tolerance.max_error and counted.mean() > FP32.tolerance.mean_error


@pytest.mark.parametrize("found", [-np.inf, LEAST, IMPOSSIBLE, np.float32(LEAST)])
@pytest.mark.parametrize("reference", [-np.inf, LEAST])
def test_infinite_and_very_low_scores_are_equal(found, reference):
    assert counted_errors(np.array([-1.0, found]), np.array([-1.0, reference])).tolist() == [0, 0]


def test_score_impossible_on_one_side_is_a_large_error():
    assert counted_errors(np.array([-1.0, -3.0]), np.array([-1.0, -np.inf]))[1] == LARGE
    assert counted_errors(np.array([-1.0, -np.inf]), np.array([-1.0, -3.0]))[1] > 1e20


@pytest.mark.parametrize("found", [np.nan, np.inf])
def test_invalid_log_probability_is_nan(found):
    assert not np.isfinite(counted_errors(np.array([found]), np.array([-np.inf]))).all()


def test_the_size_of_ordinary_logits_loosens_nothing():
    reference = np.array([-0.1, -2.0, -60.0, -1e4])
    found = reference + np.array([1e-4, 0.5, 3.0, 1.0])
    for size in (0.0, 1.0, LARGE):
        assert counted_errors(found, reference, logit_size=size).tolist() == (
            counted_errors(found, reference).tolist()
        )


def test_large_logits_loosen_limits_as_far_as_floats_are_rounded_and_no_farther():
    reference = np.array([-0.1, -0.1, -2.0, -3.0])
    found = reference + np.array([0.005, 0.02, 0.5, 40.0])
    wanted = [0.005 * LARGE / 4000, 0.02 - 0.008, 0.5 - 0.008, 40 - 0.008]
    assert counted_errors(found, reference, logit_size=4000.0) == pytest.approx(wanted)
    assert counted_errors(found, reference, embeds=True, logit_size=4000.0) == pytest.approx(
        counted_errors(found, reference, embeds=True)
    )
    assert counted_errors(np.array([-np.inf]), np.array([-1.0]), logit_size=4000.0)[0] > 1e20
    assert not np.isfinite(counted_errors(np.array([np.nan]), np.array([-1.0]), logit_size=4000.0)[0])


def test_a_proof_of_an_earlier_version_has_no_size_of_logits(tmp_path):
    kept = EncoderProof(
        *[np.ones((1, 1), np.int32)] + [np.ones(1, np.int32)] * 3 + [np.ones((1, 1), np.int32)],
        np.ones((1, 1), np.float32),
        logit_size=3.0,
    )
    with np.load(io.BytesIO(kept.to_bytes())) as file:
        arrays = {name: file[name] for name in file.files}
    assert EncoderProof.load(kept.to_bytes()).logit_size == arrays.pop("logit_size") == 3
    np.savez(tmp_path / "proof.npz", **arrays)
    assert EncoderProof.load(tmp_path / "proof.npz").logit_size == 0
    for size in (np.nan, np.inf, -1.0):
        np.savez(tmp_path / "proof.npz", **arrays, logit_size=size)
        with pytest.raises(BundleError, match=r"logit_size is .*, not a size"):
            EncoderProof.load(tmp_path / "proof.npz")


def test_long_vectors_are_compared_as_unit_vectors():
    reference = np.array([300.0, 400.0])
    assert counted_errors(reference + np.array([5, 0]), reference, embeds=True) == pytest.approx([0.01, 0])
    assert counted_errors(reference / 1000 + [5, 0], reference / 1000, embeds=True) == pytest.approx([5, 0])


@pytest.mark.web
def test_the_browser_counts_alike():
    require_node()
    rng = np.random.default_rng(0)
    cases = []
    for count in (1, 2, 5, 8, 9, 40) * 5:
        reference = rng.normal(size=count) * 10.0 ** rng.integers(-2, 6, count)
        reference[rng.random(count) < 0.3] = LEAST
        cases.append([(reference + rng.normal(size=count)).tolist(), reference.tolist(), False])
        cases.append([*cases[-1][:2], True])
    cases = [[*case, size] for case in cases for size in (0.0, 49.0, 4000.0)]
    for case, found in zip(cases, drive("tolerance", given=cases), strict=True):
        expected = counted_errors(*map(np.array, case[:2]), embeds=case[2], logit_size=case[3])
        assert found == pytest.approx(expected)


def biased(value):
    """A tiny MarianMT-like model with this bias for some tokens."""
    model = type(tiny("marian")).from_config(tiny("marian").get_config())
    model.set_weights(tiny("marian").get_weights())
    bias = np.array(model.final_logits_bias)
    bias[7], bias[20:300] = value, value / 3  # Most of some 340 tokens.
    model.final_logits_bias.assign(bias)
    return model


@pytest.mark.parametrize("value", [-10_000.0, 10_000.0, -np.inf])
def test_a_translator_with_a_large_bias_is_proven(tmp_path, value):
    with in_process():
        bundle = export(
            biased(value), tmp_path / "bundle", "fp32", tokenizer=tokenizer(), examples=pairs(),
            buckets=[(4, 8)], beam=1, proof_sentences=4,
        )  # fmt: skip
    assert bundle.manifest["recipe"] == "fp32"


@pytest.mark.parametrize(("name", "recipe"), [("masked", "fp32"), ("longest", "int8")])
def test_an_encoder_with_large_values_is_proven(tmp_path, name, recipe):
    """Logits of some hundreds, and vectors of some hundreds; what is before them stays as it was."""
    original = tiny_encoders.tiny_encoder(name)
    model = type(original).from_config(original.get_config())
    model.set_weights(original.get_weights())
    last = [variable for variable in model.variables if variable.path.endswith("gamma")][-1]
    last.assign(last.value * 100)
    with in_process():
        export(
            model, tmp_path / "bundle", recipe, tokenizer=tiny_encoders.tokenizer_of(name),
            examples=sentences()[:12], buckets=[8], proof_sentences=4,
        )  # fmt: skip


def test_a_small_error_beside_a_large_bias_is_still_refused(tmp_path, monkeypatch):
    """The other tokens' limit is what it was: an error of 0.001 is found beside -10,000."""
    make = references.make_proof

    def wrong(*arguments):
        proof = make(*arguments)
        row = np.unravel_index(np.abs(proof.check_scores).argmin(), proof.check_scores.shape)
        proof.check_scores[row] += 1e-3
        return proof

    monkeypatch.setattr("keras_attn_export.proof.decoder_checks.make_proof", wrong)
    with in_process(), pytest.raises(ExportError, match=r"fp32 scores: largest difference 0\.00"):
        export(
            biased(-10_000.0), tmp_path / "bundle", "fp32", tokenizer=tokenizer(), examples=pairs(),
            buckets=[(4, 8)], beam=1, proof_sentences=4,
        )  # fmt: skip


def swapped(weights):
    """Exchange the first two rows of a matrix."""
    name = next(name for name in sorted(weights) if name.startswith("decoder_layer_0") and "kernel" in name)
    weights[name] = weights[name][[1, 0, *range(2, len(weights[name]))]]


def dropped(weights):
    """Leave a bias out."""
    name = next(name for name in sorted(weights) if name.startswith("decoder_layer_0") and "bias" in name)
    weights[name] = 0 * weights[name]


@pytest.mark.parametrize("spoil", [swapped, dropped])
@pytest.mark.parametrize("value", [-10_000.0, -np.inf])
def test_wrong_weights_are_refused_despite_many_masked_tokens(tmp_path, monkeypatch, value, spoil):
    read = Source.weights

    def wrong(source):
        weights = dict(read(source))
        spoil(weights)
        return weights

    monkeypatch.setattr(Source, "weights", wrong)
    with in_process(), pytest.raises(ExportError, match="fp32 scores"):
        export(
            biased(value), tmp_path / "bundle", "fp32", tokenizer=tokenizer(), examples=pairs(),
            buckets=[(4, 8)], beam=1, proof_sentences=4,
        )  # fmt: skip


def with_large_logits(model, matrix):
    """Raise all logits by some 4,000, by a direction that all words have in common."""
    copy = type(model).from_config(model.get_config())
    copy.set_weights(model.get_weights())
    words = next(each for each in copy.variables if each.path.endswith(matrix))
    last = [each for each in copy.variables if each.path.endswith("beta")][-1]
    for variable, value in ((words, 40), (last, 100)):
        values = np.array(variable)
        values[..., 0] = value
        variable.assign(values)
    return copy


def export_large(path):
    with in_process():
        return export(
            with_large_logits(tiny("separate"), "output_matrix"), path, "fp32", tokenizer=tokenizer(),
            examples=pairs(40), buckets=[(4, 8)], beam=2, one_call=True, proof_sentences=8,
        )  # fmt: skip


def test_a_translator_with_large_logits_is_proven(tmp_path):
    """Its log-probabilities are as near to 0 as ever, and have the rounding of 4,000."""
    bundle = export_large(tmp_path / "bundle")
    proof = Proof.load(bundle.read(PROOF))
    assert 3500 < proof.logit_size < 4500 and np.median(-proof.check_scores[:, 0]) < 10
    assert verify(tmp_path / "bundle").ok
    named = {check["name"]: check for check in json.loads(bundle.read("report.json"))["rungs"]}
    assert " of 0.0001 accepted" in named["fp32 scores"]["detail"]


def test_a_language_model_with_large_logits_is_proven(tmp_path):
    model = with_large_logits(tiny_language_model("window"), "output_matrix")
    with in_process():
        export(
            model, tmp_path / "bundle", "fp32", tokenizer=prompt_tokenizer(), examples=sentences()[:40],
            buckets=WINDOWS, proof_sentences=8,
        )  # fmt: skip


@pytest.mark.parametrize("spoil", [swapped, dropped])
def test_wrong_weights_beside_large_logits_are_refused(tmp_path, monkeypatch, spoil):
    read = Source.weights

    def wrong(source):
        weights = dict(read(source))
        spoil(weights)
        return weights

    monkeypatch.setattr(Source, "weights", wrong)
    with pytest.raises(ExportError, match="fp32 scores"):
        export_large(tmp_path / "bundle")


def test_constant_offset_of_logits_keeps_precision():
    """A masked language model whose bias is 3000 more everywhere says what it said."""
    original = tiny_encoders.tiny_encoder("masked")
    model = type(original).from_config(original.get_config())
    model.set_weights(original.get_weights())
    model.head.output_bias.assign(np.array(model.head.output_bias) + 3000)
    hidden = np.random.default_rng(0).normal(size=(4, original.backbone.hidden_dim)).astype(np.float32)
    found, wanted = (np.array(each.log_probabilities(hidden)) for each in (model, original))
    assert np.abs(found - wanted).max() < 2.5e-4  # The bias itself was rounded to 3000's spacing.
    assert found.max() < 0


def test_a_token_of_probability_0_leaves_the_perplexity_finite():
    class Steps:
        def start(self, source, mask):
            return len(source)

        def step(self, tokens, state):
            scores = np.full((state, 5), -np.inf, np.float32)
            scores[:, 1] = -1.0
            return scores, state

    loss, tokens = text_loss(lambda length: Steps(), [[0, 1, 1], [0, 2]], {"pad": 0, "start": 0})
    assert tokens == 3 and loss == pytest.approx((2 - LEAST_COUNTED) / 3)
    losses = {"Keras": (loss, 3), "fp32": (loss, 3)}
    assert text_metric(losses, 2, FP32.tolerance).figures["loss"] == 0
