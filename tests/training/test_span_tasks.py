"""Trainings of models that find entities and answers: what is learned, resumed, evaluated and refused."""

import json
from typing import Any
from unittest import mock

import numpy as np
import pytest
from tokenizers import Tokenizer

import keras_attn
from keras_attn import cli
from keras_attn.data.byte_tokenizer import BERT_TOKENS, train_byte_tokenizer
from keras_attn.data.errors import DataError
from keras_attn.data.span_labels import SpanLabels, parts_at_spans
from keras_attn.device.text.tokenizer import EncoderTokenizer
from keras_attn.models import PRESETS
from keras_attn.sources.find_source import find_source
from keras_attn.training import QuestionAnsweringConfig, TokenClassificationConfig, load_run, train
from keras_attn.training.history import read_history
from keras_attn.training.progress import Silent

SIZES: dict[str, Any] = {"num_layers": 1, "num_heads": 2, "hidden_dim": 32, "intermediate_dim": 32}
SMALL: dict[str, Any] = {
    "vocabulary_size": 330,
    "max_tokens": 24,
    "batch_size": 8,
    "warmup": 1,
    "evaluations": 2,
}
NAMES, PLACES = ("Anna", "Bob", "Carla Diaz"), ("Paris", "New York", "Bonn")


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
    with mock.patch.dict(PRESETS["Bert"], tiny=SIZES):
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Sentences about people and places, as entities and as questions."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    tagged, questions, columns = [], [], []
    for number in range(80):
        name, place = rng.choice(NAMES), rng.choice(PLACES)
        text = f"{name} met {number} people in {place} ."
        start = text.index(place)
        entities = [
            {"start": 0, "end": len(name), "label": "PER"},
            {"start": start, "end": start + len(place), "label": "LOC"},
        ]
        tagged.append({"text": text, "entities": entities})
        answers = [{"text": place, "answer_start": start}]
        questions.append({"question": "Where ?", "context": text, "answers": answers if number % 5 else []})
        questions[-1]["question"] = "Where ?" if number % 5 else "When ?"
        for word in text.split():
            kind = next((k for k, span in (("PER", name), ("LOC", place)) if word in span.split()), None)
            begins = kind and word in (name.split()[0], place.split()[0])
            columns.append(f"{word} {'O' if kind is None else ('B-' if begins else 'I-') + kind}")
        columns.append("")
    for file, rows in (("t.jsonl", tagged), ("q.jsonl", questions)):
        (folder / file).write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    (folder / "t.conll").write_text("\n".join(columns), "utf-8")
    return folder


@pytest.fixture(scope="module")
def configs(data):
    shared: dict[str, Any] = {**SMALL, "learning_rate": 1e-2, "dropout": 0.0}
    return {
        "token-classification": TokenClassificationConfig(
            train=str(data / "t.jsonl"), test=str(data / "t.conll"), steps=40, scheme="bioes", **shared
        ),
        "question-answering": QuestionAnsweringConfig(
            train=str(data / "q.jsonl"), test=str(data / "q.jsonl"), steps=60, **shared
        ),
    }


@pytest.fixture(scope="module")
def whole(configs, tmp_path_factory):
    """A finished run of each task, made on first use, and its listener."""
    made = {}

    def run(task):
        if task not in made:
            folder, listener = tmp_path_factory.mktemp("runs") / task, Listener()
            train(configs[task], folder, progress=listener)
            made[task] = folder, listener
        return made[task]

    return run


TASKS = ("token-classification", "question-answering")


@pytest.mark.parametrize("task", TASKS)
def test_task_is_learned_and_its_run_answers_as_the_device_does(whole, task, data):
    folder, listener = whole(task)
    run = load_run(folder)
    history = read_history(folder)
    assert history[-1]["validation_loss"] < history[0]["validation_loss"]
    assert history[-1]["f1"] > 0.9
    assert run.config["test"]["f1"] > 0.9
    assert any(
        note.startswith("8 of 8") or "are also in the training data" in note for note in listener.notes
    )
    loaded = keras_attn.load(folder)
    if task == "token-classification":
        assert run.model.labels == ["O", *(f"{mark}-{kind}" for kind in ("LOC", "PER") for mark in "BIES")]
        found = loaded.entities("Carla Diaz met 7 people in New York .")
        assert [(each.label, each.text) for each in found] == [("PER", "Carla Diaz"), ("LOC", "New York")]
    else:
        assert run.config["no_answer"]
        assert loaded.answer("Where ?", "Bob met 7 people in Bonn .").text == "Bonn"
        assert loaded.answer("When ?", "Bob met 7 people in Bonn .", no_answer=True).text == ""


@pytest.mark.parametrize("task", TASKS)
def test_resumed_training_equals_an_uninterrupted_one(whole, configs, tmp_path, task):
    folder, listener = whole(task)
    total = len(listener.losses)
    with pytest.raises(Interrupted):
        train(configs[task], tmp_path / "run", progress=Listener(stop_at=total // 2 + 2))
    resumed = Listener()
    train(configs[task], tmp_path / "run", resume=True, progress=resumed)
    assert resumed.losses == {step: listener.losses[step] for step in range(total // 2 + 1, total + 1)}
    assert read_history(tmp_path / "run") == read_history(folder)


@pytest.mark.parametrize("task", TASKS)
def test_held_out_examples_and_their_truth_reach_the_export(whole, task):
    folder, _ = whole(task)
    source = find_source(folder)
    assert source.task == task
    assert len(source.texts) == len(source.references) > 0
    if task == "token-classification":
        text, spans = source.texts[0], source.references[0]
        assert {text[start:end] for start, end, _ in spans} <= {*NAMES, *PLACES}
    else:
        assert any(answers == [""] for answers in source.references) or source.references


@pytest.mark.parametrize("task", TASKS)
def test_evaluate_scores_a_run(whole, data, capsys, task):
    folder, _ = whole(task)
    test = data / ("t.conll" if task == "token-classification" else "q.jsonl")
    assert cli.run_program(["evaluate", str(folder), "--test", str(test), "--limit", "20", "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    scores = json.loads(line)
    assert scores["f1"] > 0.9 and scores["sentences"] == 20


# ---- labels of tokens ----


def reader():
    words = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "anna",
        "##be",
        "##lle",
        "met",
        "bob",
        "in",
        "new",
        "york",
        ".",
    ]
    from tokenizers import models, normalizers, pre_tokenizers, processors

    made = Tokenizer(models.WordPiece({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return EncoderTokenizer(made, {"pad": 0, "start": 2, "end": 3, "unknown": 1})


@pytest.mark.parametrize(
    ("scheme", "first_only", "wanted"),
    [
        ("bio", False, "B-PER I-PER I-PER O B-PER O B-LOC I-LOC O"),
        ("bioes", False, "B-PER I-PER E-PER O S-PER O B-LOC E-LOC O"),
        ("bio", True, "B-PER - - O B-PER O B-LOC I-LOC O"),
        ("bioes", True, "S-PER - - O S-PER O B-LOC E-LOC O"),
    ],
)
def test_labels_of_tokens_are_those_of_the_scheme(scheme, first_only, wanted):
    tokenizer, text = reader(), "Annabelle met Bob in New York."
    spans = [(0, 9, "PER"), (14, 17, "PER"), (20, 30 - 1, "LOC")]
    labels = SpanLabels(["LOC", "PER"], scheme, first_only)
    tokens = tokenizer.spans(text)
    numbers, counts, cut = labels.of_tokens(text, tokens, tokenizer.words(text, tokens), spans)
    found = [labels.names[n] if counted else "-" for n, counted in zip(numbers, counts, strict=True)]
    assert (" ".join(found), cut) == (wanted, 0)


def test_a_span_inside_a_token_is_counted():
    tokenizer, text = reader(), "Bob met Bob"
    labels = SpanLabels(["PER"])
    tokens = tokenizer.spans(text)
    numbers, _, cut = labels.of_tokens(text, tokens, tokenizer.words(text, tokens), [(0, 2, "PER")])
    assert (numbers.tolist(), cut) == ([1, 0, 0], 1)


def test_a_span_inside_a_word_is_counted_where_words_have_one_label():
    tokenizer, text = reader(), "Annabelle met Bob"
    tokens = tokenizer.spans(text)
    assert tokens.words[:2] == [0, 0]
    part = [(0, tokens.offsets[0][1], "PER")]
    for first_only in (False, True):
        labels = SpanLabels(["PER"], first_only=first_only)
        assert labels.of_tokens(text, tokens, tokenizer.words(text, tokens), part)[2] == first_only


# ---- bad data ----


@pytest.mark.parametrize("parted", [True, False])
def test_a_new_tokenizer_has_no_tokens_across_the_ends_of_spans(parted):
    """In scripts without spaces, tokens that are learned from whole texts become whole clauses."""
    texts, spans = [], []
    for name in ("アキラ", "ケンタ", "サクラ", "ミドリ"):
        for town in ("ナカ町", "ハマ町", "キタ町"):
            texts.append(f"{name}さんは {town}に住んでいます。")
            place = texts[-1].index(town)
            spans.append([(0, len(name), "NAME"), (place, place + len(town), "PLACE")])
    each = zip(texts, spans, strict=True)
    parts = [part for text, some in each for part in parts_at_spans(text, some)]
    assert "".join(parts) == "".join(texts)
    tokenizer = train_byte_tokenizer(parts if parted else texts, 340, BERT_TOKENS)
    crossed = 0
    for text, some in zip(texts, spans, strict=True):
        offsets = tokenizer.encode(text, add_special_tokens=False).offsets
        crossed += len({end for _, end, _ in some} - {end for _, end in offsets})
    assert (crossed == 0) is parted


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [("Bob", [(0, 3, "PER"), (1, 2, "LOC")]), ("Ann", [])],
            r"text \d: the spans 'PER' and 'LOC' overlap",
        ),
        ([("Bob", []), ("Ann", [])], "has no entities"),
        ([("Bob", [(0, 3, "PER")])], "has one text: too few to hold any out"),
    ],
)
def test_unusable_entities_are_refused(tmp_path, rows, message):
    path = tmp_path / "t.jsonl"
    lines = [
        {"text": text, "entities": [{"start": s, "end": e, "label": label} for s, e, label in spans]}
        for text, spans in rows
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    with pytest.raises(DataError, match=message):
        train(TokenClassificationConfig(train=str(path), steps=1, **SMALL), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_label_that_the_training_lacks_is_refused(configs, data, tmp_path):
    path = tmp_path / "v.conll"
    path.write_text("Bob B-ORG\n", "utf-8")
    config = TokenClassificationConfig(train=str(data / "t.jsonl"), validation=str(path), steps=1, **SMALL)
    with pytest.raises(DataError, match=r"v\.conll, text 1: the label 'ORG' is not one of the training's"):
        train(config, tmp_path / "run")
