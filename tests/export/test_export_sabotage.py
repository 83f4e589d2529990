"""A lowering that computes something else, in whatever way, leaves no bundle."""

import json

import pytest
from keras_attn_export import ExportError, export
from tiny_models import ROWS, SOURCES, in_process, pairs, tiny, tokenizer


def sabotage(name, tmp_path):
    with in_process(), pytest.raises(ExportError) as caught:
        export(
            tiny("shallow"),
            tmp_path / "bundle",
            recipe="fp32",
            tokenizer=tokenizer(),
            examples=pairs(),
            buckets=SOURCES[:1] if name in SMALL else SOURCES,
            beam=max(ROWS),
            lowering=f"sabotaged_lowerings:{name}",
        )
    assert list(tmp_path.iterdir()) == []
    return caught.value


SMALL = ("swapped_query_and_key", "wrong_scale", "untracked_variable", "resource_variable", "ignored_weights")


@pytest.mark.parametrize(
    "name", ["dropped_source_mask", "swapped_query_and_key", "wrong_scale", "stale_position"]
)
def test_wrong_numbers_fail_at_the_scores(name, tmp_path):
    error = sabotage(name, tmp_path)
    assert error.check == "fp32 scores", error
    assert "sentence" in error.detail and "step_" in error.detail
    if name == "stale_position":
        assert "_2" in error.detail  # the place: the step for several rows
    assert error.checks[-1]["figures"]["by_rows"]


@pytest.mark.parametrize("name", ["untracked_variable", "ignored_weights"])
def test_failed_conversion_reports_the_reason(name, tmp_path):
    error = sabotage(name, tmp_path)
    assert error.check == "conversion"
    reason = {
        "untracked_variable": "references an 'untracked' resource",
        "ignored_weights": "encoder_layer_1/",
    }[name]
    assert reason in error.detail


def test_resource_variables_fail_at_the_operators(tmp_path):
    error = sabotage("resource_variable", tmp_path)
    assert error.check in ("fp32 operators", "conversion")
    assert "VAR_HANDLE" in error.detail or "changes a weight at inference" in error.detail


def test_failed_export_keeps_the_old_bundle(tmp_path):
    from keras_attn.device import load
    from keras_attn.device.proof.verify import verify

    def good(**options):
        return export(
            tiny("shallow"),
            tmp_path / "bundle",
            tokenizer=tokenizer(),
            examples=pairs(),
            buckets=SOURCES[:1],
            beam=2,
            **options,
        )

    with in_process():
        good()
    before = {path.name: path.read_bytes() for path in (tmp_path / "bundle").iterdir()}
    with in_process(), pytest.raises(ExportError):
        good(lowering="sabotaged_lowerings:ignored_weights")
    assert {path.name: path.read_bytes() for path in (tmp_path / "bundle").iterdir()} == before
    assert verify(tmp_path / "bundle").ok
    assert load(tmp_path / "bundle").translate(["red cat", "a dog"], beam=2)[1].outputs
    report = json.loads(before["report.json"])
    names = [check["name"] for check in report["rungs"]]
    assert report["ok"] and names == [
        "fp32 operators", "int8 operators", "fp32 scores", "fp32 tokens", "int8 scores", "int8 tokens",
        "int8 shuffled", "fp32 search 1", "metric 1", "fp32 search 2", "metric 2",
    ]  # fmt: skip
    assert b"| int8 scores | ok |" in before["report.md"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"recipe": "int3"}, "recipe 'int3' is unknown"),
        ({"buckets": [99]}, "exceeds the model's 16 positions"),
        ({"beam": 0}, "beam must be at least 1"),
        ({"tokenizer": None}, "needs `tokenizer`"),
    ],
)
def test_bad_arguments_are_named(options, words, tmp_path):
    with pytest.raises(ValueError, match=words):
        export(tiny("shallow"), tmp_path / "bundle", **{"tokenizer": tokenizer(), **options})
    assert list(tmp_path.iterdir()) == []


def test_other_objects_are_refused(tmp_path):
    with pytest.raises(ValueError, match="cannot export dict"):
        export({}, tmp_path / "bundle")
