"""Entities, answers, scores and labels of one's own on the device: Keras' answers, from proven bundles."""

import copy
import json
import pickle
import subprocess
import sys

import numpy as np
import pytest
from keras_attn_export import export
from sharing import check_shared
from tiny_encoders import encoder_tokenizer
from tiny_models import sentences
from tiny_tasks import (
    INFERENCE,
    examples,
    long_text,
    on_keras,
    same_spans,
    task_bundle,
    tiny_task,
)

from keras_attn import device
from keras_attn.device.errors import BundleError, InputError, TextTooLong
from keras_attn.device.files.bundle import Bundle, write_bundle
from keras_attn.device.proof.verify import verify


def test_entities_of_texts_of_any_length_are_keras():
    task, keras = device.load(task_bundle("entities"), task="token-classification"), on_keras("entities")
    texts = [
        *sentences()[60:75],
        long_text(),
        long_text(3, 20),
        "",
        "   ",
        "the RED cat\t\n likes ",
        "日本 the cat",
    ]
    found, expected = task.entities(texts), keras.entities(texts)
    assert sum(map(len, found)) > 10
    for text, one, other in zip(texts, found, expected, strict=True):
        assert same_spans(one.to_json()["outputs"], other.to_json()["outputs"])
        for label, part, start, end, score in one:
            assert part == text[start:end] and part == part.strip() and label in ("PER", "LOC")
            assert 0 < score <= 1
    assert task.entities("").to_json() == {"input": "", "outputs": []}
    with pytest.raises(ValueError, match="strategy must be one of simple, first, average, max"):
        task.entities("a", strategy="best")
    with pytest.raises(TypeError, match="must be a string"):
        task.entities([1])
    with pytest.raises(InputError, match="lone surrogate"):
        task.entities("a \ud83d b")


def test_each_token_is_labelled_where_it_has_context():
    keras, text = on_keras("entities"), long_text()
    spans = keras.tokenizer.spans(text)
    windows = list(spans.windows(16, 3))
    assert len(windows) > 2 and all(len(window.ids) == 16 for window in windows[:-1])
    assert [window.first for window in windows][:3] == [0, 11, 22] and windows[-1].behind == len(spans.ids)
    found = keras.probabilities(spans)
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-5)
    for window, low, high in ((windows[0], 0, 12), (windows[1], 12, 23)):
        scores = np.exp(keras.encoder.run(window.ids))
        own = scores[1 + low - window.first : 1 + high - window.first]
        np.testing.assert_allclose(found[low:high], own, atol=1e-6)


@pytest.mark.parametrize("name", ["answers", "apart"])
def test_answers_are_keras(name):
    task, keras = device.load(task_bundle(name), task="question-answering"), on_keras(name)
    for question, context in [*examples(name)[:8], ("the cat", long_text()), ("a  dog ", " the\tRED   cat ")]:
        for options in ({}, {"top": 3, "no_answer": True}):
            one, other = (each.answer(question, context, **options) for each in (task, keras))
            assert same_spans(one.to_json()["outputs"], other.to_json()["outputs"])
            assert one.no_answer == pytest.approx(other.no_answer, abs=1e-5)
            assert all(part == context[start:end] for part, start, end, _ in one.outputs)
    text, start, end, score = task.answer("the cat", long_text())
    assert long_text()[start:end] == text and 0 < score < 1
    assert [each.text for each in task.answer(["the", "a"], "the cat")] == [
        task.answer(question, "the cat").text for question in ("the", "a")
    ]
    for given, words in ((("", "a"), "question is empty"), (("a", " \n"), "context is empty")):
        with pytest.raises(InputError, match=words):
            task.answer(*given)
    with pytest.raises(TextTooLong):
        task.answer("the cat likes the dog and the house and the tree", long_text())
    with pytest.raises(TypeError, match="context must be a string"):
        task.answer("a", None)


def test_scores_and_labels_are_keras():
    task, keras = device.load(task_bundle("reranker"), task="scoring"), on_keras("reranker")
    passages = ["the red cat", "a dog", ""]
    scores = [each.score("the cat", passages) for each in (task, keras)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-5) and all(0 < score < 1 for score in scores[0])
    assert scores[0][1] == task.score("the cat", "a dog") == task.score(["the cat"], ["a dog"])[0]
    assert task.score("the cat") != task.score("the cat", "")
    with pytest.raises(InputError, match="2 texts, but 1 second"):
        task.score(["a", "b"], ["c"])
    with pytest.raises(TextTooLong):
        task.score("a", long_text())
    assert 0 < task.score("a", long_text(), truncate=True) < 1
    task, keras = device.load(task_bundle("several")), on_keras("several")
    found, expected = task.classify("the red cat"), keras.classify("the red cat")
    assert [o.label for o in found.outputs] == [o.label for o in expected.outputs]
    assert found.labels == [o.label for o in found.outputs if o.score > 0.5]
    assert abs(sum(o.score for o in found.outputs) - 1) > 0.05


def test_candidates_are_chosen_by_entailment():
    task, keras = device.load(task_bundle("inference")), on_keras("inference")
    candidates, text = ["cat", "dog", "tree"], "the red"
    logits = np.array([keras.encoder.run(keras.ids(text, pair=f"a {name}")) for name in candidates])
    shares = np.exp(logits[:, 2]) / np.exp(logits[:, 2]).sum()
    for each in (task, keras):
        found = each.classify(text, candidates=candidates, hypothesis="a {}")
        assert [o.score for o in found.outputs] == pytest.approx(sorted(shares, reverse=True), abs=1e-5)
        assert found.label == candidates[int(shares.argmax())]
        found = each.classify(text, candidates=candidates, hypothesis="a {}", several=True)
        shares_apart = np.exp(logits[:, 2]) / (np.exp(logits[:, 2]) + np.exp(logits[:, 0]))
        assert {o.label: o.score for o in found.outputs} == pytest.approx(
            dict(zip(candidates, shares_apart, strict=True)), abs=1e-5
        )
    found = task.classify("the cat", pair="a dog")
    assert sum(o.score for o in found.outputs) == pytest.approx(1) and {
        o.label for o in found.outputs
    } == set(INFERENCE)
    for options, words in (
        ({"candidates": []}, "one or more different"),
        ({"candidates": ["a", "a"]}, "one or more different"),
        ({"candidates": "a"}, "list of strings"),
        ({"candidates": ["a"], "hypothesis": "a"}, "must have one {}"),
        ({"candidates": ["a"], "pair": "b"}, "leave it out"),
        ({"several": True}, "are for candidates"),
    ):
        with pytest.raises((ValueError, TypeError), match=words):
            task.classify("the", **options)
    with pytest.raises(InputError, match="no label for entailment"):
        device.load(task_bundle("several")).classify("the", candidates=["a"])
    with pytest.raises(TextTooLong):
        task.classify(long_text(), candidates=["a"], hypothesis="a {}")
    assert task.classify(long_text(), candidates=["a"], hypothesis="a {}", truncate=True).outputs


@pytest.mark.parametrize("name", ["entities", "answers"])
def test_int8_is_proven_by_spans(name):
    path = task_bundle(name, "int8")
    report = verify(path)
    assert report.ok, str(report)
    assert [check.name for check in report.checks] == [
        "files",
        "signatures",
        "scores",
        "answers",
        "exchanged",
        "texts",
    ]
    found = json.loads((path / "report.json").read_text("utf-8"))
    assert found["rungs"][-1]["name"] == "metric" and "F1" in found["rungs"][-1]["detail"]


def test_a_bundle_of_another_model_fails_its_proof(tmp_path):
    bundle, other = Bundle.open(task_bundle("entities")), Bundle.open(task_bundle("entities", "int8"))
    files = {name: bundle.read(name) for name in bundle.manifest["files"]}
    manifest = {key: value for key, value in bundle.manifest.items() if key != "files"}
    wrong = write_bundle(tmp_path / "wrong", manifest, {**files, "model.tflite": other.read("model.tflite")})
    assert [check.name for check in verify(wrong.path).checks if not check.ok] == ["scores"]
    labels = ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
    renamed = write_bundle(
        tmp_path / "renamed", {**manifest, "model": {**manifest["model"], "labels": labels}}, files
    )
    assert [check.name for check in verify(renamed.path).checks if not check.ok] == ["texts"]
    with pytest.raises(BundleError, match=r"must return token_scores \[1, 8, 4\]"):
        write_bundle(
            tmp_path / "fewer", {**manifest, "model": {**manifest["model"], "labels": labels[1:]}}, files
        )
        Bundle.open(tmp_path / "fewer")


def test_objects_are_shared_copied_and_pickled():
    texts = [*sentences()[:6], long_text()]
    calls = [lambda task, text=text: [tuple(each)[:4] for each in task.entities(text)] for text in texts]
    check_shared(calls, lambda: device.load(task_bundle("entities")))
    task = device.load(task_bundle("reranker"))
    score = task.score("the cat", "a dog")
    for again in (pickle.loads(pickle.dumps(task)), copy.deepcopy(task)):
        assert again.score("the cat", "a dog") == score
    assert pickle.loads(pickle.dumps(score)) == score and pickle.loads(pickle.dumps(score)).pair == "a dog"


def test_the_command_line_prints_each_task():
    def run(*arguments):
        command = [sys.executable, "-m", "keras_attn.device", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    text = long_text()
    done = run(task_bundle("entities"), text, "--json")
    (first, *_) = json.loads(done.stdout)["outputs"]
    assert (
        list(first) == ["label", "text", "start", "end", "score"]
        and text[first["start"] : first["end"]] == first["text"]
    )
    done = run(task_bundle("answers"), "the cat", "--pair", text, "--top", "2", "--json")
    assert [list(each) for each in json.loads(done.stdout)["outputs"]] == 2 * [
        ["text", "start", "end", "score"]
    ]
    done = run(task_bundle("reranker"), "the cat", "--pair", "a dog", "--json")
    assert list(json.loads(done.stdout)["outputs"][0]) == ["score"]
    done = run(task_bundle("inference"), "the", "--candidates", "cat, dog", "--hypothesis", "a {}", "--json")
    assert {each["label"] for each in json.loads(done.stdout)["outputs"]} == {"cat", "dog"}
    done = run(task_bundle("answers"), "the cat")
    assert done.returncode == 2 and "--pair" in done.stderr and "Traceback" not in done.stderr
    done = run(task_bundle("entities"), "the cat", "--pair", "a")
    assert done.returncode == 2 and "--pair: this bundle is a EntityRecognizer" in done.stderr


def test_examples_with_what_is_right_decide_the_metric(tmp_path):
    texts = sentences()[:60]
    keras = on_keras("entities")
    right = [(text, [(e.label, e.start, e.end) for e in keras.entities(text)]) for text in texts]
    options = {"tokenizer": encoder_tokenizer(), "lengths": (16,), "proof_sentences": 4}
    written = export(tiny_task("entities"), tmp_path / "bundle", "fp32", examples=right, **options)
    assert (
        "F1 of spans, %: Keras 100.00, fp32 100.00"
        in json.loads(written.read("report.json"))["rungs"][-1]["detail"]
    )
    with pytest.raises(ValueError, match="span 'PER' from 3 to 99 is not in"):
        export(tiny_task("entities"), tmp_path / "b", examples=[("a cat", [("PER", 3, 99)])], **options)
    with pytest.raises(ValueError, match="1 of 2 lack what is right"):
        export(tiny_task("entities"), tmp_path / "b", examples=[right[0], "a cat"], **options)
    assert not (tmp_path / "b").exists()
