"""Training: the fused loss, schedules, refusals, resuming, and what a run folder holds."""

import dataclasses
import json

import keras
import numpy as np
import pytest
import scipy.special
from keras import ops

from keras_attn.data import train_tokenizer
from keras_attn.models import Transformer
from keras_attn.scores.bleu import corpus_scores
from keras_attn.training import (
    NonFiniteLossError,
    TrainingError,
    TranslationConfig,
    load_run,
    train,
)
from keras_attn.training.checkpoints import checkpoints
from keras_attn.training.encoded_corpus import EncodedCorpus
from keras_attn.training.history import read_history
from keras_attn.training.optimization.objectives import TokenObjective
from keras_attn.training.optimization.schedules import WarmUp
from keras_attn.training.optimization.smoothed_cross_entropy import smoothed_cross_entropy
from keras_attn.training.progress import Silent
from keras_attn.training.tasks import translation as training_module

WORDS = ("one", "two", "three", "four", "five", "six", "seven")


def numpy(x):
    return np.asarray(ops.convert_to_numpy(x))


@pytest.fixture
def corpus(tmp_path):
    """Sequences of words to be copied backwards."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 160), ("validation", 20)):
        texts = [" ".join(rng.choice(WORDS, rng.integers(1, 6))) for _ in range(count)]
        (tmp_path / f"{split}.en").write_text("".join(f"{text}\n" for text in texts), "utf-8")
        backwards = (" ".join(reversed(text.split())) for text in texts)
        (tmp_path / f"{split}.xx").write_text("".join(f"{text}\n" for text in backwards), "utf-8")
    return tmp_path


@pytest.fixture
def config(corpus):
    return TranslationConfig(
        model="seq2seq",
        train=str(corpus / "train"),
        validation=str(corpus / "validation"),
        source_language="en",
        target_language="xx",
        vocabulary_size=300,
        max_tokens=16,
        boundaries=(16,),
        batch_tokens=640,
        steps=8,
        warmup=2,
        evaluations=4,
        validation_sentences=4,
        average=2,
        bpe_dropout=0.1,
    )


class Interrupted(Exception):
    pass


class StopAt(Silent):
    def __init__(self, step):
        self.at = step

    def stepped(self, step, loss, target_tokens):
        if step == self.at:
            raise Interrupted


class Losses(Silent):
    def __init__(self):
        self.losses = {}

    def stepped(self, step, loss, target_tokens):
        self.losses[step] = loss


@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("chunk", [3, 100])
def test_the_fused_loss_equals_the_plain_one(with_bias, chunk):
    rng = np.random.default_rng(0)
    hidden, matrix = rng.normal(size=(7, 4)), rng.normal(size=(11, 4))
    bias = rng.normal(size=11) if with_bias else np.zeros(11)
    targets, weights, smoothing = rng.integers(0, 11, 7), np.array([1, 1, 0, 1, 1, 1, 0.0]), 0.1

    def plain(hidden, matrix, bias):
        logits = hidden @ matrix.T + bias
        log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        smoothed = np.full((7, 11), smoothing / 11)
        smoothed[np.arange(7), targets] += 1 - smoothing
        return (-(smoothed * log_p).sum(-1) * weights).sum() / weights.sum()

    loss = smoothed_cross_entropy(
        ops.convert_to_tensor(hidden.astype("float32")),
        ops.convert_to_tensor(matrix.astype("float32")),
        ops.convert_to_tensor(bias.astype("float32")) if with_bias else None,
        ops.convert_to_tensor(targets.astype("int32")),
        ops.convert_to_tensor(weights.astype("float32")),
        smoothing,
        chunk=chunk,
    )
    assert float(numpy(loss)) == pytest.approx(plain(hidden, matrix, bias), abs=1e-5)


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="gradients are taken with JAX")
@pytest.mark.parametrize("r_drop", [0.0, 0.7])
def test_the_fused_loss_has_the_gradients_of_finite_differences(r_drop):
    import jax

    rng = np.random.default_rng(1)
    arrays = [rng.normal(size=shape).astype("float32") for shape in ((6, 3), (6, 3), (6,))]
    targets = np.repeat(rng.integers(0, 6, 3), 2).astype("int32")
    weights = np.repeat(np.array([1, 0, 0.5], np.float32), 2)

    def loss(*arrays):
        return smoothed_cross_entropy(*arrays, targets, weights, 0.1, r_drop, chunk=2)

    for which, gradient in enumerate(jax.grad(loss, argnums=(0, 1, 2))(*arrays)):
        direction = rng.normal(size=arrays[which].shape).astype("float32")
        ends = []
        for sign in (1, -1):
            moved = list(arrays)
            moved[which] = arrays[which] + sign * 1e-2 * direction
            ends.append(float(loss(*moved)))
        expected = (ends[0] - ends[1]) / 2e-2
        assert float((np.asarray(gradient) * direction).sum()) == pytest.approx(expected, abs=2e-3)


def test_r_drop_of_a_translator_is_the_papers():
    """Its equation 4 halved, with SciPy's divergence; both passes of a text follow each other."""
    rng = np.random.default_rng(2)
    model = Transformer(9, hidden_dim=4, intermediate_dim=8, num_heads=1, num_encoder_layers=1,
                        num_decoder_layers=1, dropout=0.5)  # fmt: skip
    task = TokenObjective(model, 0.1, r_drop=0.7)
    hidden = rng.normal(size=(4, 3, 4)).astype("float32")  # of two texts of three tokens, twice each
    y, weights = rng.integers(0, 9, (2, 3)), np.array([[1, 1, 1], [1, 0, 0.0]])
    matrix = numpy(model.output_embeddings[0]).astype(float)
    p = scipy.special.softmax(hidden @ matrix.T, axis=-1).reshape(2, 2, 3, 9)  # (B, 2, T, V)
    target = 0.1 / 9 + 0.9 * np.eye(9)[y]  # (B, T, V)
    crosses = -(target[:, None] * np.log(p)).sum(axis=(1, 3))
    both = scipy.special.rel_entr(p, p[:, ::-1]).sum(axis=(1, 3))
    alpha = 2 * 0.7
    expected = ((crosses + alpha * both / 2) * weights).sum() / weights.sum() / 2
    found = task.compute_loss(
        y=ops.array(y), y_pred=ops.array(hidden), sample_weight=ops.array(weights, "float32")
    )
    assert float(numpy(found)) == pytest.approx(expected, rel=1e-5)
    inputs = {"encoder_token_ids": ops.array([[3, 4]]), "decoder_token_ids": ops.array([[1, 5]])}
    first, second = numpy(task(inputs, training=True))
    assert (first != second).any()
    np.testing.assert_array_equal(numpy(task(inputs, training=False)), numpy(model.hidden(inputs)[0]))


@pytest.mark.parametrize("decay", ["linear", "inverse-square-root", "constant"])
def test_schedules_rise_to_their_peak_and_fall(decay):
    schedule = WarmUp(2.0, 10, 100, decay)
    rates = [float(numpy(schedule(step))) for step in range(100)]
    assert rates[0] == pytest.approx(0.2)
    assert max(rates) == pytest.approx(rates[9]) == pytest.approx(2.0)
    last = {"linear": 2.0 / 91, "inverse-square-root": 2.0 * 10**0.5 / 10, "constant": 2.0}[decay]
    assert rates[99] == pytest.approx(last, rel=1e-4)
    assert WarmUp.from_config(schedule.get_config()).get_config() == schedule.get_config()


def test_resumed_training_equals_an_uninterrupted_one(config, tmp_path):
    config = dataclasses.replace(config, bpe_dropout=0.0)
    whole, resumed = Losses(), Losses()
    train(config, tmp_path / "whole", progress=whole)
    with pytest.raises(Interrupted):
        train(config, tmp_path / "broken", progress=StopAt(6))
    train(config, tmp_path / "broken", resume=True, progress=resumed)
    assert resumed.losses == {step: whole.losses[step] for step in (5, 6, 7, 8)}
    assert [row["step"] for row in read_history(tmp_path / "broken")] == [2, 4, 6, 8]
    ours, theirs = (load_run(tmp_path / name).model for name in ("broken", "whole"))
    for mine, yours in zip(ours.trainable_variables, theirs.trainable_variables, strict=True):
        np.testing.assert_array_equal(numpy(mine), numpy(yours))


def test_bpe_dropout_encodings_are_kept_for_resuming(tmp_path):
    tokenizer = train_tokenizer(["the quick brown fox jumps over the lazy dog"] * 9, 320)
    pairs = [("the quick brown fox", "over the lazy dog")] * 20
    first = EncodedCorpus(tmp_path, tokenizer, pairs, dropout=0.5, variants=2)
    again = EncodedCorpus(tmp_path, tokenizer, pairs, dropout=0.5, variants=2)

    def load(corpus, epoch):
        sources, targets = corpus.load(corpus.variant(epoch, plain=False))
        return [(source.tolist(), target.tolist()) for source, target in zip(sources, targets, strict=True)]

    drawn = load(first, 0)
    assert drawn == load(again, 2)
    assert drawn != load(first, 1)
    assert first.variant(0, plain=True) == "plain"
    assert [tokenizer.decode(source) for source, _ in drawn] == [source for source, _ in pairs]


def test_run_folder_contents(config, tmp_path):
    result = train(config, tmp_path / "run")
    names = {path.name for path in (tmp_path / "run").iterdir()}
    wanted = {"run.json", "tokenizer.json", "model.keras", "validation.tsv", "history.csv", "history.png"}
    assert wanted <= names
    assert not [name for name in names if "part" in name]
    run = load_run(tmp_path / "run")
    assert run.config["step"] == result.steps == 8
    assert len(run.validation) == 20
    assert run.special_ids == {"pad": 0, "start": 1, "end": 2, "unknown": 3}
    history = read_history(tmp_path / "run")
    assert history[-1]["loss"] < history[0]["loss"]


def test_non_finite_loss_stops_and_names_step_and_checkpoint(config, tmp_path, monkeypatch):
    class Broken(training_module.TokenObjective):
        def train_on_batch(self, *args, **kwargs):
            loss = super().train_on_batch(*args, **kwargs)
            return float("nan") if int(numpy(self.optimizer.iterations)) == 5 else loss

    monkeypatch.setattr(training_module, "TokenObjective", Broken)
    with pytest.raises(NonFiniteLossError, match=r"step 5 .*batch.*step-0000004"):
        train(config, tmp_path / "run")
    assert checkpoints(tmp_path / "run" / "checkpoints")


def test_folders_in_the_way_are_refused(config, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("mine", "utf-8")
    with pytest.raises(TrainingError, match="already exists"):
        train(config, tmp_path / "full")
    with pytest.raises(TrainingError, match="nothing to resume"):
        train(config, tmp_path / "new", resume=True)
    (tmp_path / "other").mkdir()
    other = dataclasses.asdict(dataclasses.replace(config, learning_rate=1.0))
    (tmp_path / "other" / "run.json").write_text(
        json.dumps({"format_version": 1, "training": other}), "utf-8"
    )
    with pytest.raises(TrainingError, match=r"learning_rate 1\.0"):
        train(config, tmp_path / "other", resume=True)
    assert (tmp_path / "full" / "letter.txt").read_text("utf-8") == "mine"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "bert"}, "model"),
        ({"dropout": 1.0}, "dropout"),
        ({"epochs": 0}, "epochs"),
        ({"schedule": "cosine"}, "schedule"),
        ({"data": "dates"}, "either"),
        ({"boundaries": (16, 8)}, "boundaries"),
    ],
)
def test_invalid_settings_are_refused(config, change, message):
    with pytest.raises(TrainingError, match=message):
        dataclasses.replace(config, **change)


def test_other_folders_are_refused_as_runs(tmp_path):
    with pytest.raises(TrainingError, match="not a run folder"):
        load_run(tmp_path)
    (tmp_path / "run.json").write_text('{"format_version": 9}', "utf-8")
    with pytest.raises(TrainingError, match="format_version 9"):
        load_run(tmp_path)


def test_early_stopping_waits_for_its_patience(config, tmp_path):
    calm = dataclasses.replace(config, steps=40, evaluations=20, patience=2, learning_rate=1e-9)
    result = train(calm, tmp_path / "run")
    assert result.steps < 40


def test_scores_count_exact_matches():
    scores = corpus_scores(["a b c d", "x"], ["a b c d", "y"], "none")
    assert scores["exact_match"] == 0.5
    assert scores["sentences"] == 2
    with pytest.raises(ValueError, match="references"):
        corpus_scores([], [])


def test_long_held_out_text_does_not_stop_training(config, tmp_path):
    for ending in ("en", "xx"):
        with (tmp_path / f"validation.{ending}").open("a", encoding="utf-8") as file:
            file.write("one two " * 40 + "\n")

    class Notes(Silent):
        def __init__(self):
            self.notes = []

        def note(self, text):
            self.notes.append(text)

    notes = Notes()
    brief = dataclasses.replace(config, steps=1, evaluations=1, validation_sentences=21)
    train(brief, tmp_path / "run", progress=notes)
    assert any("1 held-out texts" in note for note in notes.notes)
