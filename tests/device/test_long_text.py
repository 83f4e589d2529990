"""Texts of megabytes: what is read of them, what is refused, and that no time grows with their square."""

import io
import sys
import time
import types

import numpy as np
import pytest
import tiny_encoders
import tiny_language
from hypothesis import given, settings
from hypothesis import strategies as st
from test_device_text import SPECIAL_IDS, byte_pair_tokenizer

from keras_attn.device import printing as answers
from keras_attn.device.errors import InputError, TextTooLong
from keras_attn.device.tasks.classifier import Classifier
from keras_attn.device.tasks.generator import Generator
from keras_attn.device.tasks.mask_filler import MaskFiller
from keras_attn.device.tasks.translator import Translator
from keras_attn.device.text import truncation as long_text
from keras_attn.device.text.sentences import fit_text, split_sentences
from keras_attn.device.text.tokenizer import EncoderTokenizer, PromptTokenizer, Tokenizer

MILLION = 10**6
PIECES = (
    "the red cat ", "a", "日本語の文です。", "  ", "\n", "é", "e\u0301", "\u200b", ". ", "! ", "?", "… ",
    "।", "؟ ", "“no.” ", "...", "\u3000", "🙂", "1.5", "Straße ", "سلام ", "हिन्दी ", "한국어 ",
    "-", "'s ", "[MASK]",
)  # fmt: skip
# Characters, words and marks that tokenizers and sentence ends treat each in their own way.
LONG = ["the red cat ", "a", "日本語", "e\u0301", ".", '."', '.""', "…!", "- "]


@pytest.fixture(scope="module")
def tokenizers():
    return {
        "marked": Tokenizer(byte_pair_tokenizer(), SPECIAL_IDS),
        "prompt": tiny_language.prompt_tokenizer(),
        "enclosing": tiny_encoders.encoder_tokenizer(),
        "bare": tiny_encoders.bare_tokenizer(),
    }


def old_fit_text(text, tokenizer, limit):
    """Sentence by sentence, as the definition is."""
    text, parts, whole = text.strip(), [], ""

    def fits(part):
        return len(tokenizer.encode(part.rstrip())) <= limit

    if not text or fits(text):
        return [text] if text else []
    for sentence in split_sentences(text):
        if whole and not fits(whole + sentence):
            parts.append(whole)
            whole = ""
        whole += sentence
        if not fits(whole):
            return None
    return [*parts, whole]


@settings(deadline=None, max_examples=200)
@given(pieces=st.lists(st.sampled_from(PIECES), max_size=60), limit=st.integers(3, 60))
def test_parts_are_those_of_the_definition(tokenizers, pieces, limit):
    text, wanted = "".join(pieces), old_fit_text("".join(pieces), tokenizers["marked"], limit)
    try:
        found = [part + space for part, _, space in fit_text(text, tokenizers["marked"], limit)]
    except TextTooLong:
        found = None
    assert found == wanted


@settings(deadline=None, max_examples=60)
@given(
    pieces=st.lists(st.sampled_from(PIECES), min_size=10, max_size=40),
    times=st.integers(2, 20),
    limit=st.integers(3, 12),
)
@pytest.mark.parametrize("name", ["marked", "prompt", "enclosing", "bare"])
def test_parts_have_the_tokens_of_the_whole(tokenizers, name, pieces, times, limit):
    tokenizer, text = tokenizers[name], "".join(pieces) * times
    ids = tokenizer.encode(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(long_text, "_READ_AT_FIRST", 300)
        patch.setattr(long_text, "_READ_PER_TOKEN", 1)
        read = tokenizer.beginning(text, limit)
        end = tokenizer.ending(text, limit) if isinstance(tokenizer, PromptTokenizer) else text
    some = tokenizer.encode(read)
    assert (len(some) > limit or len(read) < len(text)) == (len(ids) > limit)
    if isinstance(tokenizer, EncoderTokenizer):
        assert tokenizer.cut(some, limit) == tokenizer.cut(ids, limit)
    else:
        assert some[:limit] == ids[:limit]
    assert tokenizer.encode(end)[-limit:] == ids[-limit:]


@pytest.fixture
def read(monkeypatch, tokenizers):
    """Counts the characters that tokenizers are given."""
    seen = types.SimpleNamespace(characters=0)

    def counted(encode):
        def counting(self, text, *more):
            seen.characters += len(text) + sum(map(len, filter(None, more)))
            return encode(self, text, *more)

        return counting

    for kind in (Tokenizer, EncoderTokenizer):
        monkeypatch.setattr(kind, "encode", counted(kind.encode))
    return seen


@pytest.mark.parametrize("piece", LONG)
def test_a_text_without_a_sentence_end_is_refused_by_its_length(tokenizers, read, piece):
    text = "b" + piece * (10 * MILLION // len(piece)) + "a"
    with pytest.raises(TextTooLong, match=rf"has {len(text)} characters without a sentence end.* 64 tokens"):
        fit_text(text, tokenizers["marked"], 64)
    assert read.characters < MILLION


def test_word_of_a_million_letters_is_one_unknown_token(tokenizers, read):
    with pytest.raises(TextTooLong, match="has 10000000 characters, and"):
        Classifier(Encoder(), tokenizers["enclosing"], ["a", "b"]).classify("a" * 10 * MILLION)
    assert read.characters < 2 * MILLION


def test_long_texts_of_sentences_are_cut_in_linear_time(tokenizers, read):
    for sentence in ("the red cat. ", "a\n", "文。"):
        read.characters = 0
        text = sentence * (MILLION // len(sentence))
        parts = fit_text(text, tokenizers["marked"], 64)
        assert "".join(part + space for part, _, space in parts) == text.strip()
        assert read.characters < 4 * MILLION


def test_rows_of_marks_are_read_once():
    """These took a minute where the time grew with the square."""
    begin = time.process_time()
    for piece in LONG:
        text = piece * (200_000 // len(piece)) + "a"
        assert "".join(split_sentences(text)) == text
    assert split_sentences("." * 200_000 + " a") == ["." * 200_000 + " ", "a"]
    assert time.process_time() - begin < 60


class Encoder:
    """Counts tokens."""

    max_tokens, reads_pairs = 16, True

    def run(self, ids, position=0):
        self.ids = ids
        return np.array([-1.0, -2.0, *[-9.0] * 80], np.float32)


@pytest.mark.parametrize("piece", ["the red cat ", "日本語"])
def test_an_encoder_reads_the_beginning(tokenizers, read, piece):
    tokenizer = tokenizers["enclosing"]
    task = Classifier(Encoder(), tokenizer, ["a", "b", *map(str, range(80))])
    long, short = piece * (10 * MILLION // len(piece)), piece * 1000
    for pair in (None, "the cat", long):
        if pair is not long:
            with pytest.raises(TextTooLong, match="characters"):
                task.classify(long, pair=pair)
        with pytest.raises(TextTooLong):
            task.classify("the cat", pair=long)
    task.classify(long, truncate=True)
    assert task.encoder.ids == tokenizer.cut(tokenizer.encode(short), 16)
    task.classify("the cat", pair=long, truncate=True)
    assert task.encoder.ids == tokenizer.cut(tokenizer.encode("the cat", short), 16)
    assert not task.fits(long) and task.fits("the cat")
    with pytest.raises(TextTooLong, match=r"; shorten it\.$"):
        MaskFiller(Encoder(), tokenizer).fill_mask("[MASK] " + long)
    assert read.characters < 3 * MILLION


class OneWord:
    """Translates everything into one token, and ends."""

    def __init__(self, size, token):
        self.scores = np.full((2, 1, size), -9.0, np.float32)
        self.scores[0, 0, token] = self.scores[1, 0, SPECIAL_IDS["end"]] = 0.0

    def start(self, source_ids, source_mask):
        return 0

    def step(self, tokens, state):
        return self.scores[state], state + 1


def translator_of(tokenizer):
    token = next(token for token in tokenizer.encode("little") if tokenizer.decode([token]))
    steps = OneWord(tokenizer.tokenizer.get_vocab_size(), token)
    return Translator(lambda limit: steps, tokenizer, max_source_tokens=16)  # type: ignore[arg-type]


def test_stream_starts_before_a_long_text_is_read(tokenizers, read):
    made = translator_of(tokenizers["marked"])
    stream = made.stream("the red cat. " * (MILLION // 13))
    assert next(stream)
    assert read.characters < MILLION // 4
    too_long = "a " * 100
    with pytest.raises(TextTooLong):
        made.stream(f"the cat. {too_long}.")
    stream = made.stream("the cat. " * 10_000 + too_long)
    assert next(stream)
    with pytest.raises(TextTooLong):
        list(stream)


def test_alignments_of_a_long_text_are_refused_by_its_length(tokenizers, read):
    made = translator_of(tokenizers["marked"])
    text = "the red cat. " * (3 * MILLION // 13)
    for texts in (text, ["the cat.", text]):
        with pytest.raises(InputError, match=r"alignments: a text has \d+ tokens or more"):
            made.translate(texts, alignments=True)
    assert read.characters < MILLION


def test_a_generator_reads_the_end(tokenizers, read):
    tokenizer = tokenizers["prompt"]
    made = Generator(lambda limit: None, tokenizer, max_source_tokens=9, max_target_tokens=7)  # type: ignore[arg-type]
    text = "the red cat " * (10 * MILLION // 12) + "under a tree"
    with pytest.raises(TextTooLong, match="characters"):
        made.stream(text)
    assert made._prompt(text, truncate=True) == tokenizer.encode(text[-60:])[-9:]
    with pytest.raises(InputError, match="lone surrogate"):
        made._prompt("\ud83d" + text, truncate=True)
    assert read.characters < MILLION


def test_a_line_of_megabytes_is_read_once(monkeypatch, capsys):
    """Standard input comes in blocks, which are joined when the line has ended."""
    lines = [b"one", b"x" * 30 * MILLION, b"zwei", b""]
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=Blocks(b"\n".join(lines) + b"last")))
    begin = time.process_time()
    found = [line for group in answers._lines_at_hand() for line in group]
    assert found == [*(line.decode() for line in lines[:-1]), "last"]
    assert time.process_time() - begin < 20


class Blocks(io.BytesIO):
    def read1(self, size=-1):
        """Return little at a time, as a pipe does."""
        return super().read1(4096)
