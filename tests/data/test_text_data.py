"""Labelled tables, running text, byte-level tokenizers, and rows in batches."""

import gzip

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_attn.data.batching.row_batches import RowBatches, windows
from keras_attn.data.byte_tokenizer import (
    BERT_TOKENS,
    GPT_TOKENS,
    encode_stream,
    encode_texts,
    ids_of,
    train_byte_tokenizer,
)
from keras_attn.data.errors import DataError
from keras_attn.data.readers.labelled import find_classes, read_labelled
from keras_attn.data.readers.paragraphs import read_paragraphs

TEXTS = ["the cat sat on the mat", "the dog sat on the log", "cats and dogs don't sit"] * 4


@pytest.fixture(scope="module")
def tokenizer():
    return train_byte_tokenizer(TEXTS, 300, BERT_TOKENS)


# ---- labelled tables ----


def test_columns_are_chosen_by_name_or_by_number_and_joined(tmp_path):
    named, bare = tmp_path / "named.csv", tmp_path / "bare.csv.gz"
    rows = '2,"A title, quoted","Two\nlines"\n1,Other,text\n'
    named.write_text(f"label,title,body\n{rows}", "utf-8")
    bare.write_bytes(gzip.compress(rows.encode()))
    for found in (read_labelled(named, "title,body", "label"), read_labelled(bare, "2,3", "1")):
        assert found.texts == ["A title, quoted Two lines", "Other text"]
        assert found.labels == ["2", "1"]
    assert found.lines == [2, 3]


def test_quotes_mean_nothing_in_tsv(tmp_path):
    path = tmp_path / "t.tsv"
    path.write_text('text\tlabel\n"so, he said\ta\n', "utf-8")
    assert read_labelled(path).texts == ['"so, he said']


@pytest.mark.parametrize(
    ("content", "columns", "message"),
    [
        ("", {}, "t.csv is empty"),
        ("text,label\n", {}, "t.csv has a header, but no rows"),
        ("text,label\na,b\n", {"text_column": "body"}, "t.csv, line 1: there is no column 'body' among text"),
        ("text,label\na,b\nonly\n", {}, "t.csv, line 3: the row has 1 field, but column 2 is wanted"),
        ("text,label\na,\n", {}, "t.csv, line 2: the label is empty"),
        ("text,label\n ,b\n", {}, "t.csv, line 2: the text is empty"),
        ('text,label\na,b\n"a,b\n', {}, "t.csv, line 3: the row cannot be read"),
        ("a,b\n", {"text_column": "0", "label_column": "2"}, "counted from 1"),
    ],
)
def test_table_errors_name_the_line(tmp_path, content, columns, message):
    path = tmp_path / "t.csv"
    path.write_text(content, "utf-8")
    with pytest.raises(DataError, match=message):
        read_labelled(path, **columns)


def table(tmp_path, labels):
    path = tmp_path / "t.csv"
    path.write_text("text,label\n" + "".join(f"x,{label}\n" for label in labels), "utf-8")
    return read_labelled(path)


def test_classes_keep_their_labels_or_get_names(tmp_path):
    assert find_classes(table(tmp_path, ["10", "9", "10"]))[0] == ["9", "10"]
    assert find_classes(table(tmp_path, ["b", "a"])) == (["a", "b"], {"a": 0, "b": 1})
    for written in (["0", "1"], ["1", "2"], ["B", "1"]):
        names, classes = find_classes(table(tmp_path, written), ("A", "B"))
        assert names == ["A", "B"]
        assert sorted(classes[label] for label in written) in ([0, 1], [0, 1])
    with pytest.raises(DataError, match=r"t\.csv has the label 'a' only"):
        find_classes(table(tmp_path, ["a", "a"]))
    with pytest.raises(DataError, match=r"t\.csv, line 3: the label '3' is not one of 1, 2, A, B"):
        find_classes(table(tmp_path, ["1", "3"]), ("A", "B"))


# ---- running text ----


def test_folders_are_read_recursively_and_empty_lines_skipped(tmp_path):
    (tmp_path / "below").mkdir()
    (tmp_path / "b.txt").write_text("one\n\n two \n", "utf-8")
    (tmp_path / "below" / "a.txt.gz").write_bytes(gzip.compress(b"three\n"))
    (tmp_path / "ignored.json").write_text("{}", "utf-8")
    assert read_paragraphs([tmp_path]) == ["one", "two", "three"]
    with pytest.raises(DataError, match=r"no file .*missing"):
        read_paragraphs([tmp_path / "missing"])
    (tmp_path / "b.txt").write_text("\n \n", "utf-8")
    with pytest.raises(DataError, match=r"b\.txt: there is no text"):
        read_paragraphs([tmp_path / "b.txt"])
    (tmp_path / "nothing").mkdir()
    with pytest.raises(DataError, match=r"nothing has no files that end in \.txt or \.gz"):
        read_paragraphs([tmp_path / "nothing"])


def test_windows_overlap_by_what_the_stride_leaves():
    assert [piece.tolist() for piece in windows(np.arange(7), 3, 2)] == [[0, 1, 2], [2, 3, 4], [4, 5, 6]]
    assert [piece.tolist() for piece in windows(np.arange(5), 2, 2)] == [[0, 1], [2, 3], [4]]


# ---- tokenizers ----


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=40))
def test_every_text_comes_back(tokenizer, text):
    assert tokenizer.decode(tokenizer.encode(text).ids) == text


def test_texts_are_enclosed_and_written_special_tokens_are_text(tokenizer):
    special = ids_of(tokenizer, BERT_TOKENS, "It")
    assert special == {"pad": 0, "unknown": 1, "cls": 2, "sep": 3, "mask": 4}
    ids = tokenizer.encode("the [MASK] cat").ids
    assert ids[0] == special["cls"] and ids[-1] == special["sep"]
    assert not set(special.values()) & set(ids[1:-1])
    assert [len(row) for row in encode_texts(tokenizer, TEXTS, 5)] == [5] * len(TEXTS)
    assert encode_texts(tokenizer, TEXTS, 5)[0][-1] == special["sep"]
    assert len(tokenizer.encode(TEXTS[0]).ids) > 5  # it cuts nothing afterwards


def test_equal_texts_give_equal_tokenizers(tokenizer):
    assert train_byte_tokenizer(TEXTS, 300, BERT_TOKENS).to_str() == tokenizer.to_str()
    assert ids_of(train_byte_tokenizer(TEXTS, 300, GPT_TOKENS), GPT_TOKENS, "It")["end"] == 0
    with pytest.raises(DataError, match="vocabulary_size 200 is too small"):
        train_byte_tokenizer(TEXTS, 200, BERT_TOKENS)


def test_running_text_knows_where_words_begin(tokenizer):
    ids, starts = encode_stream(tokenizer, ["the mat", "dogs!"], 3)
    words = np.split(ids, np.flatnonzero(starts)[1:])
    assert [tokenizer.decode(word.tolist(), skip_special_tokens=False) for word in words] == [
        *("the", " mat", "[SEP]", "dogs", "!", "[SEP]")
    ]


# ---- rows ----


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 32), min_size=1, max_size=60), st.integers(1, 9), st.integers(0, 20))
def test_every_row_comes_once_and_skipping_changes_nothing(lengths, size, skip):
    batches = RowBatches(lengths, [4, 8, 32], size, seed=3)
    found = list(batches.epoch(2))
    assert sorted(np.concatenate([batch.rows for batch in found])) == list(range(len(lengths)))
    assert len(found) == batches.batches_per_epoch == len(list(batches.in_order()))
    assert all(lengths[row] <= batch.width for batch in found for row in batch.rows)
    rest = list(batches.epoch(2, skip))
    assert [batch.rows.tolist() for batch in rest] == [batch.rows.tolist() for batch in found[skip:]]
    assert [batch.number for batch in rest] == list(range(len(found)))[skip:]


def test_batches_are_padded_to_their_shape():
    (batch,) = RowBatches([2, 1], [4], 3).in_order()
    ids, exists = batch.padded([[5, 6], [7]], 9)
    assert ids.tolist() == [[5, 6, 9, 9], [7, 9, 9, 9], [9, 9, 9, 9]]
    assert exists.sum(axis=1).tolist() == [2, 1, 0]


def test_mask_token_includes_the_space_before_it():
    tokenizer = train_byte_tokenizer(["the cat sat"] * 5, 280, BERT_TOKENS)
    assert tokenizer.encode("the [MASK] sat").tokens[1:4] == ["the", "Ġ", "["]  # written out, it is text
    tokenizer.encode_special_tokens = False
    ids = tokenizer.encode("the [MASK] sat").ids
    assert len(ids) == len(tokenizer.encode("the cat sat").ids) == 5
    ids[2] = tokenizer.token_to_id("Ġcat")
    assert tokenizer.decode(ids) == "the cat sat"
