"""The tables that a graph's tokenizer is made of say what the tokenizer says, character by character."""

import functools
import re

import flatbuffers.table
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras_attn_export.graph_tokenizer.character_table import character_table
from keras_attn_export.graph_tokenizer.word_pieces import SUFFIX, choose_letters, read_word_pieces, refusals
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors

from keras_attn.device.proof.tokenizer_proof import HARD_TEXTS

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ENDS = {"start": 2, "end": 3}
CASES = {
    "lower": ({}, {}),
    "cased": ({"lowercase": False}, {}),
    "as it is": (
        {"lowercase": False, "handle_chinese_chars": False, "clean_text": False, "strip_accents": True},
        {"continuing_subword_prefix": "@@", "max_input_chars_per_word": 7},
    ),
}


def word_pieces(normalizer=None, model=None):
    """A tokenizer that knows most characters of the hard texts, and some longer pieces."""
    model = {"continuing_subword_prefix": "##", **(model or {})}
    characters = sorted({each for text in HARD_TEXTS for each in text + text.lower()} - set("qÅ🥰語"))
    pieces = [*SPECIAL, *characters, "word", "слово", "##", "naive", "th"]
    pieces += [model["continuing_subword_prefix"] + each for each in [*characters, "ord", "ing", "日本"]]
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", **model))
    tokenizer.normalizer = normalizers.BertNormalizer(**(normalizer or {}))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.encode_special_tokens = True
    return tokenizer


@functools.cache
def case(name):
    tokenizer = word_pieces(*CASES[name])
    assert refusals(tokenizer, ENDS) == []
    tables = read_word_pieces(tokenizer)
    return tokenizer, tables, {piece: number for number, piece in enumerate(tables.vocabulary)}


def pieces_of(word, tables, numbers):
    """Cut a renamed word, the longest piece first."""
    found, start = [], 0
    while start < len(word):
        mark = SUFFIX if start else ""
        ends = range(len(word), start, -1)
        end = next((end for end in ends if mark + word[start:end] in numbers), None)
        if end is None:
            return [tables.unknown]
        found.append(mark + word[start:end])
        start = end
    return found


def ids_of(text, tables, numbers):
    """Read the tables as tensorflow-text does."""
    found = []
    for word in "".join(tables.replacements[ord(each)] for each in text).split(" "):
        too_long = len(word.encode()) > tables.longest_word
        found += [tables.unknown] if too_long else pieces_of(word, tables, numbers)
    return [numbers[piece] for piece in found]


@pytest.mark.parametrize("name", CASES)
def test_hard_texts_have_the_tokenizer_s_ids(name):
    tokenizer, *tables = case(name)
    for text in HARD_TEXTS:
        assert ids_of(text, *tables) == tokenizer.encode(text, add_special_tokens=False).ids, text
    assert sum(1 in tokenizer.encode(text).ids for text in HARD_TEXTS) > 3  # unknown words are tried


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=30))
def test_any_text_has_the_tokenizer_s_ids(name, text):
    tokenizer, *tables = case(name)
    assert ids_of(text, *tables) == tokenizer.encode(text, add_special_tokens=False).ids


def test_the_table_finds_every_character():
    """Walk the trie as its readers do, one byte after the other."""
    _, tables, _ = case("lower")
    content = character_table(tables.replacements)
    root = flatbuffers.table.Table(content, int.from_bytes(content[:4], "little"))

    def vector(slot, dtype):
        place = root.Vector(root.Offset(slot))
        return np.frombuffer(content, dtype, root.VectorLen(root.Offset(slot)), place)

    units, pool = vector(6, np.uint32).tolist(), vector(10, np.uint8).tobytes()
    zero = int.from_bytes(content[root.Pos + root.Offset(8) :][:4], "little")

    def replaced(code_point):
        place = 0
        for byte in chr(code_point).encode():
            place ^= (units[place] >> 10) ^ byte
            assert units[place] & 0x800000FF == byte
        assert units[place] >> 8 & 1 or not code_point
        value = units[place ^ (units[place] >> 10)] & 0x7FFFFFFF if code_point else zero
        assert value >> 30 & 1
        return pool[value >> 6 & 0xFFFFFF :][: value & 63].decode()

    some = [*range(0x3000), *range(0x3000, 0xD800, 7), *range(0xE000, 0x110000, 97), 0x10FFFF]
    assert all(replaced(code_point) == tables.replacements[code_point] for code_point in some)
    assert len(content) < 300_000


def test_letters_are_of_one_length_and_nothing_else():
    short, long = choose_letters(100), choose_letters(5000)
    assert {len(each.encode()) for each in short} == {2} and {len(each.encode()) for each in long} == {3}
    assert all(len(set(letters)) == len(letters) and letters.isalpha() for letters in (short, long))
    with pytest.raises(ValueError, match="99999 characters"):
        choose_letters(100_000)


ENDS_IN_MASK = processors.BertProcessing(("[MASK]", 4), ("[CLS]", 2))
REFUSED = [
    ("normalizer", normalizers.NFC(), "its normalizer is NFC, not BertNormalizer"),
    ("normalizer", None, "its normalizer is missing"),
    ("pre_tokenizer", pre_tokenizers.Whitespace(), "its pre_tokenizer is Whitespace"),
    ("model", models.BPE({"[UNK]": 1, "[CLS]": 2, "[SEP]": 3}, []), "its model is BPE, not WordPiece"),
    ("post_processor", ENDS_IN_MASK, "does not enclose a text in only the start and the end token"),
]


@pytest.mark.parametrize(("part", "value", "words"), REFUSED, ids=[words for *_, words in REFUSED])
def test_other_tokenizers_are_refused(part, value, words):
    tokenizer = word_pieces()
    setattr(tokenizer, part, value)
    assert any(words in problem for problem in refusals(tokenizer, ENDS))


def test_added_words_are_refused():
    tokenizer = word_pieces()
    tokenizer.add_tokens([AddedToken("e-mail")])
    assert refusals(tokenizer, ENDS) == ["it has added tokens that are not special: 'e-mail'"]


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ({"continuing_subword_prefix": "of"}, "'of', which does not begin with punctuation"),
        ({"unk_token": "[?]"}, r"unknown token '\[\?\]' is not in its vocabulary"),
        ({"vocab": {**{each: i for i, each in enumerate(SPECIAL)}, "a" * 200: 5}}, "aaa' is too long"),
    ],
)
def test_other_vocabularies_are_refused(model, words):
    tokenizer = word_pieces()
    vocabulary = {each: i for i, each in enumerate([*SPECIAL, "a"])}
    tokenizer.model = models.WordPiece(**{"vocab": vocabulary, "unk_token": "[UNK]", **model})
    (problem,) = refusals(tokenizer, ENDS)
    assert re.search(words, problem)
