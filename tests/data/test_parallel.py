"""Parallel text: what is read, what is refused and how it is said, and corpora by name."""

import doctest
import gzip

import pytest

from keras_attn.data.corpora import by_name as corpora
from keras_attn.data.errors import DataError
from keras_attn.data.readers import parallel


def write(path, text, encoding="utf-8"):
    data = text.encode(encoding) if isinstance(text, str) else text
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def refused(function, *arguments, saying=()):
    """The error's text; it must name everything in ``saying``, in one line."""
    with pytest.raises(DataError) as caught:
        function(*arguments)
    message = str(caught.value)
    assert "\n" not in message
    for part in saying:
        assert str(part) in message, message
    return message


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_a_prefix_with_dots_plain_or_gz(tmp_path, ending):
    write(tmp_path / f"train.lc.norm.tok.en{ending}", "a dog\na cat\n")
    write(tmp_path / f"train.lc.norm.tok.de{ending}", "ein hund\neine katze\n")
    prefix = tmp_path / "train.lc.norm.tok"
    assert parallel.read_prefix(prefix, "en", "de") == [("a dog", "ein hund"), ("a cat", "eine katze")]
    assert parallel.read_pairs(str(prefix), "de", "en")[1] == ("eine katze", "a cat")


def test_lines_end_at_newlines_only(tmp_path):
    text = "one\u2028still one\r\ntwo\x0cstill two\n\nlast without newline"
    lines = ["one\u2028still one", "two\x0cstill two", "", "last without newline"]
    assert parallel.read_lines(write(tmp_path / "a", text)) == lines
    assert parallel.read_lines(write(tmp_path / "b.gz", "\ufeff" + text)) == lines


@pytest.mark.parametrize("name", ["pairs.tsv", "pairs.tsv.gz"])
def test_tsv(tmp_path, name):
    path = write(tmp_path / name, "a\tb\nc d\te f\n")
    assert parallel.read_pairs(path) == [("a", "b"), ("c d", "e f")]


def test_a_missing_file_names_what_was_tried(tmp_path):
    write(tmp_path / "train.en", "a\n")
    refused(
        parallel.read_prefix,
        tmp_path / "train",
        "en",
        "de",
        saying=[tmp_path / "train.de", tmp_path / "train.de.gz"],
    )
    refused(parallel.read_tsv, tmp_path / "no.tsv", saying=[tmp_path / "no.tsv"])


def test_a_prefix_needs_languages(tmp_path):
    refused(parallel.read_pairs, tmp_path / "train", saying=["--source-language", "train"])


def test_unequal_line_counts_name_both(tmp_path):
    english, german = write(tmp_path / "t.en", "a\nb\nc\n"), write(tmp_path / "t.de", "a\nb\n")
    refused(
        parallel.read_prefix, tmp_path / "t", "en", "de", saying=[f"{english} has 3 lines", f"{german} has 2"]
    )


def test_empty_corpora_are_refused(tmp_path):
    for text in ("", "\n\n"):
        write(tmp_path / "t.en", text)
        write(tmp_path / "t.de", text)
        refused(
            parallel.read_prefix, tmp_path / "t", "en", "de", saying=["t.en", "t.de", "no sentence pairs"]
        )
    refused(parallel.read_tsv, write(tmp_path / "t.tsv", ""), saying=["t.tsv"])
    refused(
        parallel.read_parallel, write(tmp_path / "u.tsv", "a\t\n"), saying=["u.tsv"]
    )  # pairs, but none complete


@pytest.mark.parametrize("line, count", [("no tab", 1), ("a\tb\tc", 3), ("", 1)])
def test_a_tsv_line_without_two_fields_is_named(tmp_path, line, count):
    path = write(tmp_path / "t.tsv", f"a\tb\n{line}\nc\td\n")
    refused(parallel.read_tsv, path, saying=[f"{path}, line 2", f"{count} field"])


def test_bytes_that_are_not_utf8_are_named(tmp_path):
    path = write(tmp_path / "t.de", "gut\nschön\n", encoding="latin-1")
    refused(parallel.read_lines, path, saying=[f"{path}, line 2", "0xf6", "UTF-8"])


def test_a_damaged_archive_is_named(tmp_path):
    whole = gzip.compress(b"a line\n" * 1000)
    for name, data in [
        ("cut.gz", whole[:-20]),
        ("none.gz", b"plain text"),
        ("body.gz", whole[:12] + b"\xff" * 30),
    ]:
        (tmp_path / name).write_bytes(data)
        refused(parallel.read_lines, tmp_path / name, saying=[name, "gzip"])


def test_empty_sides_are_counted_in_training_and_kept_in_evaluation(tmp_path):
    train = write(tmp_path / "train.tsv", "a\tb\n\tc\nd\t \n\t\ne\tf\n")
    held_out = write(tmp_path / "dev.tsv", "a\t\n\tb\nc\td\n")
    corpus = parallel.read_parallel(train, held_out, source_language="en", target_language="de")
    assert corpus.train == [("a", "b"), ("e", "f")]
    assert corpus.skipped == {"empty source": 1, "empty target": 1, "both sides empty": 1}
    assert corpus.validation == [("a", ""), ("", "b"), ("c", "d")]
    assert corpus.test == []
    assert (corpus.source_language, corpus.target_language, corpus.name) == ("en", "de", "train.tsv")


def make_folder(folder, names):
    folder.mkdir()
    for name in names:
        write(folder / name, f"{name}\tx\n" if ".tsv" in name else f"{name}\n")
    return folder


def sources(corpus):
    return [[source for source, _ in split] for split in (corpus.train, corpus.validation, corpus.test)]


@pytest.mark.parametrize("validation", ["val", "dev", "valid", "validation"])
def test_a_folder(tmp_path, validation):
    names = [
        f"{split}.{language}" for split in ("train", validation, "test_2016") for language in ("en", "de")
    ]
    folder = make_folder(tmp_path / "corpus", [*names, "training_notes.en", "README.md"])
    corpus = parallel.read_folder(folder, "en", "de")
    assert sources(corpus) == [["train.en"], [f"{validation}.en"], ["test_2016.en"]]
    assert corpus.name == "corpus"


def test_a_folder_with_variants(tmp_path):
    stems = ["train", "val", "test_2016", "train.lc.tok", "val.lc.tok", "test_2016.lc.tok"]
    names = [f"{stem}.{language}.gz" for stem in stems for language in ("en", "de")]
    folder = make_folder(tmp_path / "corpus", names)
    assert sources(parallel.read_folder(folder, "en", "de"))[0] == ["train.en.gz"]
    processed = parallel.read_folder(folder, "en", "de", variant="lc.tok")
    assert sources(processed) == [["train.lc.tok.en.gz"], ["val.lc.tok.en.gz"], ["test_2016.lc.tok.en.gz"]]
    only = make_folder(tmp_path / "only", [name for name in names if ".lc." in name])
    assert sources(parallel.read_folder(only, "en", "de")) == sources(processed)
    refused(parallel.read_folder, folder, "en", "de", "bpe", saying=["lc.tok", "--train"])


def test_a_folder_of_tsv_files(tmp_path):
    folder = make_folder(tmp_path / "corpus", ["train.tsv", "dev.tsv.gz"])
    assert sources(parallel.read_folder(folder)) == [["train.tsv"], ["dev.tsv.gz"], []]


def test_ambiguous_folders_are_refused(tmp_path):
    several = make_folder(tmp_path / "several", ["train.tsv", "test_2016.tsv", "test_2017.tsv"])
    refused(parallel.read_folder, several, saying=["test_2016", "test_2017", "--test"])
    none = make_folder(tmp_path / "none", ["dev.en", "dev.de"])
    refused(parallel.read_folder, none, "en", "de", saying=[none, "train.en", "train.tsv"])
    unnamed = make_folder(tmp_path / "unnamed", ["train.en", "train.de"])
    refused(parallel.read_folder, unnamed, saying=["--source-language"])
    refused(parallel.read_folder, tmp_path / "nowhere", saying=["nowhere"])


def test_corpora_by_name(tmp_path):
    folder = make_folder(tmp_path / "corpus", ["train.en", "train.de"])
    corpus = corpora.load_corpus(folder, source_language="en", target_language="de")
    assert corpus.train == [("train.en", "train.de")]
    assert corpora.load_corpus(str(write(tmp_path / "p.tsv", "a\tb\n"))).train == [("a", "b")]


def test_dates_by_name_take_the_seed(monkeypatch):
    monkeypatch.setattr(corpora.dates, "generate", lambda seed: f"dates {seed}")
    assert corpora.load_corpus("dates", seed=3) == "dates 3"


@pytest.mark.parametrize("name", ["date", "multi30k", "multi30k-en-de", "train", "nowhere.tsv"])
def test_unknown_names_list_what_exists(name):
    refused(corpora.load_corpus, name, saying=[repr(name), "dates", "multi30k:en-de", "--train"])


def test_the_doc_example():
    assert doctest.testmod(parallel) == doctest.TestResults(failed=0, attempted=1)
