"""Folders of every accepted tokenizer class, old files and tokenizer.json, give transformers' ids."""

import json
import shutil

import pytest
from hard_texts import hard_texts
from tiny_pieces import ENGLISH, sentences, train
from tokenizers import BertWordPieceTokenizer, ByteLevelBPETokenizer

from keras_attn import pretrained

pytestmark = pytest.mark.parity

TEXTS = [
    *hard_texts([], 40),
    "A girl climbs into a wooden playhouse, doesn't she?",
    "Mädchen klettern gern über  Zäune.\n",
]
WORDS = ["<mask>", "``covid''", "</s>", "<s>NOTUSED", "covid", "[E1]", "<ent>", "New York", "[MASK]", "Ünï"]


def bert_files(folder):
    trainer = BertWordPieceTokenizer(lowercase=False)
    trainer.train_from_iterator(TEXTS * 2, vocab_size=400, min_frequency=1, show_progress=False)
    words = sorted(trainer.get_vocab(), key=trainer.get_vocab().get)
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    return len(words)


def gpt2_files(folder):
    trainer = ByteLevelBPETokenizer()
    trainer.train_from_iterator(
        TEXTS, vocab_size=400, min_frequency=1, show_progress=False, special_tokens=["<|endoftext|>"]
    )
    trainer.save_model(str(folder))
    return trainer.get_vocab_size()


def big_bird_files(folder):
    pytest.importorskip("sentencepiece")
    numbers = {"pad_id": 0, "eos_id": 1, "bos_id": 2, "unk_id": 100}
    symbols = ["[CLS]", "[SEP]", "[MASK]"]
    train(folder / "spiece.model", sentences(ENGLISH, 300), control_symbols=symbols, **numbers)
    import sentencepiece

    return sentencepiece.SentencePieceProcessor(model_file=str(folder / "spiece.model")).get_piece_size()


def roberta_files(folder):
    trainer = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer.train_from_iterator(
        TEXTS, vocab_size=400, min_frequency=1, show_progress=False, special_tokens=special
    )
    trainer.save_model(str(folder))
    return trainer.get_vocab_size()


def mpnet_files(folder):
    size = bert_files(folder)
    words = (folder / "vocab.txt").read_text("utf-8").splitlines()
    words = ["<s>", "<pad>", "</s>", *(word for word in words if word not in ("[PAD]", "[CLS]", "[SEP]"))]
    (folder / "vocab.txt").write_text("\n".join([*words, "<mask>"]) + "\n", encoding="utf-8")
    return size + 1


def piece_files(name, special, more=0, **options):
    """Return what writes a SentencePiece model of this name, to which a class adds `more` ids."""

    def write_pieces(folder):
        sentencepiece = pytest.importorskip("sentencepiece")
        train(folder / name, sentences(ENGLISH, 300), size=220, **special, **options)
        return sentencepiece.SentencePieceProcessor(model_file=str(folder / name)).get_piece_size() + more

    return write_pieces


FAIRSEQ = {"bos_id": 1, "eos_id": 2, "unk_id": 0}
BRACKETS = {
    "pad_id": 0, "bos_id": 2, "eos_id": 3, "unk_id": 1, "pad_piece": "<pad>", "unk_piece": "<unk>",
    "bos_piece": "[CLS]", "eos_piece": "[SEP]", "control_symbols": ["[MASK]"],
}  # fmt: skip
DEBERTA = {
    "pad_id": 0, "bos_id": 1, "eos_id": 2, "unk_id": 3, "pad_piece": "[PAD]", "unk_piece": "[UNK]",
    "bos_piece": "[CLS]", "eos_piece": "[SEP]", "user_defined_symbols": ["[MASK]"],
}  # fmt: skip
NMT = {"normalization_rule_name": "nmt_nfkc"}
FILES = {
    "ElectraTokenizer": bert_files,
    "RobertaTokenizer": roberta_files,
    "XLMRobertaTokenizer": piece_files("sentencepiece.bpe.model", FAIRSEQ, more=2, **NMT),
    "CamembertTokenizer": piece_files("sentencepiece.bpe.model", FAIRSEQ, more=5, **NMT),
    "MPNetTokenizer": mpnet_files,
    "AlbertTokenizer": piece_files("spiece.model", BRACKETS, **NMT),
    "DebertaV2Tokenizer": piece_files("spm.model", DEBERTA, **NMT),
    "BertTokenizer": bert_files,
    "DistilBertTokenizer": bert_files,
    "GPT2Tokenizer": gpt2_files,
    "BigBirdTokenizer": big_bird_files,
}
OPTIONS = {
    "ElectraTokenizer": [{}],
    "RobertaTokenizer": [{}, {"add_prefix_space": True, "trim_offsets": False}],
    "XLMRobertaTokenizer": [{}, {"add_prefix_space": False}],
    "CamembertTokenizer": [{}],
    "MPNetTokenizer": [{}, {"do_lower_case": False, "mask_token": "<mask>"}],
    "AlbertTokenizer": [{}, {"do_lower_case": False, "keep_accents": True}],
    "DebertaV2Tokenizer": [{}, {"do_lower_case": True, "split_by_punct": True, "vocab_type": "spm"}],
    "BertTokenizer": [
        {},
        {"do_lower_case": False},
        {"strip_accents": False},
        {"do_lower_case": False, "strip_accents": True, "tokenize_chinese_chars": False},
    ],
    "DistilBertTokenizer": [{"do_lower_case": False}],
    "GPT2Tokenizer": [{}, {"add_prefix_space": True}],
    "BigBirdTokenizer": [{}],
}


def token(content, **flags):
    plain = {"lstrip": False, "rstrip": False, "single_word": False, "normalized": True, "special": False}
    return {"content": content, **plain, **flags}


def no_tokens(size):
    return {}


def added_file(size):
    return {"added_tokens.json": {"covid": size, "New York": size + 1}}


def added_special(size):
    further = {"additional_special_tokens": ["[E1]", "<ent>"]}
    return {"added_tokens.json": {"[E1]": size, "<ent>": size + 1}, "special_tokens_map.json": further}


def added_with_flags(size):
    tokens = [
        token("covid", single_word=True),
        token("New York", normalized=False),
        token("[E1]", special=True, normalized=False, lstrip=True),
        token("<ent>", special=True, normalized=False, rstrip=True),
        token("Ünï"),
    ]
    listed = {str(size + number): each for number, each in enumerate(tokens)}
    return {"tokenizer_config.json": {"added_tokens_decoder": listed}}


def further(size):
    return {
        "tokenizer_config.json": {
            "additional_special_tokens": ["[E1]", {"__type": "AddedToken", **token("<ent>", lstrip=True)}]
        }
    }


def newer(size):
    return {"tokenizer_config.json": {"extra_special_tokens": ["<ent>", "[E1]"]}}


def padding(size):
    return {"special_tokens_map.json": {"pad_token": token("[PAD]", normalized=True)}}


ADDED = [no_tokens, added_file, added_special, added_with_flags, further, newer, padding]
CASES = [
    (name, options, added)
    for name, several in OPTIONS.items()
    for number, options in enumerate(several)
    for added in (ADDED if not number else ADDED[:4])
    if name == "GPT2Tokenizer" or added is not padding
]


def named(case):
    name, options, added = case
    return "-".join([name, *map(str, options), added.__name__])


def write(folder, name, options, added):
    size = FILES[name](folder)
    files = {"tokenizer_config.json": {}, **added(size)}
    files["tokenizer_config.json"] |= {"tokenizer_class": name, **options}
    for file, content in files.items():
        (folder / file).write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def theirs(name, folder):
    transformers = pytest.importorskip("transformers")
    return getattr(transformers, name).from_pretrained(str(folder))


def assert_same(ours, reference, words=WORDS, count=300):
    texts = hard_texts(words, count)
    assert len(texts) > count
    for text in texts:
        expected = reference(text)["input_ids"]
        assert ours.encode(text).ids == expected, ascii(text)
        assert ours.decode(expected, skip_special_tokens=False) == reference.decode(
            expected, clean_up_tokenization_spaces=False
        )
        assert ours.decode(expected) == reference.decode(
            expected, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
    found, expected = ours.encode("A covid word", "[E1] two"), reference("A covid word", "[E1] two")
    assert found.ids == expected["input_ids"]
    if "token_type_ids" in expected:
        assert found.type_ids == expected["token_type_ids"]
    assert found.offsets == reference._tokenizer.encode("A covid word", "[E1] two").offsets


@pytest.mark.parametrize("case", CASES, ids=named)
def test_older_and_newer_files_return_the_same_ids(case, tmp_path):
    name, options, added = case
    write(tmp_path, *case)
    reference = theirs(name, tmp_path)
    count = 300 if options or added is not no_tokens else 1000
    assert_same(pretrained.load_tokenizer(tmp_path), reference, count=count)
    saved = tmp_path / "saved"
    reference.save_pretrained(str(saved))
    assert (saved / "tokenizer.json").is_file()
    assert_same(pretrained.load_tokenizer(saved), reference)


@pytest.mark.parametrize("added", [no_tokens, added_with_flags], ids=lambda added: added.__name__)
def test_xlm_roberta_s_tokenizer_gives_its_ids(added, tmp_path):
    """Multilingual MiniLM and E5 are BERTs with it."""
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("sentencepiece")
    train(tmp_path / "sentencepiece.bpe.model", sentences(ENGLISH, 300), size=220)
    config = {"tokenizer_class": "XLMRobertaTokenizer", "do_lower_case": True, "sp_model_kwargs": {}}
    first = transformers.XLMRobertaTokenizer.from_pretrained(str(tmp_path))
    config |= added(len(first)).get("tokenizer_config.json", {})
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    reference = transformers.XLMRobertaTokenizer.from_pretrained(str(tmp_path))
    reference.save_pretrained(str(tmp_path / "saved"))
    ours = pretrained.load_tokenizer(tmp_path / "saved")
    assert_same(ours, reference)
    again = transformers.AutoTokenizer.from_pretrained(str(tmp_path / "saved"))
    assert_same(ours, again)


def test_tokenizer_file_with_truncation_and_padding_returns_all_ids(tmp_path):
    write(tmp_path, "BertTokenizer", {}, no_tokens)
    reference = theirs("BertTokenizer", tmp_path)
    ours = pretrained.load_tokenizer(tmp_path)
    ours.enable_truncation(5)
    ours.enable_padding(length=9)
    ours.save(str(tmp_path / "tokenizer.json"))
    assert_same(pretrained.load_tokenizer(tmp_path), reference)


def test_stale_tokenizer_file_gets_tokens_of_older_files(tmp_path):
    """As in transformers, which adds what tokenizer.json lacks."""
    write(tmp_path, "BertTokenizer", {}, no_tokens)
    theirs("BertTokenizer", tmp_path).save_pretrained(str(tmp_path / "saved"))
    size = len((tmp_path / "vocab.txt").read_text("utf-8").splitlines())
    config = {"tokenizer_class": "PreTrainedTokenizerFast"}
    (tmp_path / "saved/tokenizer_config.json").write_text(json.dumps(config), "utf-8")
    (tmp_path / "saved/added_tokens.json").write_text(json.dumps({"covid": size}), "utf-8")
    reference = theirs("PreTrainedTokenizerFast", tmp_path / "saved")
    assert size in reference("covid")["input_ids"]
    assert_same(pretrained.load_tokenizer(tmp_path / "saved"), reference)
    shutil.rmtree(tmp_path / "saved")
