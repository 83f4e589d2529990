"""Entities, answers, scores and labels of one's own: those of transformers' pipelines, or of their rules."""

import numpy as np
import pytest
import tiny_spans
from hard_texts import hard_texts

import keras_attn
from keras_attn import pretrained
from keras_attn.device.tasks.label_scheme import STRATEGIES
from keras_attn.models import QuestionAnswerer, TextClassifier, TextScorer, TokenClassifier

pytestmark = pytest.mark.parity
# BertForTokenClassification, DistilBertForTokenClassification, BigBirdForTokenClassification, and
# BertForQuestionAnswering, DistilBertForQuestionAnswering, BigBirdForQuestionAnswering.
FAMILIES = ("bert", "distilbert", "big_bird")
# A special token that is written out in a text is text here, so that nobody can write one by chance.
TEXTS = [text for text in hard_texts(["anna", "berlin", "new york", "don't"], 40) if "[MASK]" not in text]


def stripped(text, start, end):
    """A span without white space around it: pipelines count the space before a word of SentencePiece."""
    part = text[start:end]
    if not part.strip():
        return start, end
    start += len(part) - len(part.lstrip())
    return start, start + len(part.strip())


@pytest.mark.parametrize("family", FAMILIES)
def test_entities_are_the_pipeline_s(family, tmp_path, recwarn):
    transformers = pytest.importorskip("transformers")
    model = tiny_spans.write_checkpoint(tmp_path, family, "ForTokenClassification", **tiny_spans.labels())
    with_evenly_likely_labels(model, tmp_path)
    ours = keras_attn.load(tmp_path, task="token-classification")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    kinds = set()
    for strategy in STRATEGIES:
        theirs = transformers.pipeline(
            "token-classification", model=model, tokenizer=tokenizer, aggregation_strategy=strategy
        )
        for text in filter(ours.fits, TEXTS):
            found, expected = ours.entities(text, strategy=strategy), theirs(text)
            assert [(each.label, each.start, each.end) for each in found] == [
                (each["entity_group"], *stripped(text, each["start"], each["end"])) for each in expected
            ]
            scores = [float(each["score"]) for each in expected]
            assert [each.score for each in found] == pytest.approx(scores, abs=1e-4)
            kinds |= {(each.label, each.end - each.start > 6) for each in found}
    assert len(kinds) == 4  # both labels, on short spans and on long ones


def with_evenly_likely_labels(model, folder):
    """Move the logits of random weights so that every label is the best of some tokens."""
    import torch

    ids = torch.randint(5, model.config.vocab_size, (8, 40), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits = model(input_ids=ids).logits
        model.classifier.bias -= logits.mean((0, 1))
    model.save_pretrained(folder)


@pytest.mark.parametrize("family", FAMILIES)
def test_answers_are_those_of_the_pipeline_s_rules(family, tmp_path):
    """The pipeline of transformers 4: windows, in each a softmax over the context and the first token."""
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    more = {"sep_token_id": 4} if family == "big_bird" else {}
    model = tiny_spans.write_checkpoint(tmp_path, family, "ForQuestionAnswering", **more)
    ours = keras_attn.load(tmp_path, task="question-answering")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    contexts = [" ".join(TEXTS[i : i + 4])[:300] for i in range(1, 30, 3)]
    for question in ("who lives in berlin?", "a"):
        for context in contexts:
            encoded = tokenizer(
                question,
                context,
                truncation="only_second",
                max_length=64,
                stride=32,
                return_overflowing_tokens=True,
                padding="max_length",
                return_tensors="pt",
            )
            encoded.pop("overflow_to_sample_mapping")
            with torch.no_grad():
                outputs = model(**encoded)
            expected = best_answer(encoded, outputs, context)
            found = ours.answer(question, context, no_answer=False)
            assert (found.start, found.end) == stripped(context, *expected[1:3])
            assert found.score == pytest.approx(expected[0], abs=1e-4)
            assert found.no_answer == pytest.approx(expected[3], abs=1e-4)


def best_answer(encoded, outputs, context):
    """Score, start and end of the best span, and the least probability of the first token, by plain loops."""
    best, none = (-1.0, 0, 0), 1.0
    for window in range(len(encoded["input_ids"])):
        inside = [each == 1 for each in encoded.sequence_ids(window)]
        allowed = np.array(inside)
        allowed[0] = True
        start, end = (
            logits[window].numpy().astype(float) for logits in (outputs.start_logits, outputs.end_logits)
        )
        start, end = (np.exp(each - each[allowed].max()) * allowed for each in (start, end))
        start, end = start / start.sum(), end / end.sum()
        none = min(none, start[0] * end[0])
        for first in np.flatnonzero(inside):
            for last in range(first, min(first + 15, len(inside))):
                if inside[last] and start[first] * end[last] > best[0]:
                    encoding = encoded.encodings[window]
                    words = [encoding.token_to_word(token) for token in (first, last)]
                    spans = [encoding.word_to_chars(word, 1) for word in words]
                    best = (start[first] * end[last], spans[0][0], spans[1][1])
    return *best, none


def test_scores_are_the_pipeline_s(tmp_path):
    transformers = pytest.importorskip("transformers")
    for kind, activation in ((None, "sigmoid"), ("regression", "linear")):
        folder = tmp_path / activation
        model = tiny_spans.write_checkpoint(
            folder, "bert", "ForSequenceClassification", num_labels=1, problem_type=kind
        )
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        theirs = transformers.pipeline("text-classification", model=model, tokenizer=tokenizer)
        ours, loaded = keras_attn.load(folder, task="scoring"), pretrained.load(folder)
        assert type(loaded) is TextScorer and loaded.activation == activation
        pairs = [(TEXTS[i][:30], TEXTS[i + 1][:30]) for i in range(1, 12)]
        expected = [theirs({"text": one, "text_pair": two})["score"] for one, two in pairs]
        assert [ours.score(one, two) for one, two in pairs] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("family", ["bert", "distilbert"])
def test_candidates_are_chosen_as_by_the_zero_shot_pipeline(family, tmp_path):
    transformers = pytest.importorskip("transformers")
    names = ["contradiction", "neutral", "entailment"]
    model = tiny_spans.write_checkpoint(
        tmp_path, family, "ForSequenceClassification", **tiny_spans.labels(names)
    )
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    theirs = transformers.pipeline("zero-shot-classification", model=model, tokenizer=tokenizer)
    ours = keras_attn.load(tmp_path, task="classification")
    for several in (False, True):
        for candidates in (["berlin", "paris", "a word"], ["new york"]):
            for text in (TEXTS[3][:40], "anna met bob"):
                found = ours.classify(text, candidates=candidates, several=several)
                expected = theirs(text, candidates, multi_label=several)
                assert [each.label for each in found.outputs] == expected["labels"]
                assert [each.score for each in found.outputs] == pytest.approx(expected["scores"], abs=1e-5)


def test_several_labels_are_the_pipeline_s(tmp_path):
    transformers = pytest.importorskip("transformers")
    model = tiny_spans.write_checkpoint(
        tmp_path,
        "bert",
        "ForSequenceClassification",
        problem_type="multi_label_classification",
        **tiny_spans.labels(["a", "b", "c"]),
    )
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    theirs = transformers.pipeline("text-classification", model=model, tokenizer=tokenizer, top_k=None)
    ours, loaded = keras_attn.load(tmp_path), pretrained.load(tmp_path)
    assert type(loaded) is TextClassifier and loaded.multi_label
    for text in filter(ours.fits, TEXTS[1:20]):
        expected = {each["label"]: each["score"] for each in theirs([text])[0]}
        assert {o.label: o.score for o in ours.classify(text).outputs} == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("head", "kind", "more"),
    [
        ("ForTokenClassification", TokenClassifier, tiny_spans.labels()),
        ("ForQuestionAnswering", QuestionAnswerer, {}),
        ("ForSequenceClassification", TextScorer, {"num_labels": 1}),
    ],
)
def test_what_is_saved_is_the_same_there_and_here(family, head, kind, more, tmp_path):
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    if family == "big_bird":
        more = {**more, "sep_token_id": 2}
    model = tiny_spans.write_checkpoint(tmp_path / "theirs", family, head, **more)
    loaded = pretrained.load(tmp_path / "theirs")
    assert type(loaded) is kind
    pretrained.save(loaded, tmp_path / "ours")
    again = pretrained.load(tmp_path / "ours")
    for one, other in zip(loaded.weights, again.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
    theirs = getattr(transformers, type(model).__name__).from_pretrained(tmp_path / "ours").eval()
    ids = torch.randint(5, model.config.vocab_size, (2, 12), generator=torch.Generator().manual_seed(1))
    for each in (model, theirs):
        with torch.no_grad():
            found = each(input_ids=ids)
        logits = (
            torch.stack([found.start_logits, found.end_logits], 1)
            if "start_logits" in found
            else found.logits
        )
        got = np.asarray(loaded({"token_ids": ids.numpy(), "padding_mask": np.ones(ids.shape, bool)}))
        if family == "big_bird" and head == "ForQuestionAnswering":  # which lowers those of the question
            continue
        np.testing.assert_allclose(got, logits.numpy(), atol=2e-6 * float(logits.abs().max()))
