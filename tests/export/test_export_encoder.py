"""Encoders on the device: the Keras model's answers, from a bundle that proves them."""

import functools
import json
import subprocess
import sys

import numpy as np
import pytest
from ai_edge_litert.schema_py_generated import TensorType
from keras_attn_export import ExportError, export, pipeline
from keras_attn_export.tflite.inspection import buffer_bytes, operator_name, read_object
from sharing import check_shared
from tiny_encoders import LABELS, LENGTHS, encoder_tokenizer, tiny_encoder, tokenizer_of
from tiny_models import in_process, scratch, sentences

from keras_attn import device
from keras_attn.device.errors import BundleError, InputError, TextTooLong
from keras_attn.device.proof.verify import verify
from keras_attn.encoding import keras_task

ALL = ("pooled", "cls", "mean", "last", "embedder", "longest", "causal", "masked")


def examples_of(name):
    texts = sentences() if name == "embedder" else sentences()[:60]  # neighbours are near each other
    if name not in ("pooled", "cls", "mean", "last", "follows"):
        return texts
    found = keras_task(tiny_encoder(name), tokenizer_of(name), LENGTHS).classify(texts)
    return [(each.input, each.label) for each in found]  # the model's own opinion


@functools.cache
def bundle(name, recipe="fp32", heads=False, pairs=False):
    path = scratch() / f"{name}-{recipe}-{heads}-{pairs}"
    with in_process():
        export(
            tiny_encoder(name),
            path,
            recipe,
            tokenizer=tokenizer_of(name),
            examples=examples_of(name),
            buckets=LENGTHS,
            heads=heads,
            pairs=pairs,
            proof_sentences=8,
            conversions=scratch() / "conversions",
        )
    return path


def answers(task, texts):
    """The numbers of each answer, in an order that does not depend on them."""
    if hasattr(task, "embed"):
        return np.stack([each.embedding for each in task.embed(texts)])
    if hasattr(task, "classify"):
        found = [{output.label: output.score for output in each.outputs} for each in task.classify(texts)]
        return np.array([[each[label] for label in LABELS] for each in found])
    found = task.fill_mask([text.replace("a", "[MASK]", 1) for text in texts], top=3)
    return np.array([[output.score for output in each.outputs[:3]] for each in found])


@pytest.mark.parametrize("name", ALL)
def test_the_device_answers_as_keras_does(name):
    texts = [text for text in sentences()[60:90] if "a" in text]
    texts.append(" ".join(texts[:5])[:40].strip() + " a")  # the longer bucket
    keras = keras_task(tiny_encoder(name), tokenizer_of(name), LENGTHS)
    texts = [text for text in texts if keras.fits(text)]
    np.testing.assert_allclose(answers(device.load(bundle(name)), texts), answers(keras, texts), atol=1e-4)


@pytest.mark.parametrize("name", ["pooled", "last", "embedder", "masked"])
def test_int8_is_smaller_close_and_proven(name):
    path = bundle(name, "int8")
    report = verify(path)
    assert report.ok, str(report)
    names = ["files", "signatures", "scores", "answers", "exchanged", "texts"]
    assert [check.name for check in report.checks] == names
    found = json.loads((path / "report.json").read_text("utf-8"))
    assert found["ok"] and found["rungs"][-1]["name"] == "metric"
    assert found["bytes"]["model.tflite"] < found["bytes"]["model as fp32"]
    texts = sentences()[90:110]
    texts = [text for text in texts if "a" in text]
    close, exact = answers(device.load(path), texts), answers(device.load(bundle(name)), texts)
    assert 1e-6 < np.abs(close - exact).max() < 0.2


def test_lengths_share_one_table_of_positions():
    """Where positions are looked up; constant ones are in test_rewritten_graphs."""
    content = (bundle("last", "int8") / "model.tflite").read_bytes()
    model, tables = read_object(content), set()
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            data, shape = buffer_bytes(model.buffers[tensor.buffer], content), tuple(tensor.shape)
            if data and len(shape) == 2 and shape[0] in LENGTHS and tensor.type == TensorType.FLOAT32:
                tables.add((tensor.buffer, shape))
    assert len([shape for _, shape in tables if shape[1] in (16, *LENGTHS)]) == 1, tables
    assert sum(operator == "EMBEDDING_LOOKUP" for operator in operators_of(model)) == len(LENGTHS)


def operators_of(model):
    return [operator_name(model, operator) for graph in model.subgraphs for operator in graph.operators]


def test_heads_of_gpt2_are_keras_attention():
    model, task = tiny_encoder("causal"), device.load(bundle("causal", heads=True))
    pieces, found = task.heads("the red cat")
    scores = model.backbone({"token_ids": np.array([task.ids("the red cat")])}, return_attention_scores=True)
    np.testing.assert_allclose(found, np.asarray(scores["attention_scores"])[:, 0], atol=1e-5)
    assert pieces[0] == "▁t" and len(pieces) == found.shape[-1] > 3  # nothing encloses it
    assert found[0, 0, 0, 1] == 0
    np.testing.assert_allclose(found.sum(-1), 1, atol=1e-6)


def test_heads_are_keras_attention():
    model, name = tiny_encoder("embedder"), "embedder"
    path = bundle(name, heads=True)
    task = device.load(path)
    checks = {
        check["name"]: check for check in json.loads((path / "report.json").read_text("utf-8"))["rungs"]
    }
    assert checks["fp32 heads"]["figures"]["max_error"] < 1e-5
    text = sentences()[0]
    pieces, found = task.heads(text)
    ids = np.array([task.ids(text)])
    scores = model.backbone({"token_ids": ids}, return_attention_scores=True)["attention_scores"]
    np.testing.assert_allclose(found, np.asarray(scores)[:, 0], atol=1e-5)
    assert len(pieces) == found.shape[-1] and pieces[0] == "▁[CLS]" and pieces[-1] == "▁[SEP]"
    again, same = keras_task(model, tokenizer_of(name), LENGTHS).heads(text)
    assert again == pieces
    np.testing.assert_allclose(same, found, atol=1e-5)
    long = " ".join(sentences()[:10])
    pieces, found = task.heads(long, truncate=True)
    assert len(pieces) == found.shape[-1] == 16 and pieces[-1] == "▁[SEP]"
    with pytest.raises(BundleError, match="--heads"):
        device.load(bundle(name)).heads(text)


@pytest.mark.parametrize(("name", "pairs"), [("follows", False), ("pooled", True)])
@pytest.mark.parametrize("recipe", ["fp32", "int8"])
def test_pairs_are_encoded_as_by_keras(name, pairs, recipe):
    path = bundle(name, recipe, pairs=pairs)
    task, keras = device.load(path), keras_task(tiny_encoder(name), tokenizer_of(name), LENGTHS)
    assert verify(path).ok
    for text, pair in (("the red cat", "a dog"), ("a dog", "the red cat"), ("the", ""), ("a dog", None)):
        found, wanted = (each.classify(text, pair=pair) for each in (task, keras))
        scores = [{label.label: label.score for label in each.outputs} for each in (found, wanted)]
        assert scores[0] == pytest.approx(scores[1], abs=1e-5 if recipe == "fp32" else 0.1)
        assert found.pair == pair and ("pair" in found.to_json()) == (pair is not None)
    model, ids = tiny_encoder(name), task.ids("the red cat", pair="a dog")
    inputs = {"token_ids": np.array([ids]), "segment_ids": np.array([[0] * 5 + [1] * (len(ids) - 5)])}
    expected = np.asarray(model(inputs))[0]
    wanted = keras.encoder.run(ids)
    np.testing.assert_allclose(wanted - wanted[0], expected - expected[0], atol=1e-5)
    with pytest.raises(TextTooLong, match=r"; shorten it\.$"):  # nothing of the second would be read
        task.classify(" ".join(sentences()[:10]), pair="a dog", truncate=True)


def test_pairs_are_refused_where_they_are_not_read(tmp_path):
    with pytest.raises(InputError, match="--pairs"):
        device.load(bundle("pooled")).classify("the cat", pair="a dog")
    for name, message in (("embedder", "only classifiers"), ("last", "no special token")):
        with pytest.raises(ValueError, match=message):
            export(tiny_encoder(name), tmp_path / "bundle", tokenizer=tokenizer_of(name), pairs=True)


def test_a_graph_that_drops_the_mask_leaves_no_bundle(tmp_path, monkeypatch):
    monkeypatch.setattr(pipeline, "ENCODER_TRACE", "sabotaged_lowerings:encoder_without_mask")
    with in_process(), pytest.raises(ExportError) as caught:
        export(
            tiny_encoder("embedder"),
            tmp_path / "bundle",
            "fp32",
            tokenizer=encoder_tokenizer(),
            buckets=LENGTHS,
        )
    assert caught.value.check == "fp32 scores" and list(tmp_path.iterdir()) == []


def test_empty_text_does_not_shift_labels(tmp_path):
    examples = examples_of("mean")
    examples = [("", next(label for label in LABELS if label != examples[0][1])), *examples]
    with in_process():
        written = export(
            tiny_encoder("mean"), tmp_path / "bundle", "fp32", tokenizer=encoder_tokenizer(),
            examples=examples, buckets=LENGTHS, proof_sentences=4,
        )  # fmt: skip
    metric = json.loads(written.read("report.json"))["rungs"][-1]
    assert metric["name"] == "metric" and "Keras 100.00" in metric["detail"]


def test_long_texts_are_refused_or_cut_when_asked():
    task = device.load(bundle("embedder"))
    long = " ".join(sentences()[:10])
    with pytest.raises(TextTooLong, match=r"at most 16 .*; shorten it, or in Python give truncate=True"):
        task.embed(long)
    ids = task.ids(long, truncate=True)
    assert len(ids) == 16 and ids[-1] == task.tokenizer.special_ids["end"]
    assert task.embed(long, truncate=True).embedding.shape == (16,)
    assert device.load(bundle("pooled")).classify("").outputs  # two special tokens are a text


def test_masks_are_required_and_all_are_filled():
    task = device.load(bundle("masked"))
    with pytest.raises(InputError, match=r"no \[MASK\]"):
        task.fill_mask("the red cat")
    found = task.fill_mask("the [MASK] cat likes the [MASK]", top=2)
    assert [output.mask for output in found.outputs] == [0, 0, 1, 1]
    assert "[MASK]" not in found.outputs[0].text
    assert found.outputs[0].score >= found.outputs[1].score
    with pytest.raises(ValueError, match="top"):
        task.fill_mask("[MASK]", top=0)


def test_the_command_line_prints_each_task():
    def run(*arguments):
        command = [sys.executable, "-m", "keras_attn.device", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    done = run(bundle("pooled"), "the red cat", "--json")
    (output, *_) = json.loads(done.stdout)["outputs"]
    assert set(output) == {"label", "score"} and output["label"] in LABELS
    done = run(bundle("embedder"), "the red cat", "--json")
    assert len(json.loads(done.stdout)["outputs"][0]["embedding"]) == 16
    done = run(bundle("masked"), "the [MASK] cat", "--top", "2")
    assert done.stdout.count("\n") == 2
    done = run(bundle("follows"), "the red cat", "--pair", "a dog", "--json")
    assert json.loads(done.stdout)["pair"] == "a dog"
    done = run(bundle("pooled"), "the red cat", "--beam", "4")
    assert done.returncode == 2 and "--beam" in done.stderr and "Traceback" not in done.stderr
    assert "keras" not in run("--verify", bundle("masked")).stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tokenizer": None}, "needs `tokenizer`"),
        ({"buckets": [99]}, "exceeds the model's 16 positions"),
        ({"heads": True, "source": "translator"}, "translator's bundle"),
    ],
)
def test_bad_arguments_are_named(options, words, tmp_path):
    from tiny_models import tiny, tokenizer

    source, own = tiny_encoder("embedder"), encoder_tokenizer()
    if options.pop("source", None):
        source, own = tiny("rnnsearch"), tokenizer()
    with pytest.raises(ValueError, match=words):
        export(source, tmp_path / "bundle", **{"tokenizer": own, **options})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["pooled", "embedder", "masked"])
def test_threads_may_share_one(name):
    """Texts of several lengths, alone and in lists, and the attention of heads."""
    heads = name == "pooled"
    calls = []
    for text in ["[MASK] " + text if name == "masked" else text for text in sentences()[:12]]:
        calls += [
            lambda task, text=text: answers(task, [text, text + " a cat"]).tolist(),
            lambda task, text=text: answers(task, [text]).tolist(),
        ]
        calls += [lambda task, text=text: [part.tolist() for part in task.heads(text)[1]]] if heads else []
    check_shared(calls, lambda: device.load(bundle(name, heads=heads)))
