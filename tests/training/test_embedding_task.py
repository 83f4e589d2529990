"""Trainings of sentence encoders: pairs, triplets, scores, teachers; cached gradients; retrieval."""

import json
from typing import Any
from unittest import mock

import keras
import numpy as np
import pytest

import keras_attn
from keras_attn import cli
from keras_attn.data.errors import DataError
from keras_attn.data.readers.text_groups import read_groups
from keras_attn.models import PRESETS, Bert, TextEmbedder
from keras_attn.scores.retrieval import retrieval_scores
from keras_attn.training import EmbeddingConfig, TrainingError, load_run, train
from keras_attn.training.history import read_history
from keras_attn.training.optimization.embedding_objective import EmbeddingObjective, order_loss, ranking_loss
from keras_attn.training.progress import Silent

SIZES: dict[str, Any] = {"num_layers": 1, "num_heads": 2, "hidden_dim": 32, "intermediate_dim": 32}
SMALL: dict[str, Any] = {
    "vocabulary_size": 280,
    "max_tokens": 16,
    "batch_size": 16,
    "warmup": 1,
    "evaluations": 2,
}
LEARNING: dict[str, Any] = {**SMALL, "learning_rate": 1e-2, "dropout": 0.0}
THINGS = ("cat", "dog", "cow", "apple", "pear", "fig", "saw", "axe")


class Notes(Silent):
    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)


@pytest.fixture(scope="module", autouse=True)
def _tiny():
    with mock.patch.dict(PRESETS["Bert"], tiny=SIZES):
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Things by two names, in several forms."""
    folder = tmp_path_factory.mktemp("data")
    pairs = [(f"the {one} {n}", f"{one[::-1]} {n}") for one in THINGS for n in range(8)]
    lines = [f"{one}\t{other}\n" for one, other in pairs]
    (folder / "pairs.tsv").write_text("".join(lines), "utf-8")
    triplets = [{"query": one, "positive": other, "negatives": [f"{other} no", "x"]} for one, other in pairs]
    (folder / "triplets.jsonl").write_text("".join(json.dumps(each) + "\n" for each in triplets), "utf-8")
    scored = [
        (f"{a} {n}", f"{b} {n}", float(a == b)) for a in THINGS[:4] for b in THINGS[:4] for n in range(5)
    ]
    rows = ["sentence1,sentence2,score", *(f"{a},{b},{score}" for a, b, score in scored)]
    (folder / "scored.csv").write_text("\n".join(rows) + "\n", "utf-8")
    (folder / "texts.txt").write_text("".join(f"{one}\n" for one, _ in pairs), "utf-8")
    return folder


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "pairs"
    table = str(data / "pairs.tsv")
    config = EmbeddingConfig(train=table, test=table, dimensions=(8,), steps=60, **LEARNING)
    train(config, folder, progress=Silent())
    return folder


# ---- trainings ----


def test_pairs_find_each_other_by_whole_and_by_short_vectors(run, data, capsys):
    loaded = load_run(run)
    history, test = read_history(run), loaded.config["test"]
    assert history[-1].keys() >= {"mrr", "recall_at_1", "mrr_8", "validation_loss"}
    assert test["mrr"] > 0.5 and test["mrr_8"] > 0.3
    assert all(isinstance(text, str) for text in loaded.validation)
    assert cli.run_program(["evaluate", str(run), "--test", str(data / "pairs.tsv"), "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["mrr"] == pytest.approx(test["mrr"], abs=1e-6)
    assert keras_attn.load(run).embed("the cat 1").embedding.shape == (32,)


def test_a_resumed_training_with_cached_gradients_and_negatives_equals_a_whole_one(data, tmp_path):
    config = EmbeddingConfig(train=str(data / "triplets.jsonl"), accumulate=4, steps=4, **SMALL)
    train(config, tmp_path / "whole", progress=Silent())

    class StopAt(Silent):
        def stepped(self, step, loss, target_tokens):
            if step == 4:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "part", progress=StopAt())
    train(config, tmp_path / "part", progress=Silent(), resume=True)
    assert read_history(tmp_path / "part") == read_history(tmp_path / "whole")


def test_cosines_get_the_order_of_scores(data, tmp_path):
    config = EmbeddingConfig(train=str(data / "scored.csv"), steps=60, **LEARNING)
    result = train(config, tmp_path / "run", progress=Silent())
    assert read_history(tmp_path / "run")[-1].keys() >= {"spearman"}
    assert result.score > 0.5


def test_a_pupil_of_another_size_learns_a_teachers_vectors_from_single_texts(run, data, tmp_path):
    notes = Notes()
    config = EmbeddingConfig(train=str(data / "texts.txt"), teacher=str(run), steps=60, **LEARNING)
    with mock.patch.dict(PRESETS["Bert"], tiny={**SIZES, "hidden_dim": 16}):
        result = train(config, tmp_path / "pupil", progress=notes)
    assert result.score > 0.8  # the mean cosine
    assert "a dense layer brings vectors of 16 numbers to the teacher's 32" in notes.notes
    pupil = keras_attn.load(tmp_path / "pupil")
    assert pupil.embed("the cat 1").embedding.shape == (32,)


def test_translations_learn_the_vector_of_the_first_text(run, data, tmp_path):
    config = EmbeddingConfig(
        train=str(data / "pairs.tsv"),
        init=str(run),
        teacher=str(run),
        translations=True,
        steps=30,
        **LEARNING,
    )
    train(config, tmp_path / "pupil", progress=Silent())
    teacher, pupil = keras_attn.load(run), keras_attn.load(tmp_path / "pupil")
    wanted, before = (teacher.embed(text).embedding for text in ("the fig 3", "gif 3"))
    assert pupil.embed("gif 3").embedding @ wanted > before @ wanted


# ---- losses ----


def embedder(dropout=0.0):
    keras.utils.set_random_seed(0)
    backbone = Bert(30, **SIZES, max_sequence_length=8, dropout=dropout, pooler=False)
    return TextEmbedder(backbone)


def batch(rng, rows=8, texts=3):
    inputs = {
        "token_ids": rng.integers(5, 30, (rows, texts, 6)).astype(np.int32),
        "padding_mask": np.ones((rows, texts, 6), bool),
        "text_numbers": np.arange(rows * texts, dtype=np.int32).reshape(rows, texts),
    }
    return inputs, np.zeros(rows, np.float32), np.array([1.0] * (rows - 1) + [0.0], np.float32)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_a_step_in_parts_is_the_step_on_the_whole_batch(dropout):
    """With dropout the vectors of both passes of a part are the same, so the loss is that of one pass."""
    inputs, targets, weights = batch(np.random.default_rng(0))
    found = []
    for parts in (1, 2, 4):
        task = EmbeddingObjective(embedder(dropout), "pairs", dimensions=(8,))
        task.accumulate = parts
        task.compile(optimizer=keras.optimizers.SGD(0.5))
        losses = [float(task.train_on_batch(inputs, targets, sample_weight=weights)) for _ in range(2)]
        found.append((losses, [np.asarray(v.numpy()) for v in task.model.trainable_variables]))
    for losses, values in found[1:]:
        if dropout:
            assert np.isfinite(losses).all()
            continue
        np.testing.assert_allclose(losses, found[0][0], rtol=2e-5)
        for one, other in zip(values, found[0][1], strict=True):
            np.testing.assert_allclose(one, other, atol=1e-5)


def test_negatives_are_those_of_the_batch_without_what_is_right():
    rng = np.random.default_rng(0)
    unit = rng.normal(size=(4, 3, 5)).astype("float32")
    unit /= np.linalg.norm(unit, axis=-1, keepdims=True)
    # Rows 0 and 1 have the same first text, the positive of 2 is that of 0, and row 3 is padding.
    numbers = np.array([[0, 1, 2], [0, 3, 4], [5, 1, 6], [-1, -1, -1]], np.int32)
    weights, scale = np.array([1, 1, 1, 0], "float32"), 20.0
    candidates = {0: [(0, 1), (0, 2), (1, 2), (2, 2)], 1: [(1, 1), (2, 1), (0, 2), (1, 2), (2, 2)]}
    candidates[2] = [(2, 1), (1, 1), (0, 2), (1, 2), (2, 2)]
    losses = []
    for row, kept in candidates.items():
        cosines = np.array([unit[row, 0] @ unit[place] for place in kept], float) * scale
        losses.append(np.log(np.exp(cosines).sum()) - cosines[0])
    found = ranking_loss(keras.ops.array(unit), keras.ops.array(numbers), keras.ops.array(weights), scale)
    assert float(found) == pytest.approx(np.mean(losses), rel=1e-4)


def test_loss_of_order_is_cosents():
    cosines, scores = np.array([0.1, 0.5, -0.2, 0.9], "float32"), np.array([1.0, 0.5, 0.5, 3.0], "float32")
    weights = np.array([1, 1, 1, 0], "float32")
    wanted = np.log(1 + sum(np.exp(20 * (cosines[j] - cosines[0])) for j in (1, 2)))
    found = order_loss(*(keras.ops.array(each) for each in (cosines, scores, weights)), 20.0)
    assert float(found) == pytest.approx(wanted, rel=1e-5)


# ---- scores ----


def test_ranks_count_equal_cosines_against_the_right_one():
    candidates = np.eye(4, dtype=np.float32)
    queries = np.array([[3, 2, 1, 0], [1, 2, 2, 0]], np.float32)
    scores = retrieval_scores(queries, candidates, [[2], [1, 3]])
    assert scores["mrr"] == pytest.approx((1 / 3 + 1 / 2) / 2)
    assert (scores["recall_at_1"], scores["recall_at_5"], scores["sentences"]) == (0.0, 1.0, 2)


# ---- data and settings ----


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("t.tsv", "a\tb\nc\n", "line 2: there are 1 texts, and in the first row 2 texts"),
        ("t.tsv", "a\tb\nc\t \n", "line 2: a text is empty"),
        ("t.jsonl", '{"anchor": 1, "positive": "b"}\n', "line 1: not an object with `anchor`"),
        ("t.jsonl", '{"query": "a", "anchor": "b"}\n', "several of anchor, query"),
        ("t.jsonl", '{"text": "a", "score": 1}\n', "a score is that of two texts"),
        ("t.tsv", "\n", "has no texts"),
    ],
)
def test_unusable_files_are_refused(tmp_path, name, text, message):
    (tmp_path / name).write_text(text, "utf-8")
    with pytest.raises(DataError, match=message):
        read_groups(tmp_path / name)


def test_forms_of_rows(data, tmp_path):
    scored = read_groups(data / "scored.csv")
    assert (scored.texts[0], (scored.scores or [])[:6]) == (("cat 0", "cat 0"), [1.0] * 5 + [0.0])
    assert read_groups(data / "triplets.jsonl").width == 4
    (tmp_path / "t.tsv").write_text("query\tpassage\nx\ty\n", "utf-8")
    assert read_groups(tmp_path / "t.tsv").texts == [("x", "y")]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"translations": True}, "`translations` learn a teacher's vectors"),
        ({"dimensions": "8,x"}, "`dimensions` must be whole numbers, got 'x'"),
        ({"batch_size": 1}, "`batch_size` must be at least 2"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(keras_attn.KerasAttnError, match=message):
        EmbeddingConfig.recommended(train="t.tsv", **settings)


def test_what_the_data_cannot_have_is_refused(data, tmp_path):
    for settings, message in (
        ({"train": "texts.txt"}, "single texts, which teach nothing without `teacher`"),
        ({"train": "pairs.tsv", "metric": "spearman"}, "`metric` must be one of mrr, recall_at_1 here"),
        ({"train": "pairs.tsv", "validation": "scored.csv"}, "rows are not of the form"),
        (
            {"train": "pairs.tsv", "dimensions": (999,)},
            "`dimensions` has 999, but the model has vectors of 32",
        ),
    ):
        paths = {k: str(data / v) for k, v in settings.items() if k in ("train", "validation")}
        with pytest.raises((DataError, TrainingError), match=message):
            train(EmbeddingConfig(**{**SMALL, "steps": 1, **settings, **paths}), tmp_path / "run")
