"""Files for MediaPipe's text tasks: what is in them, what is refused, and MediaPipe's own answers."""

import functools
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hard_texts import hard_texts
from keras_attn_export import export
from keras_attn_export.mediapipe.checks import MediaPipeFile, output_check, tokens_check
from keras_attn_export.mediapipe.file import NAME, make_file
from keras_attn_export.mediapipe.metadata import with_files
from keras_attn_export.mediapipe.tokenizing import MediaPipeTokenizer, refusals, vocabulary
from mediapipe_ids import all_characters, carried, returning_ids
from open_mediapipe import FOLDER, answers
from tiny_encoders import LABELS, bare_tokenizer, encoder_tokenizer, tiny_encoder
from tiny_models import in_process, pairs, scratch, sentences, tiny
from tiny_models import tokenizer as translators_tokenizer
from tiny_tasks import task_bundle, tiny_task
from tokenizers import Tokenizer, normalizers

from keras_attn import device
from keras_attn.device.proof.tokenizer_proof import HARD_TEXTS
from keras_attn.device.proof.verify import verify
from keras_attn.errors import ArgumentError

GOLDEN = Path(__file__).parents[1] / "golden" / "mediapipe_ids.json"
TEXTS = [
    *sentences()[40:70],
    "The OLD Dog.",
    "a très RED tree",
    "",
    "  ",
    "red " * 40,
    "日本 the cat",
    "don't",
]


@functools.cache
def bundle(name):
    """A bundle with a file for MediaPipe."""
    path = scratch() / f"mediapipe-{name}"
    texts = sentences()[:40]
    labelled = [(text, LABELS[i % 3]) for i, text in enumerate(texts)]
    with in_process():
        return export(
            tiny_encoder(name),
            path,
            recipe="int8",
            tokenizer=encoder_tokenizer(),
            examples=labelled if name == "pooled" else [*texts, "un arbre très vert", "red " * 40],
            mediapipe=True,
            proof_sentences=8,
            **({"lengths": [16]} if name == "pooled" else {}),
        )


@functools.cache
def several():
    """A file of a classifier whose labels do not exclude each other."""
    opened = device.Bundle.open(task_bundle("several"))
    bucket = opened.manifest["buckets"][-1]
    content = make_file(
        opened.read("model.tflite"),
        bucket["encode"],
        "classification",
        vocabulary(encoder_tokenizer().tokenizer, encoder_tokenizer().special_ids),
        ["a", "b", "c"],
        multi_label=True,
    )
    path = scratch() / "several.tflite"
    path.write_bytes(content)
    return path


def opened(path, task):
    tokenizer = encoder_tokenizer()
    return MediaPipeFile(path, task, vocabulary(tokenizer.tokenizer, tokenizer.special_ids))


def checks(path):
    return {check["name"]: check for check in json.loads((path / "report.json").read_text("utf-8"))["rungs"]}


def test_the_file_has_the_inputs_the_output_and_the_texts_that_mediapipe_reads():
    path = bundle("pooled").path
    content = (path / NAME).read_bytes()
    model = schema.ModelT.InitFromPackedBuf(bytearray(content), 0)
    [graph] = model.subgraphs
    described = [
        (graph.tensors[i].name, graph.tensors[i].type, [*graph.tensors[i].shape]) for i in graph.inputs
    ]
    assert described == [(n, schema.TensorType.INT32, [1, 16]) for n in (b"ids", b"mask", b"segment_ids")]
    [output] = [graph.tensors[i] for i in graph.outputs]
    assert output.name == b"probability" and [*output.shape] == [1, 3]
    [entry] = [each for each in model.metadata if each.name == b"TFLITE_METADATA"]
    assert bytes(model.buffers[entry.buffer].data)[4:8] == b"M001"
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.read("labels.txt").decode().split() == LABELS
        lines = archive.read("vocab.txt").decode().splitlines()
    assert [lines.index(each) for each in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "##us")] == [
        encoder_tokenizer().tokenizer.token_to_id(each)
        for each in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "##us")
    ]
    assert verify(path).ok and NAME in bundle("pooled").manifest["files"]


@pytest.mark.parametrize("name", ["pooled", "embedder"])
def test_the_file_answers_as_the_bundle(name):
    task, path = device.load(bundle(name).path), bundle(name).path
    file = opened(path / NAME, "classification" if name == "pooled" else "embedding")
    for text in sentences()[60:80]:
        ids = task.tokenizer.encode(text)
        assert file.encode(text) == ids
        expected = task.encoder.run(ids)
        np.testing.assert_allclose(
            file.run(ids), np.exp(expected) if name == "pooled" else expected, atol=1e-6, rtol=1e-5
        )
    found = checks(path)
    assert found["mediapipe outputs"]["figures"]["max_error"] <= 1e-5
    figures = found["mediapipe tokens"]["figures"]
    if name == "pooled":
        assert (figures["texts"], figures["equal"], figures["cut"]) == (40, 40, 0)
    else:
        assert (figures["texts"], figures["equal"], figures["cut"], figures["different"]) == (42, 41, 1, 1)
        assert "un arbre très vert" in found["mediapipe tokens"]["detail"]


def test_labels_that_do_not_exclude_each_other_have_probabilities_of_their_own():
    task, file = (
        device.load(task_bundle("several"), task="classification"),
        opened(several(), "classification"),
    )
    for text in sentences()[60:70]:
        ids = task.tokenizer.encode(text)
        np.testing.assert_allclose(file.run(ids), np.exp(task.encoder.run(ids)), atol=1e-6)
    assert output_check(file, task.encoder, "classification", True, TEXTS[:3]).ok
    assert not output_check(file, task.encoder, "classification", False, TEXTS[:3]).ok


def test_texts_that_are_mostly_split_otherwise_fail_the_proof():
    file = opened(bundle("embedder").path / NAME, "embedding")
    check = tokens_check(file, encoder_tokenizer(), ["très", "är", "the cat"], prompt="query: ")
    assert not check.ok and "splits 2 (66.7%) otherwise" in check.detail and "'query: '" in check.detail
    assert tokens_check(file, encoder_tokenizer(), []).ok


def test_what_mediapipe_cannot_run_is_refused_before_anything_is_made(tmp_path):
    cased = Tokenizer.from_str(encoder_tokenizer().tokenizer.to_str())
    cased.normalizer = normalizers.BertNormalizer(lowercase=False)
    assert refusals(encoder_tokenizer().tokenizer, encoder_tokenizer().special_ids) == []
    [reason] = refusals(cased, encoder_tokenizer().special_ids)
    assert "capital letters" in reason
    cases = [
        ((tiny_encoder("last"), bare_tokenizer()), {}, "byte-level BPE"),
        ((tiny_encoder("masked"), encoder_tokenizer(True)), {}, "no task that fills masks"),
        ((tiny_task("entities"), encoder_tokenizer()), {}, "no task that labels each token"),
        ((tiny_task("answers"), encoder_tokenizer()), {}, "no task that answers"),
        ((tiny_task("reranker"), encoder_tokenizer()), {}, "one logit"),
        ((tiny_encoder("pooled"), encoder_tokenizer()), {"pairs": True}, "two texts"),
        ((tiny_encoder("follows"), encoder_tokenizer()), {}, "two texts"),
        ((tiny_encoder("pooled"), encoder_tokenizer()), {"lengths": [8, 16]}, "one length, not 2"),
        ((tiny("transformer"), translators_tokenizer()), {"examples": pairs()}, "no task that translates"),
    ]
    for (model, tokenizer), options, reason in cases:
        with pytest.raises(ArgumentError, match=reason):
            export(model, tmp_path / "bundle", tokenizer=tokenizer, mediapipe=True, **options)
    assert not list(tmp_path.iterdir())


def test_special_tokens_of_other_names_are_found_by_their_ids():
    tokenizer = encoder_tokenizer()
    renamed = json.loads(tokenizer.tokenizer.to_str())
    text = json.dumps(renamed).replace("[CLS]", "<s>").replace("[SEP]", "</s>")
    lines = vocabulary(Tokenizer.from_str(text), tokenizer.special_ids)
    assert MediaPipeTokenizer(lines).encode("the red cat") == tokenizer.encode("the red cat")


def test_ids_are_those_that_mediapipe_made():
    tokenizer = MediaPipeTokenizer(all_characters())
    for text, ids in zip(HARD_TEXTS, json.loads(GOLDEN.read_text("utf-8")), strict=True):
        assert tokenizer.encode(carried(text)) == ids


def test_files_are_the_same_each_time():
    assert with_files(b"TFL3", {"vocab.txt": ["a"]}) == with_files(b"TFL3", {"vocab.txt": ["a"]})


@pytest.fixture(scope="module")
def installed():
    if not (FOLDER / "mediapipe").is_dir():
        pytest.skip(
            "MediaPipe is not installed: `make test` puts it into .venv/mediapipe where it can be had"
        )


@pytest.mark.mediapipe
def test_mediapipe_splits_hard_texts_as_is_predicted(installed):
    length, tokenizer = 256, MediaPipeTokenizer(all_characters())
    texts = [carried(each) for each in hard_texts(["word", "été", "naïve"])]
    file = returning_ids(length, scratch() / "returning_ids.tflite")
    found = np.array(answers("embedding", file, texts)).astype(int)
    for text, ids in zip(texts, found.tolist(), strict=True):
        expected = tokenizer.encode(text)
        cut = expected if len(expected) <= length else [*expected[: length - 1], 3]
        assert ids == cut + [0] * (length - len(cut)), text


@pytest.mark.mediapipe
def test_mediapipe_gives_the_bundles_answers(installed):
    file = opened(bundle("embedder").path / NAME, "embedding")
    expected = [file.run(file.encode(text)) for text in TEXTS]
    found = answers("embedding", bundle("embedder").path / NAME, TEXTS)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    for path, labels in ((bundle("pooled").path / NAME, LABELS), (several(), ["a", "b", "c"])):
        file = opened(path, "classification")
        for text, scores in zip(TEXTS, answers("classification", path, TEXTS), strict=True):
            by_label = dict(zip(labels, file.run(file.encode(text)).tolist(), strict=True))
            assert scores == pytest.approx(by_label, abs=1e-6)
