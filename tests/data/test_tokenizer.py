"""The tokenizer: lossless on any text, reserved ids, the same from the same texts, readable anywhere."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from keras_attn.data import tokenizer as subject
from keras_attn.data.errors import DataError

TEXTS = [
    "the quick brown fox jumps over the lazy dog",
    "der schnelle braune fuchs springt über den faulen hund",
    "on 2023-03-05 the dog ate 12 apples",
    "東京 は 日本 の 首都 です",
] * 5


@pytest.fixture(scope="module")
def trained():
    return subject.train_tokenizer(TEXTS, 380)


def test_ids_and_size(trained):
    assert [trained.token_to_id(token) for token in subject.SPECIAL_TOKENS] == [0, 1, 2, 3]
    assert subject.special_ids(trained) == {"pad": 0, "start": 1, "end": 2, "unknown": 3}
    assert trained.get_vocab_size() == 380
    assert all(trained.token_to_id(token) == 4 + i for i, token in enumerate(subject.BYTE_TOKENS))


def test_only_the_four_are_special(trained):
    layout = json.loads(trained.to_str())
    assert [token["content"] for token in layout["added_tokens"]] == list(subject.SPECIAL_TOKENS)
    assert set(subject.BYTE_TOKENS) <= set(layout["model"]["vocab"])


def test_words_and_digits(trained):
    assert trained.encode("the dog").tokens == ["▁the", "▁dog"]
    assert trained.encode("2023").tokens == ["▁", "2", "0", "2", "3"]


def test_unseen_characters_are_encoded_as_bytes(trained):
    encoded = trained.encode("😀")
    assert encoded.tokens == ["▁", "<0xF0>", "<0x9F>", "<0x98>", "<0x80>"]
    assert trained.token_to_id("<unk>") not in encoded.ids


@given(text=st.text(st.characters(exclude_characters="▁", exclude_categories=["Cs"])))
@settings(max_examples=400, deadline=None)
def test_decoding_gives_any_text_back(trained, text):
    assert trained.decode(trained.encode(text).ids) == text


@given(
    text=st.lists(
        st.sampled_from(["<eos>", "<pad>", "<0x41>", " ", "a", "\n", "1", "dog", "é", "\u0308"])
    ).map("".join)
)
@settings(max_examples=200, deadline=None)
def test_tokens_spelled_out_in_a_text_are_text(trained, text):
    ids = trained.encode(text).ids
    assert trained.decode(ids) == text
    assert not {0, 1, 2, 3} & set(ids)


def test_saved_file_has_the_same_outputs(trained, tmp_path):
    path = tmp_path / "tokenizer.json"
    subject.save_tokenizer(trained, path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["tokenizer.json"]
    plain, ours = Tokenizer.from_file(str(path)), subject.load_tokenizer(path)
    for text in [*TEXTS, "  two  spaces ", "schöne 😀 größe", "", " ", "\n"]:
        ids = trained.encode(text).ids
        assert plain.encode(text).ids == ours.encode(text).ids == ids
        assert plain.decode(ids) == ours.decode(ids) == text
    assert ours.decode(ours.encode("an <eos> here").ids) == "an <eos> here"


def test_a_failed_save_leaves_the_old_file(trained, tmp_path):
    (tmp_path / "file").write_text("text")
    with pytest.raises(OSError, match="file"):
        subject.save_tokenizer(trained, tmp_path / "file" / "tokenizer.json")
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_training_is_deterministic():
    # Many characters equally rare, more than there is room for: a tie that a hash table must not break.
    texts = [f"{chr(0x4E00 + i)}{chr(0x4E00 + i)} {chr(0x5E00 + i)}" for i in range(300)] * 2
    layouts = {subject.train_tokenizer(texts, 360).to_str() for _ in range(4)}
    assert len(layouts) == 1


def test_a_large_script_leaves_room_for_words():
    texts = ["hello world " + chr(0x4E00 + i) * 2 for i in range(2_000)]
    trained = subject.train_tokenizer(texts, 460)
    assert trained.get_vocab_size() == 460
    assert trained.encode("hello world").tokens == ["▁hello", "▁world"]
    assert trained.decode(trained.encode(texts[-1]).ids) == texts[-1]


def test_rare_characters_are_encoded_as_bytes():
    trained = subject.train_tokenizer(["aa bb", "aa ñ"], 300)
    assert trained.token_to_id("a") is not None and trained.token_to_id("ñ") is None


def test_dropout_splits_words_and_stays_lossless(trained):
    always = subject.with_dropout(trained, 1.0)
    assert always.encode("the dog").tokens == list("▁the▁dog")
    often = subject.with_dropout(trained, 0.5)
    assert {often.decode(often.encode(TEXTS[0]).ids) for _ in range(20)} == {TEXTS[0]}
    assert len({tuple(often.encode(TEXTS[0]).ids) for _ in range(20)}) > 1
    assert subject.with_dropout(often, 0.0).encode("the dog").tokens == ["▁the", "▁dog"]
    assert trained.encode("the dog").tokens == ["▁the", "▁dog"]  # the original is as it was


def test_pairs_are_encoded_without_special_tokens(trained):
    pairs = [("the dog", "der hund"), ("", "den")]
    encoded = subject.encode_pairs(trained, pairs)
    assert [(trained.decode(source), trained.decode(target)) for source, target in encoded] == pairs
    assert all(token > 3 for source, target in encoded for token in source + target)


def test_clear_errors(trained, tmp_path):
    with pytest.raises(DataError, match="261 is too small"):
        subject.train_tokenizer(TEXTS, 261)
    with pytest.raises(DataError, match="every text is empty"):
        subject.train_tokenizer(["", ""], 400)
    with pytest.raises(DataError, match="every text is empty"):
        subject.train_tokenizer([], 400)
    with pytest.raises(ValueError, match="between 0 and 1"):
        subject.with_dropout(trained, 1.5)
    with pytest.raises(DataError, match="no tokenizer at"):
        subject.load_tokenizer(tmp_path / "none.json")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(DataError, match=r"broken\.json is not a readable"):
        subject.load_tokenizer(tmp_path / "broken.json")
