"""Tokens, what is shown for them, and the cutting of long text."""

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

from keras_attn.device.errors import BundleError, InputError, TextTooLong
from keras_attn.device.text.sentences import fit_text, join_texts, split_sentences
from keras_attn.device.text.tokenizer import Tokenizer

SPECIAL_IDS = {"pad": 0, "start": 1, "end": 2, "unknown": 3}
CORPUS = [
    "a little text about little things",
    "日本語の文です。これも文です。",
    "numbers like 1.5 and 20",
] * 4


def byte_pair_tokenizer() -> tokenizers.Tokenizer:
    """A small tokenizer of the kind that bundles carry: word marks, byte fallback, lossless."""
    tokenizer = tokenizers.Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    tokenizer.normalizer = normalizers.Prepend("▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="never", split=True)
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<pad>", "<bos>", "<eos>", "<unk>"], show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    vocabulary = tokenizer.get_vocab()
    merges = [tuple(merge) for merge in __import__("json").loads(tokenizer.to_str())["model"]["merges"]]
    for byte in range(256):
        vocabulary[f"<0x{byte:02X}>"] = len(vocabulary)
    tokenizer.model = models.BPE(vocab=vocabulary, merges=merges, unk_token="<unk>", byte_fallback=True)
    return tokenizer


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer(byte_pair_tokenizer(), SPECIAL_IDS)


@settings(deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="▁")))
def test_any_text_comes_back(tokenizer, text):
    ids = tokenizer.encode(text)
    assert ids[-1] == SPECIAL_IDS["end"]
    assert tokenizer.decode(ids) == text
    assert len(tokenizer.pieces(ids)) == len(ids)
    assert all(piece and piece.isprintable() for piece in tokenizer.pieces(ids))


def test_written_special_tokens_are_text(tokenizer):
    ids = tokenizer.encode("a <eos> b")
    assert ids.count(SPECIAL_IDS["end"]) == 1
    assert tokenizer.decode(ids) == "a <eos> b"


def test_half_a_character_is_refused(tokenizer):
    with pytest.raises(InputError, match="lone surrogate"):
        tokenizer.encode("\ud83d")


def test_pieces_read_well(tokenizer):
    assert tokenizer.pieces(tokenizer.encode("little text")) == ["little", "text", "</s>"]
    assert tokenizer.pieces(tokenizer.encode("日本語"))[-2:] == ["日本語", "</s>"]
    assert tokenizer.pieces(tokenizer.encode("é")) == ["␣", "é", "·", "</s>"]
    assert tokenizer.pieces(tokenizer.encode("\x07")) == ["␣", "\\x07", "</s>"]
    half = tokenizer.tokenizer.token_to_id("<0xC3>")
    assert tokenizer.pieces([half, 1, 0, 3]) == ["<0xC3>", "<s>", "<pad>", "<unk>"]


@settings(deadline=None)
@given(text=st.text())
def test_sentences_lose_nothing(text):
    assert "".join(split_sentences(text)) == text


@settings(deadline=None)
@given(text=st.text(alphabet="ab .!?。\n”"))
def test_sentences_lose_nothing_where_there_are_many_ends(text):
    parts = split_sentences(text)
    assert "".join(parts) == text
    assert all(parts)


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two! Three?", ["One. ", "Two! ", "Three?"]),
        ("It costs 1.5 at a.b.com.", ["It costs 1.5 at a.b.com."]),
        ("He said “no.” Then left…  End", ["He said “no.” ", "Then left…  ", "End"]),
        ("文です。「はい。」次！", ["文です。", "「はい。」", "次！"]),
        ("यह है। वह है।", ["यह है। ", "वह है।"]),
        ("هل؟ نعم.", ["هل؟ ", "نعم."]),
        ("a\nb\n\n c", ["a\n", "b\n\n ", "c"]),
        ("", []),
    ],
)
def test_sentences_of_many_scripts(text, sentences):
    assert split_sentences(text) == sentences


@settings(deadline=None)
@given(text=st.text(alphabet="ab .。\n", max_size=80), limit=st.integers(4, 12))
def test_parts_fit_and_are_complete(tokenizer, text, limit):
    try:
        parts = fit_text(text, tokenizer, limit)
    except TextTooLong as error:
        assert error.limit == limit and error.tokens > limit
        return
    assert "".join(part + space for part, _, space in parts) == text.strip()
    for part, ids, _ in parts:
        assert len(ids) <= limit
        assert ids == tokenizer.encode(part)


def test_parts_are_as_long_as_they_may_be(tokenizer):
    parts = fit_text("little text. " * 4, tokenizer, 2 * (len(tokenizer.encode("little text.")) - 1) + 1)
    assert [part for part, _, _ in parts] == ["little text. little text."] * 2


def test_a_sentence_over_the_limit_names_the_limit(tokenizer):
    with pytest.raises(TextTooLong, match=r"has 10001 tokens .* at most 64 .* shorten it"):
        fit_text("text " * 10_000, tokenizer, 64)


def test_white_space_is_nothing(tokenizer):
    assert fit_text(" \n\t ", tokenizer, 8) == []


def test_answers_are_joined_as_the_text_was_cut():
    assert join_texts(["One.", "Two.", "Three."], [" ", "\n\n", ""]) == "One. Two.\n\nThree."
    assert join_texts(["一。", "二。"], [" ", ""]) == "一。二。"
    assert join_texts(["One.", "Two."], ["", ""]) == "One. Two."
    assert join_texts([], []) == ""


def test_invalid_tokenizer_file_is_named(tmp_path):
    (tmp_path / "tokenizer.json").write_text('{"version": "1.0"}')
    with pytest.raises(BundleError, match=r"tokenizer\.json is not a tokenizer"):
        Tokenizer.from_file(tmp_path / "tokenizer.json", SPECIAL_IDS)
    with pytest.raises(BundleError, match=r"missing\.json cannot be read"):
        Tokenizer.from_file(tmp_path / "missing.json", SPECIAL_IDS)
    with pytest.raises(BundleError, match="lacks 'unknown'"):
        Tokenizer(byte_pair_tokenizer(), {"pad": 0, "start": 1, "end": 2})
    with pytest.raises(BundleError, match="names 9999 as 'end'"):
        Tokenizer(byte_pair_tokenizer(), {**SPECIAL_IDS, "end": 9999})
