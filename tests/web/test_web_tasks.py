"""Entities, answers, scores and labels of one's own in Chromium: Python's answers; what the page shows."""

import pytest
import tiny_spans
from hard_texts import hard_texts
from tiny_encoders import bare_tokenizer, encoder_tokenizer
from tiny_models import sentences
from tiny_tasks import long_text, task_bundle
from web_browser import drive, require_browser, require_node

from keras_attn import device, pretrained
from keras_attn.cli import run_program
from keras_attn.data import as_tokenizer
from keras_attn.device.proof.verify import verify

pytestmark = pytest.mark.web
SHOWN = ("entities", "answers", "reranker")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    require_browser()
    site = tmp_path_factory.mktemp("site") / "site"
    paths = [str(task_bundle(name)) for name in (*SHOWN, "inference", "several")]
    assert run_program(["web", *paths, "--output", str(site)]) == 0
    return site


def utf16(text, index):
    """An index of a str as JavaScript counts."""
    return len(text[:index].encode("utf-16-le")) // 2


def in_utf16(found, text):
    """Spans of a str as JavaScript has them."""
    return [{**each, "start": utf16(text, each["start"]), "end": utf16(text, each["end"])} for each in found]


def assert_equal(found, expected):
    assert [{**each, "score": 0} for each in found] == [{**each, "score": 0} for each in expected]
    assert [each["score"] for each in found] == pytest.approx([each["score"] for each in expected], abs=1e-4)


def test_hundreds_of_texts_have_python_s_answers(site):
    plain = [*sentences()[:150], *(long_text(3, first) for first in range(0, 60, 4)), "", " "]
    texts = [*plain, *hard_texts(["the cat", "old dog", "red"], 60)[:80]]
    recognizer, answerer, scorer = (device.load(task_bundle(name)) for name in SHOWN)
    questions = [(sentences()[i], long_text(2, i)) for i in range(40)]
    pairs = [(sentences()[i], sentences()[i + 40]) for i in range(40)]
    candidates = ["cat", "dog"]
    options = {"hypothesis": "a {}"}
    short = sentences()[:30]
    jobs = [
        {"bundle": "entities-fp32", "call": "entities", "asked": [{"text": text} for text in texts]},
        {
            "bundle": "answers-fp32",
            "call": "answer",
            "asked": [
                {"question": question, "context": context, "options": {"top": 3, "noAnswer": True}}
                for question, context in questions
            ],
        },
        {
            "bundle": "reranker-fp32",
            "call": "score",
            "asked": [{"text": one, "pair": two} for one, two in pairs],
        },
        {
            "bundle": "inference-fp32",
            "call": "choose",
            "asked": [{"text": text, "candidates": candidates, "options": options} for text in short],
        },
        {"bundle": "several-fp32", "call": "classify", "asked": [{"text": text} for text in short]},
    ]
    entities, answers, scores, chosen, several = (job["results"] for job in drive("ask", site, given=jobs))
    for text, found in zip(texts, entities, strict=True):
        assert_equal(found, in_utf16(recognizer.entities(text).to_json()["outputs"], text))
    for (question, context), found in zip(questions, answers, strict=True):
        expected = answerer.answer(question, context, top=3, no_answer=True)
        assert_equal(found["answers"], in_utf16(expected.to_json()["outputs"], context))
        assert found["noAnswer"] == pytest.approx(expected.no_answer, abs=1e-4)
    assert scores == pytest.approx([scorer.score(one, two) for one, two in pairs], abs=1e-4)
    classifier = device.load(task_bundle("inference"))
    for text, found in zip(short, chosen, strict=True):
        expected = classifier.classify(text, candidates=candidates, hypothesis="a {}")
        assert_equal(found, expected.to_json()["outputs"])
    classifier = device.load(task_bundle("several"))
    for text, found in zip(short, several, strict=True):
        assert_equal(found, classifier.classify(text).to_json()["outputs"])


@pytest.mark.parametrize("name", SHOWN)
def test_the_proof_is_repeated_in_the_browser(site, name):
    found, here = drive("verify", site, f"{name}-fp32"), verify(task_bundle(name))
    assert found["ok"] and [check["name"] for check in found["rungs"]] == [
        check.name for check in here.checks[1:]
    ]
    assert found["rungs"][1]["figures"]["max_error"] < 1e-4


def test_the_page_marks_what_is_found(tmp_path):
    require_browser()
    site = tmp_path / "site"
    assert run_program(["web", *(str(task_bundle(name)) for name in SHOWN), "--output", str(site)]) == 0
    text, context = "the red cat likes the dog", "a dog sees the old tree"
    found = drive("answers", site, given={"text": text, "masked": "", "context": context})
    recognizer, answerer, scorer = (device.load(task_bundle(name)) for name in SHOWN)
    expected = recognizer.entities(text)
    assert found["marked"]["token-classification"] == [each.text for each in expected]
    assert [name for name, _ in found["entities"]] == [each.text for each in expected]
    answer = answerer.answer(text, context, top=3)
    assert [name for name, _ in found["answers"]] == [each.text for each in answer.outputs]
    assert found["marked"]["question-answering"] == [answer.text]
    assert found["score"] == [["Score", f"{100 * scorer.score(text, context):.1f} %"]]
    assert not found["errors"]


def test_tokens_stand_where_python_says(tmp_path):
    require_node()
    tokenizers = {"word pieces": encoder_tokenizer(), "bytes": bare_tokenizer()}
    for family in ("bert", "big_bird"):
        folder = tmp_path / family
        pytest.importorskip("transformers")
        tiny_spans.write_tokenizer(folder, family)
        tokenizers[family] = as_tokenizer(pretrained.load_tokenizer(folder), "token-classification")
    texts = hard_texts(["anna", "berlin", "new york", "don't"], 200)
    given = [
        {"content": each.tokenizer.to_str(), "special_ids": each.special_ids, "written": False}
        for each in tokenizers.values()
    ]
    found = drive("tokens", given={"tokenizers": given, "texts": texts})
    for (name, tokenizer), rows in zip(tokenizers.items(), found, strict=True):
        for text, row in zip(texts, rows, strict=True):
            spans = tokenizer.spans(text)
            units = {utf16(text, i): i for i in range(len(text) + 1)}
            there = [stripped(text, *(units[index] for index in span)) for span in row["offsets"]]
            assert there == [stripped(text, *span) for span in spans.offsets], (name, text)


def stripped(text, start, end):
    """A span without white space around it."""
    part = text[start:end]
    if not part.strip():
        return start, end
    start += len(part) - len(part.lstrip())
    return start, start + len(part.strip())
