"""Several directions in one model: where pairs come from, which tokens ask for a language, and the scores."""

import gzip

import numpy as np
import pytest

import keras_attn
from keras_attn.data import BucketedBatches, DataError
from keras_attn.data.corpora.directions import has_directions, read_directed_table, read_directions
from keras_attn.device.text.translation_tokenizer import TranslationTokenizer
from keras_attn.training import TrainingError, TranslationConfig, load_run, train
from keras_attn.training.history import read_history
from keras_attn.training.progress import Silent

WORDS = ("one", "two", "three", "four", "five", "six")
LANGUAGES = {"en": str.lower, "xx": str.upper, "yy": lambda text: text[::-1]}
SIZES = {
    "model": "transformer",
    "vocabulary_size": 320,
    "max_tokens": 40,
    "boundaries": (40,),
    "batch_tokens": 640,
    "steps": 2,
    "warmup": 1,
    "evaluations": 1,
    "validation_sentences": 6,
    "average": 0,
    "dropout": 0.0,
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    for split, rows in (("train", 30), ("validation", 4)):
        texts = [f"{WORDS[i % 6]} {WORDS[i // 6]} {split[0]}" for i in range(rows)]
        for code, write in LANGUAGES.items():
            (folder / f"{split}.{code}").write_text("".join(f"{write(text)}\n" for text in texts), "utf-8")
    return folder


def files(corpus):
    return {"train": str(corpus / "train"), "validation": str(corpus / "validation")}


class Notes(Silent):
    def __init__(self):
        self.rows = []

    def evaluated(self, row):
        self.rows.append(row)


@pytest.fixture(scope="module")
def run(corpus):
    config = TranslationConfig(**files(corpus), directions=("en-xx", "xx-en", "en-yy"), **SIZES)
    return load_run(train(config, corpus / "run").folder)


# ---- where pairs come from ----


def test_each_direction_reads_its_files(corpus):
    found = read_directions(["en-xx", "yy-en"], data=None, **files(corpus))
    assert [(each.source_language, each.target_language) for each in found] == [("en", "xx"), ("yy", "en")]
    assert found[0].train[0] == ("one one t", "ONE ONE T")
    assert found[1].validation[0] == ("v eno eno", "one one v")


def test_the_third_column_names_the_direction_or_the_target(tmp_path):
    path = tmp_path / "pairs.tsv.gz"
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.write("a\tA\ten-xx\nA\ta\txx-en\nb\tB\ten-xx\nc\tC\tyy\n")
    assert has_directions(path)
    found = {
        (each.source_language, each.target_language): each.train for each in read_directed_table(str(path))
    }
    assert found == {
        ("en", "xx"): [("a", "A"), ("b", "B")],
        ("xx", "en"): [("A", "a")],
        ("und", "yy"): [("c", "C")],
    }
    named = read_directed_table(str(path), source_language="zz")
    assert (named[2].source_language, named[2].target_language) == ("zz", "yy")


def test_what_is_no_direction_is_refused(corpus, tmp_path):
    table = tmp_path / "pairs.tsv"
    table.write_text("a\tA\ten-xx\nb\tB\n", "utf-8")
    with pytest.raises(DataError, match=r"pairs\.tsv, line 2: .*2 fields"):
        read_directed_table(str(table))
    other = tmp_path / "other.tsv"
    table.write_text("a\tA\ten-xx\n", "utf-8")
    other.write_text("a\tA\txx-en\n", "utf-8")
    with pytest.raises(DataError, match=r"pairs of xx-en, of which .* has none"):
        read_directed_table(str(table), str(other))
    for directions, message in (
        (["en"], "'en' is not a direction"),
        (["en-en"], "'en-en' is not a direction"),
        (["en-xx", "en-xx"], "given twice"),
        (["en-zz"], r"train\.zz"),
    ):
        with pytest.raises(DataError, match=message):
            read_directions(directions, data=None, **files(corpus))
    with pytest.raises(DataError, match="third column"):
        read_directions(["en-xx"], data=None, train=str(table))
    with pytest.raises(DataError, match="dates has one direction"):
        read_directions(["en-xx"], data="dates", train=None)
    with pytest.raises(TrainingError, match="leave `source_language`"):
        TranslationConfig(**files(corpus), directions=("en-xx",), source_language="en")


# ---- what is trained ----


def test_batches_begin_and_end_each_example_as_its_direction_does():
    pairs = [([5, 6], [7]), ([8], [9, 9])]
    batches = BucketedBatches(
        pairs,
        start_id=np.array([1, 2], np.int32),
        end_id=3,
        source_end_ids=np.array([11, 12], np.int32),
        pad_id=0,
        boundaries=(4,),
    )
    (batch,) = batches.epoch(0)
    rows = {tuple(row) for row in np.concatenate([batch.source_ids, batch.decoder_ids, batch.target_ids], 1)}
    assert rows - {(0,) * 12} == {
        (5, 6, 11, 0, 1, 7, 0, 0, 7, 3, 0, 0),
        (8, 12, 0, 0, 2, 9, 9, 0, 9, 9, 3, 0),
    }


def test_a_source_begins_with_the_token_of_its_target(run):
    template = run.config["text_template"]
    codes = template["languages"]
    assert sorted(codes) == ["en", "xx", "yy"] and template["before"] == ["target"]
    assert run.tokenizer.tokenizer.id_to_token(codes["yy"]) == ">>yy<<"
    assert run.model.vocabulary_size == run.tokenizer.tokenizer.get_vocab_size() <= 320
    # A text that spells the token does not ask for the language.
    assert codes["yy"] not in run.tokenizer.encode(">>yy<< one")


def test_each_direction_is_scored_and_kept(run):
    (row,) = read_history(run.folder)
    ways = ["en-xx", "xx-en", "en-yy"]
    assert run.config["directions"] == ways
    each = [row[f"bleu {way}"] for way in ways]
    assert row["bleu"] == pytest.approx(sum(each) / 3, abs=0.01)
    assert [example[2] for example in run.validation] == [way for way in ways for _ in range(4)]


def test_a_run_of_several_directions_is_asked_for_one(run):
    translator = keras_attn.load(run.folder, task="translation")
    assert isinstance(translator.tokenizer, TranslationTokenizer)
    assert translator.languages == ("en", "xx", "yy")
    with pytest.raises(keras_attn.KerasAttnError, match="target: name one"):
        translator.translate("one two")
    found = translator.translate("one two", source="en", target="yy", max_length=5)
    codes = run.config["text_template"]["languages"]
    direction = translator.tokenizer.between(None, "yy")
    assert direction.encode("one two")[0] == codes["yy"]
    assert len(found.outputs) == 1
    with pytest.raises(keras_attn.KerasAttnError, match="zz"):
        translator.translate("one", target="zz")


def test_a_bundle_is_proven_in_the_chosen_direction(run, tmp_path):
    """Its held-out pairs are of that direction only."""
    from keras_attn.sources.find_source import find_source

    first = find_source(run.folder)
    assert first.languages == {"source": "en", "target": "xx"}
    assert [pair[1] for pair in first.pairs][:1] == ["ONE ONE V"] and len(first.pairs) == 4
    other = find_source(run.folder, languages={"source": "en", "target": "yy"})
    assert other.pairs[0] == ("one one v", "v eno eno")
    assert other.tokenizer.to_language == "yy" and other.template.default_target is None
