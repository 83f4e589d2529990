"""Several labels a text, scores of texts and of pairs, and learning from a teacher."""

import csv
import json
from typing import Any
from unittest import mock

import keras
import numpy as np
import pytest
import scipy.special

import keras_attn
from keras_attn import cli
from keras_attn.data.errors import DataError
from keras_attn.models import PRESETS
from keras_attn.pictures.calibration import calibration_bins, expected_calibration_error
from keras_attn.scores.classes import label_scores, logit_loss
from keras_attn.sources.find_source import find_source
from keras_attn.training import ClassificationConfig, TrainingError, load_run, train
from keras_attn.training.history import read_history
from keras_attn.training.optimization.classification_objective import ClassObjective
from keras_attn.training.progress import Silent

SIZES: dict[str, Any] = {"num_layers": 1, "num_heads": 2, "hidden_dim": 32, "intermediate_dim": 32}
SMALL: dict[str, Any] = {
    "vocabulary_size": 280,
    "max_tokens": 24,
    "batch_size": 8,
    "warmup": 1,
    "evaluations": 2,
}
LEARNING: dict[str, Any] = {**SMALL, "learning_rate": 1e-2, "dropout": 0.0, "pooling": "mean"}
WORDS = {"animals": ("cat", "dog", "cow"), "fruit": ("apple", "pear", "fig"), "tools": ("saw", "axe")}


class Notes(Silent):
    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)


@pytest.fixture(scope="module", autouse=True)
def _tiny():
    with mock.patch.dict(PRESETS["Bert"], tiny=SIZES):
        yield


def write(path, rows):
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    return str(path)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Lists of things with all of their kinds, with one, and pairs with the share of equal words."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    several, one, pairs = [], [], []
    for number in range(90):
        kinds = [kind for kind in WORDS if rng.random() < 0.5]
        several.append(("things " + " ".join(rng.choice(WORDS[k]) for k in kinds), "; ".join(kinds)))
        kind = rng.choice(list(WORDS))
        one.append((" ".join(rng.choice(WORDS[kind], 3)), kind))
        second = rng.choice(["cat", "saw"])
        pairs.append((f"{number} saw", f"a {second}", 1 if second == "saw" else 0))
    write(folder / "several.csv", [("text", "label"), *several])
    write(folder / "one.csv", [("text", "label"), *one])
    write(folder / "pairs.csv", [("query", "passage", "score"), *pairs])
    return folder


@pytest.fixture(scope="module")
def several(data, tmp_path_factory):
    table = str(data / "several.csv")
    config = ClassificationConfig.recommended(
        train=table, test=table, multi_label=True, steps=100, **LEARNING
    )
    folder = tmp_path_factory.mktemp("runs") / "several"
    train(config, folder, progress=Silent())
    return folder


@pytest.fixture(scope="module")
def reranker(data, tmp_path_factory):
    table = str(data / "pairs.csv")
    columns: dict[str, Any] = {"text_column": "query", "pair_column": "passage", "label_column": "score"}
    config = ClassificationConfig.recommended(
        train=table, test=table, regression=True, steps=120, **columns, **LEARNING
    )
    folder = tmp_path_factory.mktemp("runs") / "reranker"
    train(config, folder, progress=Silent())
    return folder


def evaluated(folder, test, capsys):
    assert cli.run_program(["evaluate", str(folder), "--test", str(test), "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    return json.loads(line)


# ---- trainings ----


def test_several_labels_of_a_text_are_learned(several, data, capsys):
    run = load_run(several)
    assert run.model.multi_label and run.model.labels == sorted(WORDS)
    assert read_history(several)[-1].keys() >= {"micro_f1", "macro_f1", "accuracy"}
    scores = evaluated(several, data / "several.csv", capsys)
    assert scores["micro_f1"] == run.config["test"]["micro_f1"] > 0.9
    assert (several / "calibration.png").stat().st_size > 3000 and not (several / "confusion.png").exists()
    source = find_source(several)
    assert all(set(labels) <= set(WORDS) for labels in source.references)
    loaded = keras_attn.load(several)
    for text, labels in zip(source.texts[:5], source.references, strict=False):
        assert set(loaded.classify(text).labels) ^ set(labels) <= set(WORDS)


def test_a_reranker_reads_pairs_and_scores_them(reranker, data, capsys):
    run = load_run(reranker)
    assert (type(run.model).__name__, run.model.activation) == ("TextScorer", "sigmoid")
    scores = evaluated(reranker, data / "pairs.csv", capsys)
    assert scores["spearman"] == pytest.approx(run.config["test"]["spearman"]) and scores["spearman"] > 0.8
    source = find_source(reranker)
    assert (source.task, source.pairs, source.segments) == ("scoring", True, True)
    assert {len(text) for text in source.texts} == {2} and set(source.references) <= {0.0, 1.0}
    scorer = keras_attn.load(reranker)
    same, other = scorer.score(["7 saw", "7 saw"], ["a saw", "a cat"])
    assert same > 0.5 > other


def test_a_score_of_any_size_is_learned_as_it_is(data, tmp_path):
    rows = [(f"{number} {'cat ' * (number % 4)}", number % 4 * 2.5) for number in range(60)]
    table = write(tmp_path / "t.csv", rows)
    columns: dict[str, Any] = {"text_column": "1", "label_column": "2"}
    config = ClassificationConfig.recommended(train=table, regression=True, steps=60, **columns, **LEARNING)
    assert train(config, tmp_path / "run", progress=Silent()).score > 0.8
    assert load_run(tmp_path / "run").model.activation == "linear"


def test_a_model_learns_from_a_teacher_alone(data, tmp_path):
    config = ClassificationConfig.recommended(train=str(data / "one.csv"), steps=60, **LEARNING)
    train(config, tmp_path / "teacher", progress=Silent())
    # The labels are wrong, so what is learned comes from the teacher.
    rows = list(csv.reader((data / "one.csv").open(encoding="utf-8")))
    wrong = {"animals": "tools", "tools": "fruit", "fruit": "animals"}
    table = write(tmp_path / "wrong.csv", [rows[0], *((text, wrong[kind]) for text, kind in rows[1:])])
    taught: dict[str, Any] = {
        "teacher": str(tmp_path / "teacher"),
        "distillation": 1.0,
        "labels": "tools,animals,fruit",
    }
    config = ClassificationConfig.recommended(
        train=table, test=str(data / "one.csv"), steps=60, **taught, **LEARNING
    )
    notes = Notes()
    train(config, tmp_path / "pupil", progress=notes)
    assert load_run(tmp_path / "pupil").config["test"]["accuracy"] > 0.9
    assert any(note.startswith("computing what ") for note in notes.notes)
    assert (tmp_path / "pupil" / "confusion.png").exists()
    with pytest.raises(TrainingError, match="has the labels animals, fruit, tools, and the data has a, b"):
        table = write(tmp_path / "ab.csv", [("text", "label"), *((f"{i}", "ab"[i % 2]) for i in range(20))])
        train(ClassificationConfig(train=table, teacher=str(tmp_path / "teacher"), **SMALL), tmp_path / "x")


# ---- losses ----


def test_losses_of_labels_and_numbers_are_those_of_scipy():
    rng = np.random.default_rng(0)
    logits, weights = rng.normal(size=(4, 3)).astype("float32"), np.array([1, 1, 1, 0], "float32")
    truth = (rng.random((4, 3)) < 0.5).astype("float32")
    p = scipy.special.expit(logits.astype(float))
    binary = -(truth * np.log(p) + (1 - truth) * np.log(1 - p))
    for kind, losses in (("labels", binary), ("probability", binary), ("number", (logits - truth) ** 2)):
        task = ClassObjective(keras.Sequential(), kind=kind)
        found = float(task.compute_loss(y=truth, y_pred=keras.ops.array(logits), sample_weight=weights))
        assert found == pytest.approx(losses[:3].mean(), rel=1e-5), kind
        assert logit_loss(kind, logits[:3], truth[:3]) == pytest.approx(losses[:3].mean(), rel=1e-6)


@pytest.mark.parametrize("kind", ["classes", "labels", "number"])
def test_distillation_is_hintons(kind):
    """The divergence at a temperature times its square; the labels have the rest of the weight."""
    rng = np.random.default_rng(1)
    logits, teacher = (rng.normal(size=(5, 3)).astype("float32") for _ in range(2))
    truth, weights, warm, share = np.eye(3, dtype="float32")[[0, 1, 2, 0, 1]], np.ones(5, "float32"), 3.0, 0.7
    plain = ClassObjective(keras.Sequential(), kind=kind)
    labels = float(plain.compute_loss(y=truth, y_pred=keras.ops.array(logits), sample_weight=weights))
    if kind == "classes":
        p, q = (scipy.special.softmax(x.astype(float) / warm, axis=-1) for x in (teacher, logits))
        far = scipy.special.rel_entr(p, q).sum(-1).mean() * warm**2
    elif kind == "labels":
        p, q = (scipy.special.expit(x.astype(float) / warm) for x in (teacher, logits))
        far = (scipy.special.rel_entr(p, q) + scipy.special.rel_entr(1 - p, 1 - q)).mean() * warm**2
    else:
        far = ((logits - teacher) ** 2).mean()
    task = ClassObjective(keras.Sequential(), kind=kind, distillation=share, temperature=warm)
    y = np.stack([truth, teacher], axis=1)
    found = float(task.compute_loss(y=y, y_pred=keras.ops.array(logits), sample_weight=weights))
    assert found == pytest.approx((1 - share) * labels + share * far, rel=1e-4)


# ---- scores ----


def test_scores_of_several_labels_are_scikit_learns():
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    truth, found = (rng.random((40, 4)) < share for share in (0.4, 0.5))
    scores = label_scores(truth, found)
    for name in ("micro", "macro"):
        assert scores[f"{name}_f1"] == pytest.approx(metrics.f1_score(truth, found, average=name))
    assert scores["accuracy"] == pytest.approx(metrics.accuracy_score(truth, found))


def test_calibration_error_is_the_papers():
    confidence = np.array([0.95, 0.95, 0.95, 0.95, 0.55, 0.55, 1.0])
    right = np.array([1, 1, 1, 0, 1, 0, 1])
    counts, sure, hits = calibration_bins(confidence, right)
    assert (counts[5], counts[9]) == (2, 5)
    assert (sure[9], hits[9]) == (pytest.approx(0.96), 0.8)
    wanted = (2 * abs(0.55 - 0.5) + 5 * abs(0.96 - 0.8)) / 7
    assert expected_calibration_error(confidence, right) == pytest.approx(wanted)


# ---- bad settings and data ----

MORE = [(f"a{i}", "0.5") for i in range(8)]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"multi_label": True, "regression": True}, "contradict each other"),
        ({"multi_label": True, "r_drop": 1.0}, "`r_drop` and `label_smoothing` are for texts of one class"),
        ({"activation": "linear"}, "`activation` is for `regression` only"),
        ({"regression": True, "labels": "a,b"}, "`labels` are names of classes"),
        ({"regression": True, "metric": "accuracy"}, "`metric` must be one of spearman, pearson here"),
        ({"label_separator": ""}, "`label_separator` must not be empty"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings, message):
    with pytest.raises(TrainingError, match=message):
        ClassificationConfig.recommended(train="t.csv", **settings)


@pytest.mark.parametrize(
    ("settings", "rows", "message"),
    [
        (
            {"regression": True},
            [("a", "1"), ("b", "high"), *MORE],
            r"line 3: the score 'high' is not a number",
        ),
        ({"regression": True}, [("a", "1"), ("b", "nan"), *MORE], r"line 3: the score 'nan' is not a number"),
        ({"multi_label": True}, [("a", ""), ("b", "")] * 4, "has no labels: nothing can be learned"),
        ({"pair_column": "other"}, [("a", "x"), ("b", "y")] * 4, "there is no column 'other'"),
        (
            {"regression": True, "activation": "sigmoid"},
            [(f"a{i}", f"{i}") for i in range(8)],
            "scores are from 0 to 7, and must be from 0 to 1: choose linear",
        ),
    ],
)
def test_unusable_rows_are_refused(tmp_path, settings, rows, message):
    table = write(tmp_path / "t.csv", [("text", "label"), *rows])
    with pytest.raises((DataError, TrainingError), match=message):
        train(ClassificationConfig.recommended(train=table, steps=1, **settings, **SMALL), tmp_path / "run")
    assert not (tmp_path / "run").exists()
