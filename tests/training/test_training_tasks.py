"""Classifiers and language models: what is learnt, masked, frozen and resumed, by the one loop."""

import csv
import dataclasses
import json
import re
from unittest import mock

import keras
import numpy as np
import pytest
import scipy
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_attn import cli, pretrained
from keras_attn.data.errors import DataError
from keras_attn.models import PRESETS, Bert, MaskedLM, TextClassifier
from keras_attn.pretrained import PretrainedError
from keras_attn.scores.classes import class_scores, confusion, cross_entropy
from keras_attn.training import (
    CausalLMConfig,
    ClassificationConfig,
    MaskedLMConfig,
    TrainingError,
    load_run,
    train,
)
from keras_attn.training.history import read_history
from keras_attn.training.initialization import load_initial_model
from keras_attn.training.optimization.classification_objective import ClassObjective
from keras_attn.training.optimization.layerwise import LayerwiseAdam, freeze, rate_factors
from keras_attn.training.progress import Silent
from keras_attn.training.tasks.masking import Masker

SIZES = {"num_layers": 2, "num_heads": 2, "hidden_dim": 16, "intermediate_dim": 16}
WORDS = {"animals": ("cat", "dog", "cow", "sheep"), "fruit": ("apple", "pear", "plum", "fig")}
SMALL = {"vocabulary_size": 280, "max_tokens": 16, "batch_size": 8, "steps": 4, "warmup": 1, "evaluations": 2}
TASKS = ("classification", "masked-lm", "causal-lm")


class Interrupted(Exception):
    pass


class Listener(Silent):
    def __init__(self, stop_at=None):
        self.stop_at, self.losses, self.notes = stop_at, {}, []

    def stepped(self, step, loss, target_tokens):
        if step == self.stop_at:
            raise Interrupted
        self.losses[step] = loss

    def note(self, text):
        self.notes.append(text)


@pytest.fixture(scope="module", autouse=True)
def _tiny():
    tiny = {**SIZES, "num_layers": 1}
    with mock.patch.dict(PRESETS["Bert"], tiny=tiny), mock.patch.dict(PRESETS["GPT2"], tiny=tiny):
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Lists of animals and of fruit, as a table and as text."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    kinds = rng.choice(list(WORDS), 60)
    rows = [(kind, " ".join(rng.choice(WORDS[kind], rng.integers(2, 6)))) for kind in kinds]
    with (folder / "t.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("label", "text"), *rows])
    (folder / "t.txt").write_text("".join(f"{text}\n" for _, text in rows), "utf-8")
    return folder


@pytest.fixture(scope="module")
def configs(data):
    text = {**SMALL, "train": (str(data / "t.txt"),)}
    return {
        "classification": ClassificationConfig(train=str(data / "t.csv"), r_drop=0.5, **SMALL),
        "masked-lm": MaskedLMConfig(**text, whole_words=True),
        "causal-lm": CausalLMConfig(**text),
    }


@pytest.fixture(scope="module")
def whole(configs, tmp_path_factory):
    """A finished run of each task, made on first use, and its notes."""
    made = {}

    def run(task):
        if task not in made:
            folder, listener = tmp_path_factory.mktemp("runs") / task, Listener()
            train(configs[task], folder, progress=listener)
            made[task] = folder, listener
        return made[task]

    return run


def values(model):
    return {variable.path: np.asarray(variable.numpy()) for variable in model.trainable_variables}


# ---- trainings ----


@pytest.mark.parametrize("task", TASKS)
def test_resumed_training_equals_an_uninterrupted_one(whole, configs, tmp_path, task):
    folder, listener = whole(task)
    with pytest.raises(Interrupted):
        train(configs[task], tmp_path / "run", progress=Listener(stop_at=4))
    resumed = Listener()
    train(configs[task], tmp_path / "run", resume=True, progress=resumed)
    assert resumed.losses == {step: listener.losses[step] for step in (3, 4)}
    assert read_history(tmp_path / "run") == read_history(folder)
    ours, theirs = (values(load_run(where).model) for where in (tmp_path / "run", folder))
    assert ours.keys() == theirs.keys()
    for path, value in ours.items():
        np.testing.assert_array_equal(value, theirs[path], err_msg=path)


@pytest.mark.parametrize("task", TASKS)
def test_a_run_folder_holds_model_tokenizer_and_examples(whole, task, data):
    folder, listener = whole(task)
    run = load_run(folder)
    assert run.config["task"] == task
    assert run.config["max_tokens"] == 16
    ids = run.tokenizer.encode("a cat, which is longer than sixteen tokens are, we hope").ids
    assert len(ids) > 16
    text = data.joinpath("t.txt").read_text("utf-8")
    if task == "classification":
        assert run.config["labels"] == ["animals", "fruit"]
        assert all(label in WORDS and example in text for example, label in run.validation)
        assert (folder / "confusion.png").stat().st_size > 3000
    else:
        assert all(example in text for example in run.validation)
        history = read_history(folder)
        assert history[-1]["validation_loss"] < history[0]["validation_loss"]
        assert history[-1]["perplexity"] == pytest.approx(np.exp(history[-1]["validation_loss"]), rel=1e-4)
    if task == "causal-lm":
        assert run.special_ids == {"start": 0, "end": 0, "pad": 0, "unknown": 0}
        assert any(note.startswith("step 4: ") and " | " in note for note in listener.notes)
    else:
        assert (ids[0], ids[-1]) == (run.special_ids["cls"], run.special_ids["sep"])


@pytest.mark.parametrize("task", TASKS)
def test_evaluate_scores_a_run(whole, data, capsys, tmp_path, task):
    folder, _ = whole(task)
    test = data / ("t.csv" if task == "classification" else "t.txt")
    assert cli.run_program(["evaluate", str(folder), "--test", str(test), "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    scores = json.loads(line)
    assert scores["sentences"] == 60
    assert (set(scores) >= {"accuracy", "macro_f1"}) if task == "classification" else scores["perplexity"] > 1
    assert cli.run_program(["evaluate", str(folder), "--test", str(test), "--beam", "2"]) == 2
    assert "--beam is for translators only" in capsys.readouterr().err
    picture = tmp_path / "a.png"
    assert cli.run_program(["attention", str(folder), "text", "--output", str(picture)]) == 0
    assert picture.stat().st_size > 1000


@pytest.mark.parametrize("model", ["bert", "gpt2"])
def test_class_is_learned(configs, tmp_path, model):
    config = dataclasses.replace(
        configs["classification"],
        steps=60,
        learning_rate=1e-2,
        evaluations=1,
        dropout=0.0,
        r_drop=0.0,
        model=model,
    )
    assert train(config, tmp_path / "run").score == 1.0
    run = load_run(tmp_path / "run")
    assert run.model.pooling == {"bert": "pooled", "gpt2": "last"}[model]
    pretrained.save(run.model, tmp_path / "folder")  # of the very shape that Hugging Face has
    assert pretrained.load(tmp_path / "folder").labels == ["animals", "fruit"]


@pytest.mark.parametrize("task", ["masked-lm", "causal-lm"])
def test_a_language_model_is_fine_tuned_above_its_frozen_embeddings(whole, tmp_path, data, task):
    folder, _ = whole(task)
    config = ClassificationConfig.recommended(
        **{**SMALL, "vocabulary_size": None}, train=str(data / "t.csv"), init=str(folder), learning_rate=1e-2
    )
    assert (config.freeze_layers, config.label_smoothing, config.layer_decay) == (0, 0.1, 0.9)
    without = ClassificationConfig.recommended(train="x.csv", init="x", dropout=0.0)
    assert (config.r_drop, without.r_drop) == (4, 0)
    train(config, tmp_path / "run")
    before, after = (values(load_run(where).model.backbone) for where in (folder, tmp_path / "run"))
    assert before.keys() == after.keys()
    for path, value in before.items():
        moved = not np.array_equal(value, after[path])
        # A softmax does not see what a key's bias adds to all of its scores.
        if "key/bias" not in path:
            assert moved == (re.search("coder_layer_0|/layer_norm", path) is not None), path


def test_pooling_that_a_backbone_lacks_is_refused(configs, tmp_path):
    for pooling, reason in (("pooled", "has no pooler: choose mean or last"), ("cls", "sees no other")):
        config = dataclasses.replace(configs["classification"], model="gpt2", pooling=pooling)
        with pytest.raises(TrainingError, match=reason):
            train(config, tmp_path / "run")


def test_options_decided_by_the_initial_model_are_refused(data, tmp_path):
    with pytest.raises(TrainingError, match="`preset`, `vocabulary_size` cannot be chosen with `init`"):
        MaskedLMConfig.recommended(train=("x",), init="folder", preset="tiny", vocabulary_size=300)


@pytest.mark.parametrize("tie_output", [True, False])
def test_the_loss_knows_the_output_layer_of_a_masked_language_model(tie_output):
    model = MaskedLM(Bert(30, **SIZES, max_sequence_length=8), tie_output=tie_output)
    model.head.output_bias.assign(np.arange(30) / 10)
    inputs = {"token_ids": np.array([[2, 7, 4, 3]]), "mask_positions": np.array([[2, 1]])}
    matrix, bias = model.output_embeddings
    logits = model.hidden(inputs)[0] @ keras.ops.transpose(matrix) + bias
    np.testing.assert_allclose(logits, model(inputs), atol=1e-6)


# ---- two passes that are to agree ----


def test_r_drop_runs_each_text_twice_with_different_dropout():
    backbone = Bert(30, **{**SIZES, "dropout": 0.5}, max_sequence_length=8)
    task = ClassObjective(TextClassifier(backbone, ["a", "b", "c"]), r_drop=1.0)
    inputs = {"token_ids": np.array([[2, 7, 3], [2, 9, 3]]), "padding_mask": np.ones((2, 3), bool)}
    np.testing.assert_array_equal(task(inputs, training=False), task.model(inputs))
    first, second = np.split(np.asarray(task(inputs, training=True)).reshape(2, 2, 3), 2, axis=1)
    assert (first != second).all()


def test_r_drop_is_the_papers():
    """Its equation 4 halved, with SciPy's divergence, which adds up p log(p / q)."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(6, 4)).astype("float32")  # of three texts, twice each
    y, weights, smoothing, weight = np.array([1, 3, 0]), np.array([1.0, 1.0, 0.0], "float32"), 0.1, 0.7
    p = scipy.special.softmax(logits.astype(float), axis=-1).reshape(3, 2, 4)
    target = np.full((3, 4), smoothing / 4) + (1 - smoothing) * np.eye(4)[y]
    crosses = -(target[:, None] * np.log(p)).sum(axis=(1, 2))
    both = scipy.special.rel_entr(p, p[:, ::-1]).sum(axis=(1, 2))
    task = ClassObjective(keras.Sequential(), smoothing, r_drop=weight)
    found = float(task.compute_loss(y=y, y_pred=keras.ops.array(logits), sample_weight=weights))
    alpha = 2 * weight
    assert found == pytest.approx((crosses + alpha * both / 2)[:2].mean() / 2, rel=1e-5)
    held_out = task.compute_loss(
        y=y, y_pred=keras.ops.array(logits[::2]), sample_weight=weights, training=False
    )
    assert float(held_out) == pytest.approx(cross_entropy(logits[:4:2], y[:2]), rel=1e-5)


def test_r_drop_needs_dropout():
    with pytest.raises(TrainingError, match="needs a `dropout` above 0"):
        ClassificationConfig(train="x.csv", r_drop=1.0, dropout=0.0)


# ---- layers of their own rates ----


def test_each_variable_moves_by_its_own_rate():
    variables = [keras.Variable(np.zeros(3, np.float32), name=f"v{i}") for i in range(3)]
    optimizer = LayerwiseAdam(0.1, [1.0, 0.5, 0.25])
    optimizer.build(variables)
    optimizer.apply([np.ones(3, np.float32)] * 3)
    moved = [float(np.asarray(variable.numpy())[0]) for variable in variables]
    np.testing.assert_allclose(moved, [-0.1, -0.05, -0.025], rtol=1e-4)


def test_rates_fall_towards_the_embeddings_and_frozen_layers_have_none():
    model = TextClassifier(Bert(30, **SIZES, max_sequence_length=8), ["a", "b"])
    factors = dict(zip((v.path for v in model.trainable_variables), rate_factors(model, 0.5), strict=True))
    for path, factor in factors.items():
        places = {"encoder_layer_1": 0.5, "encoder_layer_0": 0.25, "embedding": 0.125}
        assert factor == next((rate for place, rate in places.items() if place in path), 1.0), path
    freeze(model.backbone, 1)
    left = {variable.path for variable in model.trainable_variables}
    assert left == {path for path in factors if factors[path] >= 0.5}
    with pytest.raises(TrainingError, match="`freeze_layers` is 3, but the model has 2"):
        freeze(model.backbone, 3)


# ---- masks ----


def masked_batch(whole_words=False, seed=0, shape=(64, 128)):
    rng = np.random.default_rng(1)
    ids = rng.integers(0, 1000, shape).astype(np.int32)
    starts = rng.random(shape) < 0.6
    masker = Masker(1000, mask_id=4, unselectable=range(5), rate=0.15, whole_words=whole_words)
    return ids, starts, masker(ids, starts, np.random.default_rng(seed))


@pytest.mark.parametrize("whole_words", [False, True])
def test_masking_rates_are_those_of_bert(whole_words):
    ids, _, (masked, positions, targets, weights) = masked_batch(whole_words)
    real = weights > 0
    rows = np.broadcast_to(np.arange(len(ids))[:, None], positions.shape)[real]
    places = positions[real]
    assert len(places) / ids.size == pytest.approx(0.15, abs=0.012)
    np.testing.assert_array_equal(targets[real], ids[rows, places])
    found = masked[rows, places]
    assert np.mean(found == 4) == pytest.approx(0.8, abs=0.03)
    assert np.mean(found == targets[real]) == pytest.approx(0.1, abs=0.02)
    assert not np.isin(targets[real], range(5)).any()
    untouched = np.ones(ids.shape, bool)
    untouched[rows, places] = False
    np.testing.assert_array_equal(masked[untouched], ids[untouched])


def test_masks_are_a_function_of_their_generator():
    first, again, other = (masked_batch(seed=seed)[2][0] for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 40), st.floats(0.1, 0.9))
def test_whole_words_stay_whole(seed, length, share):
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, 50, (4, length)).astype(np.int32)
    starts = rng.random(ids.shape) < share
    masker = Masker(50, mask_id=4, unselectable=range(5), rate=0.3, whole_words=True)
    _, positions, _, weights = masker(ids, starts, rng)
    chosen = np.zeros(ids.shape, bool)
    for row in range(4):
        chosen[row, positions[row][weights[row] > 0]] = True
    assert (chosen.sum(axis=1) <= masker.max_selected(length)).all()
    special = ids < 5
    for row, place in zip(*np.nonzero(~special[:, 1:] & ~special[:, :-1] & ~starts[:, 1:]), strict=True):
        assert chosen[row, place] == chosen[row, place + 1]
    assert not chosen[special].any()


# ---- scores and errors ----


def test_scores_of_classes():
    counts = confusion([0, 0, 1, 1, 1], [0, 1, 1, 1, 0], 3)
    scores = class_scores(counts)
    assert scores["accuracy"] == pytest.approx(3 / 5)
    # F1 is 1/2 and 2/3; the third class occurs nowhere.
    assert scores["macro_f1"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert cross_entropy(np.zeros((2, 4), np.float32), [0, 3]) == pytest.approx(np.log(4))


def test_labels_of_validation_and_test_must_be_known_before_the_training(configs, data, tmp_path):
    (tmp_path / "other.csv").write_text("label,text\nfruit,plum\nstones,granite\n", "utf-8")
    for split in ("validation", "test"):
        config = dataclasses.replace(configs["classification"], **{split: str(tmp_path / "other.csv")})
        with pytest.raises(
            DataError, match=r"other\.csv, line 3: the label 'stones' is not one of animals, fr"
        ):
            train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_initial_model_folders_are_checked(whole, configs, tmp_path):
    with pytest.raises(PretrainedError, match=r"config\.json is missing"):
        load_initial_model(str(tmp_path))
    folder, _ = whole("masked-lm")
    saved = tmp_path / "saved"
    pretrained.save(Bert(200, **SIZES, max_sequence_length=32), saved)
    with pytest.raises(PretrainedError, match=r"has no tokenizer: neither tokenizer\.json, vocab\.txt"):
        load_initial_model(str(saved))
    (saved / "tokenizer.json").write_text((folder / "tokenizer.json").read_text("utf-8"), "utf-8")
    with pytest.raises(
        PretrainedError, match=r"does not match the model: .* but the model has only 200 tokens"
    ):
        load_initial_model(str(saved))
    with pytest.raises(TrainingError, match=r"`max_tokens` is 600, but .* has 512 positions"):
        config = dataclasses.replace(configs["masked-lm"], init=str(folder), max_tokens=600)
        train(config, tmp_path / "run")
    with pytest.raises(TrainingError, match="the tokenizer has no token for end"):
        train(dataclasses.replace(configs["causal-lm"], init=str(folder)), tmp_path / "run")
    with pytest.raises(TrainingError, match="is a run of masked-lm, not of classification"):
        train(configs["classification"], folder, resume=True)


def test_pretrained_folder_provides_tokenizer_and_special_tokens(whole, tmp_path):
    folder, _ = whole("masked-lm")
    saved = tmp_path / "saved"
    backbone = Bert(280, **SIZES, max_sequence_length=32)
    pretrained.save(backbone, saved)
    tokenizer = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    tokenizer["truncation"] = {"max_length": 4, "stride": 0, "strategy": "LongestFirst", "direction": "Right"}
    (saved / "tokenizer.json").write_text(json.dumps(tokenizer), "utf-8")
    (saved / "tokenizer_config.json").write_text('{"pad_token": {"content": "[UNK]"}}', "utf-8")
    initial = load_initial_model(str(saved))
    assert initial.special_ids == {"pad": 1, "unknown": 1, "cls": 2, "sep": 3, "mask": 4}
    assert len(initial.tokenizer.encode("cat dog cow sheep apple pear").ids) > 6
    for value, wanted in zip(values(initial.backbone).values(), values(backbone).values(), strict=True):
        np.testing.assert_array_equal(value, wanted)
