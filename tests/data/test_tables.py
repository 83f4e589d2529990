"""Text files, tables, labelled rows and what is held out of them: as they are written, or refused by name."""

import csv
import gzip
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_attn.data.errors import DataError
from keras_attn.data.readers.labelled import find_classes, lookalikes, read_labelled
from keras_attn.data.readers.paragraphs import read_paragraphs
from keras_attn.data.readers.parallel import read_pairs
from keras_attn.data.readers.tables import read_rows
from keras_attn.data.readers.text_files import read_lines, read_text, recorded_files
from keras_attn.data.splits import hold_out
from keras_attn.training import ClassificationConfig, TranslationConfig
from keras_attn.training.tasks.classification import load_splits
from keras_attn.training.tasks.translation import load_corpora

BOM = "\ufeff".encode()
FIELDS = st.text(st.sampled_from('ab "\t\n\r,;|1é\u2028\x85'), max_size=6)


def written(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


# ---- text files ----


def test_byte_order_marks_of_joined_files_are_removed(tmp_path):
    parts = [BOM + b"a\n", BOM + b"b\n"]
    assert read_lines(written(tmp_path, "a.txt.gz", b"".join(map(gzip.compress, parts)))) == ["a", "b"]
    assert read_lines(written(tmp_path, "a.txt", b"".join(parts))) == ["a", "b"]
    assert read_lines(written(tmp_path, "b.txt", BOM + BOM + "a\ufeffb".encode())) == ["a\ufeffb"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_end_as_they_do_on_any_system(tmp_path, end):
    text = end.join(["a b", "c\u2028d\x85e\x0bf\x0cg\x1ch", "", "i"]) + end
    path = written(tmp_path, "a.txt", text)
    assert read_lines(path) == ["a b", "c\u2028d\x85e\x0bf\x0cg\x1ch", "", "i"]
    assert read_paragraphs([path]) == ["a b", "c\u2028d\x85e\x0bf\x0cg\x1ch", "i"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a\nb".encode("utf-16"), "a.txt is UTF-16 or UTF-32"),
        ("a\nb".encode("utf-32"), "a.txt is UTF-16 or UTF-32"),
        ("a\nb".encode("utf-16-le"), "a.txt, line 1: there is a NUL character, as in UTF-16"),
        (b"a\nb\0c", "a.txt, line 2: there is a NUL"),
        (gzip.compress(b"a", mtime=0), r"a.txt is a gzip file; give it a name that ends in .gz"),
        (b"PK\x03\x04\x14\0", r"a.txt is a .zip or .xlsx file; write it as a text file"),
        (b"PAR1\x15", "a.txt is a Parquet file"),
        (b"a\nb\xff", "a.txt, line 2: byte 0xff is not UTF-8"),
    ],
)
def test_binary_files_are_refused_by_name(tmp_path, content, message):
    path = written(tmp_path, "a.txt", content)
    for read in (read_lines, lambda path: read_paragraphs([path]), lambda path: read_rows(path, "tab")):
        with pytest.raises(DataError, match=message):
            read(path)


def test_white_space_that_is_text_stays(tmp_path):
    path = written(tmp_path, "a.txt", "\u3000全角  \u00a0x \n")
    assert read_paragraphs([path]) == ["\u3000全角  \u00a0x"]


def test_files_that_were_read_are_recorded(tmp_path):
    path, other = written(tmp_path, "a.txt", "a"), written(tmp_path, "b.txt", "b")
    with recorded_files() as found:
        read_text(path)
    read_text(other)
    assert list(found) == [str(path)] and len(found[str(path)]) == 64


# ---- tables ----


def of_pandas(rows, quoting=csv.QUOTE_MINIMAL):
    """Return what `DataFrame.to_csv(sep="\\t", index=False)` writes: it uses the csv module."""
    lines = io.StringIO()
    csv.writer(lines, delimiter="\t", quoting=quoting, lineterminator="\n").writerows(rows)
    return lines.getvalue()


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
def test_tables_of_csv_writers_are_read_with_their_quotes(tmp_path, quoting):
    rows = [["text", "label"], ['He said "hi".', "a"], ["two\nlines", "b"], ["a\ttab", "c"], ["plain", "7"]]
    path = written(tmp_path, "t.tsv", of_pandas(rows, quoting))
    assert [row for _, row in read_rows(path)] == rows
    assert [line for line, _ in read_rows(path)] == [1, 2, 4, 5, 6]
    excel = written(tmp_path, "e.tsv", 'text\tlabel\n"one, two"\ta\n"three ""four"""\tb\n')
    assert [row for _, row in read_rows(excel)][1:] == [["one, two", "a"], ['three "four"', "b"]]
    windows = written(tmp_path, "w.tsv", of_pandas(rows[:2], quoting).replace("\n", "\r\n"))
    assert [row for _, row in read_rows(windows)] == rows[:2]


@pytest.mark.parametrize(
    "rows",
    [
        [['"so, he said', "a"], ["text", "b"]],
        [['"Hello."', "Bonjour."], ["text", "b"]],
        [['"I am here', "a"], ['and there"', "b"]],
        [['a "b" c', "a"], ['""', "b"]],
        [['5"', "a"], ['6"', "b"]],
    ],
)
def test_quotes_of_plain_tables_are_text(tmp_path, rows):
    path = written(tmp_path, "t.tsv", "".join("\t".join(row) + "\n" for row in rows))
    assert [row for _, row in read_rows(path)] == rows
    assert read_pairs(path) == [tuple(row) for row in rows]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(FIELDS, FIELDS), min_size=1, max_size=4), st.sampled_from([",", ";", "|", "tab"]))
def test_quoted_fields_round_trip(tmp_path_factory, rows, delimiter):
    rows = [list(row) for row in rows]
    lines = io.StringIO()
    character = {"tab": "\t"}.get(delimiter, delimiter)
    csv.writer(lines, delimiter=character, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)
    path = written(tmp_path_factory.mktemp("tables"), "t.txt", lines.getvalue())
    assert [row for _, row in read_rows(path, delimiter)] == rows


def test_fields_of_any_length(tmp_path):
    before = csv.field_size_limit()
    long = "word " * 60_000
    path = written(tmp_path, "t.csv", f"text,label\n{long},a\nx,b\n")
    assert len(read_labelled(path).texts[0]) == len(long.strip())
    assert csv.field_size_limit() == before


@pytest.mark.parametrize("delimiter", [";", "|", "\t", "tab", r"\t", ","])
def test_delimiters(tmp_path, delimiter):
    character = delimiter if len(delimiter) == 1 else "\t"
    content = f'label{character}text\na{character}"one, ""two""; three | four"\n'
    found = read_labelled(written(tmp_path, "t.csv", content), delimiter=delimiter)
    assert found.texts == ['one, "two"; three | four']


@pytest.mark.parametrize("delimiter", ["", "::", '"', "\n"])
def test_invalid_delimiters_are_refused(tmp_path, delimiter):
    with pytest.raises(DataError, match="is not one character"):
        read_labelled(written(tmp_path, "t.csv", "text,label\n"), delimiter=delimiter)


# ---- labelled rows ----


NUMBERS = {"text_column": "2", "label_column": "1"}


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("text;label\na;b\n", {}, "line 1: .* among text;label; perhaps the delimiter is ';'"),
        ("a;b\n", {"text_column": "2", "label_column": "1"}, "line 1: .*; perhaps the delimiter is ';'"),
        ("text,label\na, and b,c\n", {}, "line 2: the row has 3 fields, but the first row has 2; put"),
        ("text,label,text\na,b,c\n", {}, "line 1: there are 2 columns 'text'"),
        ("text,label\na,b\ntext,label\nc,d\n", {}, "line 3: the header is repeated"),
        ("label,text\na,x\nb,y\na,z\n", NUMBERS, "line 1: no other row has the label 'label'; .*--header"),
        ("label,text\na,x\n", {**NUMBERS, "known": ("a", "b")}, "no other row has the label 'label'"),
        ("a,x\nb,y\na,z\n", {**NUMBERS, "header": True}, "line 1: 'a' is a class, so this row is not a"),
        ("a,x\n", {"header": False}, "without a header, columns are numbers"),
    ],
)
def test_ambiguous_files_are_refused(tmp_path, content, options, message):
    with pytest.raises(DataError, match=message):
        read_labelled(written(tmp_path, "t.csv", content), **options)


def test_header_with_numbered_columns_needs_an_option(tmp_path):
    path = written(tmp_path, "t.csv", "label,text\na,x\nb,y\na,z\n")
    assert read_labelled(path, **NUMBERS, header=True).labels == ["a", "b", "a"]
    assert read_labelled(path, **NUMBERS, header=False).labels == ["label", "a", "b", "a"]
    path = written(tmp_path, "u.csv", "a,x\nb,y\na,z\n")
    assert read_labelled(path, **NUMBERS).labels == ["a", "b", "a"]
    path = written(tmp_path, "v.csv", "b,x\na,y\n")
    assert read_labelled(path, **NUMBERS, known={"a": 0, "b": 1}).labels == ["b", "a"]


def test_texts_are_as_written_but_for_tabs_and_line_ends(tmp_path):
    path = written(tmp_path, "t.csv", 'text,label\n"a\u00a0b  c\r\nd\te\u3000",  x \n')
    found = read_labelled(path)
    assert (found.texts, found.labels) == (["a\u00a0b  c d e\u3000"], ["x"])


def test_messages_list_few_of_many_classes(tmp_path):
    many = read_labelled(
        written(tmp_path, "t.csv", "text,label\n" + "".join(f"x,{i}\n" for i in range(3000)))
    )
    _, classes = find_classes(many)
    with pytest.raises(DataError, match=r"is not one of 0, 1, .* and 2988 more") as caught:
        read_labelled(written(tmp_path, "u.csv", "text,label\nx,other\n")).numbers(classes)
    assert len(str(caught.value)) < 300


def test_labels_that_look_alike_and_texts_with_several_are_counted(tmp_path):
    assert lookalikes(["01", "1", "Sports", "sports", "a b", "c"]) == [("01", "1"), ("Sports", "sports")]
    assert lookalikes(["caf\u00e9", "cafe\u0301", "9" * 5000]) == [("caf\u00e9", "cafe\u0301")]
    found = read_labelled(written(tmp_path, "t.csv", "text,label\nx,a\nx,b\nx,a\ny,a\ny,a\nz,b\n"))
    assert found.contradictions == 1


def test_tables_as_spreadsheets_and_people_write_them(tmp_path):
    def texts_of(name, content, **options):
        found = read_labelled(written(tmp_path, name, content), **options)
        return found.texts, found.labels

    both = (["a, b", "c"], ["x", "y"])
    assert texts_of("t.csv", 'label, text\nx, "a, b"\ny, "c"\n') == both
    assert texts_of("t.csv", 'label, text\nx, "Yes" he said\n') == (['"Yes" he said'], ["x"])
    assert texts_of("t.csv", "\ufeffsep=;\r\ntext;label\r\na, b;x\r\nc;y\r\n", delimiter=";") == both
    assert texts_of("t.csv", 'sep=,\ntext,label\n"a, b",x\nc,y\n') == both
    assert texts_of("T.TSV", "text\tlabel\na, b\tx\nc\ty\n") == both
    assert texts_of("T.CSV.GZ", gzip.compress(b'text,label\n"a, b",x\nc,y\n')) == both
    assert read_pairs(written(tmp_path, "P.TSV", "a\tb\n")) == [("a", "b")]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", "sep=;\ntext;label\na;x\n", "line 1: the delimiter is ';': --delimiter ';'"),
        ("t.csv", 'text;label\n"a;b";x\n', "line 2: the row cannot be read .* --delimiter"),
        ("t.jsonl", '{"text": "a", "label": "x"}\n', r"t.jsonl is JSON; write it as a .csv or .tsv file"),
    ],
)
def test_tables_of_another_kind_are_named(tmp_path, name, content, message):
    with pytest.raises(DataError, match=message):
        read_labelled(written(tmp_path, name, content))


def test_numeric_header_is_not_a_class(tmp_path):
    path = written(tmp_path, "t.csv", "0,1\na,x\nb,y\n")  # pandas, of columns without names
    with pytest.raises(DataError, match="line 1: no other row has the label '1'"):
        read_labelled(path, "1", "2")
    assert read_labelled(path, "1", "2", header=True).labels == ["x", "y"]


def test_numbers_of_any_length_are_classes(tmp_path):
    found = read_labelled(written(tmp_path, "t.csv", f"text,label\na,{'9' * 5000}\nb,10\nc,9\nd,z\n"))
    assert find_classes(found)[0] == ["9", "10", "9" * 5000, "z"]


# ---- what is held out ----


def test_class_with_one_shared_text_keeps_it():
    texts = [*range(20), *range(20)]
    for shared in range(20):  # each of them is held out for some class of all
        classes = ["often"] * 20 + ["rare" if text == shared else "often" for text in range(20)]
        kept, held_out = hold_out(texts, 10, classes)
        assert "rare" in {classes[row] for row in kept} and len(held_out) == 20


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 4)), min_size=1, max_size=80), st.integers(1, 20)
)
def test_held_out_texts_are_disjoint_and_keep_every_class(rows, wanted):
    texts, classes = zip(*rows, strict=True)
    kept, held_out = hold_out(texts, wanted, classes)
    assert sorted(kept + held_out) == list(range(len(rows)))
    assert not {texts[row] for row in kept} & {texts[row] for row in held_out}
    assert len({texts[row] for row in held_out}) <= wanted
    assert {classes[row] for row in kept} == set(classes)
    assert (kept, held_out) == hold_out(texts, wanted, classes)


def test_every_class_is_held_out_in_proportion():
    classes = ["often"] * 700 + ["seldom"] * 300
    _, held_out = hold_out(range(1000), 100, classes)
    assert [sum(classes[row] == name for row in held_out) for name in ("often", "seldom")] == [70, 30]


def test_a_class_of_one_row_is_trained_on(tmp_path):
    rows = "".join(f"text {i},{'even' if i % 2 else 'odd'}\n" for i in range(30)) + "alone,rare\n"
    for place in ("first", "last"):
        content = f"text,label\n{'alone,rare' if place == 'first' else ''}\n{rows}"
        splits = load_splits(ClassificationConfig(train=str(written(tmp_path, "t.csv", content))))
        assert "rare" in splits.labels and "rare" in splits.train.labels
        assert len(splits.held_out) == 3 and "rare" not in splits.held_out.labels


def test_too_few_texts_to_hold_out_are_reported(tmp_path):
    path = written(tmp_path, "t.csv", "text,label\n" + "".join(f"x,{label}\n" for label in "abababab"))
    with pytest.raises(
        DataError, match=r"t\.csv has 1 different texts in 2 classes: too few.*validation file"
    ):
        load_splits(ClassificationConfig(train=str(path)))


def test_pairs_with_one_source_stay_together(tmp_path):
    rng = np.random.default_rng(0)
    lines = "".join(f"source {rng.integers(40)}\ttarget {number}\n" for number in range(400))
    path = written(tmp_path, "t.tsv", lines)
    (corpus,) = load_corpora(TranslationConfig(train=str(path)))
    sides = [{source for source, _ in pairs} for pairs in (corpus.train, corpus.validation)]
    assert sides[1] and not sides[0] & sides[1]
    assert len(corpus.train) + len(corpus.validation) == 400
