"""SentencePiece tokenizers of folders: published ids, and what is wrong with a folder."""

import json
import shutil
from pathlib import Path

import pytest

from keras_attn import pretrained
from keras_attn.device.errors import TextTooLong
from keras_attn.device.text.pair_tokenizer import PairTokenizer
from keras_attn.device.text.sentences import fit_text
from keras_attn.pretrained import PretrainedError

GOLDEN = Path(__file__).parents[1] / "golden"


def expected(name):
    return json.loads((GOLDEN / name / "expected.json").read_text(encoding="utf-8"))


def pair(folder):
    source, target = (pretrained.load_tokenizer(folder, target=side) for side in (False, True))
    vocabulary = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    pad = vocabulary["<pad>"]
    special_ids = {"pad": pad, "start": pad, "end": 0, "unknown": 1}
    return PairTokenizer(source, special_ids, target, len(vocabulary))


@pytest.mark.parametrize("name", ["marian-pieces", "marian-pairs"])
def test_texts_become_marian_s_ids_and_come_back(name):
    folder = GOLDEN / name
    tokenizer, target = pair(folder), pretrained.load_tokenizer(folder, target=True)
    seen = set()
    for text, source_ids, target_ids, decoded in expected(name):
        assert tokenizer.encode(text) == source_ids
        size = tokenizer.vocabulary_size
        assert [number if number < size else 1 for number in target.encode(text).ids] == target_ids
        assert tokenizer.decode(target_ids) == decoded
        # Ids of pieces that vocab.json lacks lie behind it, for the device to make unknown.
        found = tokenizer.tokenizer.encode(text, add_special_tokens=False).ids
        seen |= {number >= size for number in found}
    assert seen == {True, False}


def test_texts_become_big_bird_s_ids():
    tokenizer = pretrained.load_tokenizer(GOLDEN / "bigbird-pieces")
    for text, ids in expected("bigbird-pieces"):
        assert tokenizer.encode(text).ids == ids


def test_pieces_read_well_on_both_sides():
    tokenizer = pair(GOLDEN / "marian-pieces")
    code, *_ = tokenizer.encode(">>deu<< A dog")
    assert tokenizer.pieces([code, 0]) == [">>deu<<", "</s>"]
    # A piece of the other language has its name too.
    number = json.loads((GOLDEN / "marian-pieces/vocab.json").read_text(encoding="utf-8"))["▁Schnee"]
    assert tokenizer.pieces([number]) == tokenizer.target.pieces([number]) == ["Schnee"]


def test_each_part_of_a_long_text_gets_its_language_code():
    tokenizer = pair(GOLDEN / "marian-pieces")
    text = ">>deu<< A dog runs. Two men are watching. A dog."
    code = tokenizer.encode(text)[0]
    parts = fit_text(text, tokenizer, 14)
    assert len(parts) > 1
    assert all(ids[0] == code and ids[-1] == 0 and len(ids) <= 14 for _, ids, _ in parts)
    assert "".join(part + space for part, _, space in parts).strip() == text.removeprefix(">>deu<<").strip()
    assert fit_text(">>deu<<", tokenizer, 16) == [(">>deu<<", [code, 0], "")]
    with pytest.raises(TextTooLong):
        fit_text(">>deu<< " + "dog " * 40, tokenizer, 16)


@pytest.fixture
def folder(tmp_path):
    shutil.copytree(GOLDEN / "marian-pieces", tmp_path / "folder")
    return tmp_path / "folder"


def refused(folder, match, **options):
    with pytest.raises(PretrainedError, match=match):
        pretrained.load_tokenizer(folder, **options)


def test_missing_files_are_named_at_once(folder):
    (folder / "target.spm").unlink()
    (folder / "vocab.json").unlink()
    refused(folder, r"lacks target.spm, vocab.json: a MarianMT tokenizer consists of source.spm, target.spm")
    (folder / "source.spm").unlink()
    refused(folder, "has no tokenizer: neither tokenizer.json")
    (folder / "config.json").write_text('{"model_type": "marian"}')
    refused(folder, "source.spm, target.spm and vocab.json are missing")


def test_a_vocabulary_must_match_the_model(folder):
    size = len(json.loads((folder / "vocab.json").read_text(encoding="utf-8")))
    pretrained.load_tokenizer(folder, vocabulary_size=size)
    for other in (size - 1, size + 1):
        refused(
            folder, f"{size} tokens, which does not match the model: it has {other}", vocabulary_size=other
        )
    (folder / "config.json").write_text(json.dumps({"vocab_size": 7}))
    refused(folder, "it has 7")


def test_a_vocabulary_must_be_one(folder):
    vocabulary = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    (folder / "vocab.json").write_text(json.dumps({**vocabulary, "x": 1000}))
    refused(folder, r"must give its \d+ tokens the ids 0 to")
    (folder / "vocab.json").write_text(json.dumps({"</s>": 0, "<unk>": 1}))
    refused(folder, "lacks the special tokens <pad>")
    (folder / "vocab.json").write_text("{")
    refused(folder, "vocab.json")


@pytest.mark.parametrize(
    "damage", [lambda b: b"", lambda b: b[:-9], lambda b: b"\xff" * 40, lambda b: b"{}" + b]
)
def test_a_broken_model_is_named(folder, damage):
    path = folder / "source.spm"
    path.write_bytes(damage(path.read_bytes()))
    refused(folder, r"source.spm is not a SentencePiece model, or a broken one: .*Copy it again")


def test_all_unsupported_options_are_reported_together(folder):
    options = {"sp_model_kwargs": {"enable_sampling": True}, "extra_special_tokens": ["<eop>"]}
    (folder / "tokenizer_config.json").write_text(json.dumps(options))
    refused(folder, r"sp_model_kwargs=(.|\n)*the added token .<eop>. is not supported")
    (folder / "tokenizer_config.json").write_text(json.dumps({"separate_vocabs": True}))
    refused(folder, "lacks target_vocab.json")
    vocabulary = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    swapped = {**vocabulary, "</s>": 1, "<unk>": 0}
    (folder / "target_vocab.json").write_text(json.dumps(swapped))
    refused(folder, "give </s>, <unk> different ids", target=True)
