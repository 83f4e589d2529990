"""Labels of tokens joined to spans: BIO, BIOES, BILOU, IO and plain labels; CoNLL's files."""

import gzip
import json

import numpy as np
import pytest

from keras_attn.data.errors import DataError
from keras_attn.data.readers.squad import read_questions
from keras_attn.data.readers.tagged import read_tagged
from keras_attn.device.tasks.label_scheme import find_spans, read_scheme
from keras_attn.scores.answers import answer_scores
from keras_attn.scores.order import correlations, same_order
from keras_attn.scores.spans import span_scores


def spans(labels, known=None, words=None, strategy="simple"):
    """Kinds and tokens of the spans of a text whose tokens have these labels for sure."""
    known = known or sorted(set(labels))
    probabilities = np.eye(len(known))[[known.index(label) for label in labels]]
    words = words or list(range(len(labels)))
    return [(s.kind, s.first, s.last) for s in find_spans(probabilities, read_scheme(known), words, strategy)]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ("O B-P I-P O", [("P", 1, 2)]),
        ("B-P B-P I-P I-L", [("P", 0, 0), ("P", 1, 2), ("L", 3, 3)]),
        ("I-P I-P B-P", [("P", 0, 1), ("P", 2, 2)]),
        (
            "B-P I-P E-P S-P S-P B-L E-L I-L",
            [("P", 0, 2), ("P", 3, 3), ("P", 4, 4), ("L", 5, 6), ("L", 7, 7)],
        ),
        ("B-P I-P L-P U-P U-L", [("P", 0, 2), ("P", 3, 3), ("L", 4, 4)]),
        ("E-P B-P", [("P", 0, 0), ("P", 1, 1)]),
        ("P P O L P", [("P", 0, 1), ("L", 3, 3), ("P", 4, 4)]),
        ("S-Bahn S-Bahn U-Bahn E-mail", [("S-Bahn", 0, 1), ("U-Bahn", 2, 2), ("E-mail", 3, 3)]),
        ("B-P S-Bahn", [("P", 0, 0), ("S-Bahn", 1, 1)]),
        ("NOUN VERB NOUN NOUN", [("NOUN", 0, 0), ("VERB", 1, 1), ("NOUN", 2, 3)]),
        ("B- I-", [("B-", 0, 0), ("I-", 1, 1)]),
        ("O O", []),
        ("", []),
    ],
)
def test_labels_are_joined(labels, expected):
    assert spans(labels.split()) == expected


def test_words_have_one_label():
    known, words = ["O", "B-P", "I-P"], [0, 0, 0, 1]
    probabilities = np.array([[0.5, 0.3, 0.2], [0.05, 0.9, 0.05], [0.2, 0.1, 0.7], [0.1, 0.2, 0.7]])
    scheme = read_scheme(known)
    found = {
        each: find_spans(probabilities, scheme, words, each) for each in ("simple", "first", "average", "max")
    }
    assert [(s.first, s.last) for s in found["simple"]] == [(1, 3)]
    assert [(s.first, s.last) for s in found["first"]] == [(3, 3)]
    assert [(s.first, s.last) for s in found["average"]] == [(0, 3)]
    assert found["average"][0].score == pytest.approx((1.3 / 3 + 0.7) / 2)
    assert found["max"][0].score == pytest.approx((0.9 + 0.7) / 2)


def test_columns_and_json_lines_are_read(tmp_path):
    columns = (
        "-DOCSTART- -X- O\n\nAnna NNP B-P\nlebt VB O\nin IN O\nSão NNP B-L\nPaulo NNP I-L\n\n\nBob x S-P\n"
    )
    with gzip.open(tmp_path / "a.conll.gz", "wt", encoding="utf-8") as file:
        file.write(columns + "\nA E-P\n")
    found = read_tagged(tmp_path / "a.conll.gz")
    assert found.texts == ["Anna lebt in São Paulo", "Bob", "A"]
    assert found.spans == [[(0, 4, "P"), (13, 22, "L")], [(0, 3, "P")], [(0, 1, "P")]]
    row = {"text": "🎉 Anna", "entities": [{"start": 2, "end": 6, "label": "P"}]}
    (tmp_path / "a.jsonl").write_text(f"{json.dumps(row)}\n\n", encoding="utf-8")
    assert read_tagged(tmp_path / "a.jsonl").spans == [[(2, 6, "P")]]
    row["entities"][0]["end"] = 9
    (tmp_path / "b.jsonl").write_text(json.dumps(row), encoding="utf-8")
    with pytest.raises(DataError, match=r"b.jsonl, line 1: .*from 2 to 9"):
        read_tagged(tmp_path / "b.jsonl")
    (tmp_path / "c.txt").write_text("Anna B-P\nlone\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"c.txt, line 2: a token needs a label"):
        read_tagged(tmp_path / "c.txt")


def test_questions_are_read(tmp_path):
    answers = [{"text": "Paris", "answer_start": 8}]
    qas = [
        {"question": "Where?", "answers": answers},
        {"question": "Who?", "answers": [], "is_impossible": True},
    ]
    squad = {"version": "2", "data": [{"paragraphs": [{"context": "She was Paris", "qas": qas}]}]}
    (tmp_path / "a.json").write_text(json.dumps(squad), encoding="utf-8")
    found = read_questions(tmp_path / "a.json")
    assert [(each.question, each.answers) for each in found] == [("Where?", [("Paris", 8)]), ("Who?", [])]
    row = {"question": "Where?", "context": "in Paris", "answers": {"text": ["Paris"], "answer_start": [3]}}
    (tmp_path / "b.jsonl").write_text(f"{json.dumps(row)}\n{json.dumps(row)}\n", encoding="utf-8")
    assert len(read_questions(tmp_path / "b.jsonl")) == 2
    row["answers"]["answer_start"] = [2]
    (tmp_path / "c.json").write_text(json.dumps(row), encoding="utf-8")
    with pytest.raises(DataError, match="does not stand at 2"):
        read_questions(tmp_path / "c.json")


def test_scores():
    truth, found = [[(0, 4, "P"), (5, 6, "L")], []], [[(0, 4, "P"), (5, 7, "L")], [(1, 2, "P")]]
    scores = span_scores(truth, found)
    assert (scores["f1"], scores["precision"], scores["recall"]) == pytest.approx((0.4, 1 / 3, 0.5))
    assert span_scores([[]], [[]])["f1"] == 1.0
    scores = answer_scores([["the big Cat!"], [], ["a", "old dog"]], ["big cat", "", "dog"])
    assert (scores["exact_match"], scores["f1"]) == pytest.approx((2 / 3, (1 + 1 + 2 / 3) / 3))
    assert same_order([1, 2, 3], [0.1, 0.9, 0.5]) == pytest.approx(2 / 3)
    found = correlations([1, 2, 3, 3], [10, 20, 40, 30])
    assert found["spearman"] == pytest.approx(0.9486833) and 0.9 < found["pearson"] < 1
