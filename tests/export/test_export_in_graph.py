"""Bundles whose file begins with the text: tensorflow-text's operators with tokenizer.json's ids."""

import functools
import importlib.util
import json
import types

import numpy as np
import pytest
from tiny_encoders import LABELS, LENGTHS, encoder_tokenizer, tiny_encoder
from tiny_models import in_process, scratch, sentences

pytest.importorskip("tensorflow_text")

from ai_edge_litert.interpreter import InterpreterWithCustomOps
from keras_attn_export import ExportError, export, pipeline
from keras_attn_export.graph_tokenizer.word_pieces import check_in_graph
from keras_attn_export.recipes import INT8
from keras_attn_export.tflite.inspection import check_model, inspect_model

from keras_attn import cli, device, pretrained
from keras_attn.device.errors import BundleError, InputError
from keras_attn.device.proof import verify
from keras_attn.device.runtime import litert
from keras_attn.errors import MissingPackage

LONG = " ".join(sentences()[:10])


def write(path, **options):
    with in_process():
        return export(
            tiny_encoder("pooled"),
            path,
            tokenizer=encoder_tokenizer(),
            examples=[(text, LABELS[i % 3]) for i, text in enumerate(sentences()[:40])],
            tokenizer_in_graph=True,
            proof_sentences=8,
            **options,
        )


@functools.cache
def classifier():
    """A classifier's bundle."""
    path = scratch() / "classifier-in-graph"
    write(path, recipe="int8", buckets=LENGTHS)
    return path


@functools.cache
def embedder():
    """A sentence encoder's bundle, made of a folder by the command line."""
    folder, path, texts = (scratch() / f"embedder-in-graph{end}" for end in ("-folder", "", ".txt"))
    pretrained.save(tiny_encoder("embedder"), folder)
    encoder_tokenizer().tokenizer.save(str(folder / "tokenizer.json"))
    texts.write_text("\n".join(sentences()[:20]), "utf-8")
    options = ["--recipe", "fp32", "--buckets", ",".join(map(str, LENGTHS)), "--texts", texts]
    with in_process():
        command = ["export", folder, path, "--tokenizer", "in-graph", *options]
        assert cli.run_program(list(map(str, command))) == 0
    return path


def rungs_of(path):
    return {check["name"]: check for check in json.loads((path / "report.json").read_text("utf-8"))["rungs"]}


@pytest.mark.parametrize(("bundle", "output"), [(classifier, "scores"), (embedder, "embedding")])
def test_the_file_alone_goes_from_text_to_result(bundle, output):
    path = bundle()
    task = device.load(path)
    alone = InterpreterWithCustomOps(
        model_path=str(path / "model.tflite"), custom_op_registerers=litert.text_operators()
    )
    for text in [*sentences()[60:70], "", "the CAT's\x00 tree\u00ad™", LONG]:
        for length in LENGTHS:
            ids = task.tokenizer.cut(task.tokenizer.encode(text), length)
            found = alone.get_signature_runner(f"text_{length}")(text=np.array([text.encode()], object))
            assert found["token_ids"][0].tolist() == ids + [0] * (length - len(ids))
            (result,) = found[output]
            held = task.encoder.length_for(len(ids))
            # Another length adds in another order.
            np.testing.assert_allclose(result, task.encoder.run(ids), atol=1e-5 if held == length else 1e-2)
            again, same = task.encoder.run_text(text, length)
            assert again == ids
            np.testing.assert_array_equal(result, same)


def test_the_proof_compares_the_tokenizers_and_repeats_on_the_device():
    path = classifier()
    checks = rungs_of(path)
    assert checks["int8 tokenizer"]["figures"]["equal"] == checks["int8 tokenizer"]["figures"]["texts"] > 50
    assert "tensorflow-text's" in checks["int8 operators"]["detail"]
    report = verify.verify(path)
    assert report.ok and report.checks[-2].name == "tokenizer" and report.checks[-2].figures["texts"] > 20
    manifest = json.loads((path / "manifest.json").read_text("utf-8"))
    assert manifest["text_signatures"]["names"] == ["text_8", "text_16"]
    assert manifest["signatures"]["text_8"]["inputs"] == {"text": {"shape": [1], "dtype": "string"}}
    assert manifest["versions"]["tensorflow-text"]
    assert manifest["runtimes"] == ["ai-edge-litert>=1.4", "tensorflow>=2.21"]
    assert "from the text" in (path / "report.md").read_text("utf-8")


def test_without_the_operators_token_ids_still_work(monkeypatch):
    monkeypatch.setattr("keras_attn.device.runtime.interpreter.text_operators", lambda: None)
    monkeypatch.setattr(verify, "text_operators", lambda: None)
    task = device.load(classifier())
    assert task.classify(sentences()[0]).label in LABELS
    with pytest.raises(MissingPackage, match=r"pip install 'keras-attn\[text\]'"):
        task.encoder.run_text("the red cat", 8)
    report = verify.verify(classifier())
    assert report.ok and "was not compared" in report.checks[-2].detail


def test_unreadable_input_is_reported():
    encoder = device.load(classifier()).encoder
    with pytest.raises(InputError, match="surrogate"):
        encoder.run_text("\ud800", 8)
    with pytest.raises(BundleError, match="no signature for texts of 9 tokens"):
        encoder.run_text("the red cat", 9)


def test_another_tokenizer_leaves_no_bundle_and_names_the_text(tmp_path, monkeypatch):
    monkeypatch.setattr(pipeline, "ENCODER_TRACE", "sabotaged_lowerings:encoder_with_another_tokenizer")
    with pytest.raises(ExportError, match=r"'nul\\x00bell") as caught:
        write(tmp_path / "bundle", recipe="fp32", buckets=[16])
    assert caught.value.check == "fp32 tokenizer" and list(tmp_path.iterdir()) == []


def test_only_text_signatures_may_have_the_operators():
    info = inspect_model(classifier() / "model.tflite")
    assert check_model(info, INT8.dtypes, in_graph=True) == []
    refused = " ".join(check_model(info, INT8.dtypes))
    assert "FastBertNormalize" in refused and "text is STRING" in refused and "INT64" in refused
    signature = info.signatures["encode_8"]
    signature.operators["CUSTOM:FastBertNormalize"] = 1
    info.operators["CUSTOM:FlexErf"] = 1
    problems = check_model(info, INT8.dtypes, in_graph=True)
    assert len(problems) == 2
    assert "FlexErf" in problems[0] and "encode_8 does not take a text and has" in problems[1]


def test_other_tasks_are_refused(tmp_path):
    own = encoder_tokenizer(written_specials=True)
    with pytest.raises(ValueError, match=r"a MaskedLM cannot.*\[MASK\] is text"):
        export(tiny_encoder("masked"), tmp_path / "bundle", tokenizer=own, tokenizer_in_graph=True)
    with pytest.raises(ValueError, match=r"RNNSearch cannot.*only classifiers and sentence encoders"):
        check_in_graph(types.SimpleNamespace(class_name="RNNSearch"))
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    found = importlib.util.find_spec
    hidden = lambda name: None if name == "tensorflow_text" else found(name)  # noqa: E731
    monkeypatch.setattr("importlib.util.find_spec", hidden)
    with pytest.raises(ValueError, match=r"needs tensorflow-text: pip install 'keras-attn\[text\]'"):
        write(tmp_path / "bundle")


def test_command_line_supports_two_tokenizers(tmp_path, capsys):
    assert any(name == "fp32 tokenizer" for name in rungs_of(embedder()))
    assert cli.run_program(["export", str(tmp_path), "bundle", "--tokenizer", "words"]) == 2
    assert "in-graph" in capsys.readouterr().err
