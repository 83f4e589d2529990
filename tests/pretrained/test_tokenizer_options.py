"""Tokenizer folders: added tokens are read, and what is not known by name is refused."""

import json
import shutil
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from keras_attn import pretrained
from keras_attn.device.text.tokenizer import EncoderTokenizer, PromptTokenizer
from keras_attn.pretrained import PretrainedError
from keras_attn.pretrained.tokenizers.tokenizer_json import with_words

GOLDEN = Path(__file__).parents[1] / "golden"
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
BERT = [*SPECIAL, "was", "bad", "c", "##o", "##v", "##i", "##d", "e", "##1", "["]
GPT2 = ["<|endoftext|>", *"covidwasbE1[]", "Ġ", "Ġw", "Ġb"]
COVID = [len(BERT), 5, 6]


def write(folder, options=None, **files):
    if options is not None:
        files["tokenizer_config"] = options
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")


def bert(folder):
    (folder / "vocab.txt").write_text("\n".join(BERT) + "\n", encoding="utf-8")
    return folder


def gpt2(folder):
    folder.mkdir(exist_ok=True)
    numbers = {piece: number for number, piece in enumerate(GPT2)}
    (folder / "vocab.json").write_text(json.dumps(numbers), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\nĠ w\nĠ b\n", encoding="utf-8")
    return folder


def token(content, **flags):
    plain = {"lstrip": False, "rstrip": False, "single_word": False, "normalized": True, "special": False}
    return {"content": content, **plain, **flags}


def refused(folder, match):
    with pytest.raises(PretrainedError, match=match):
        pretrained.load_tokenizer(folder)


@pytest.mark.parametrize(
    "files",
    [
        {"added_tokens": {"covid": len(BERT)}},
        {"tokenizer_config": {"added_tokens_decoder": {str(len(BERT)): token("covid")}}},
        {"tokenizer_config": {"additional_special_tokens": ["covid"]}},
        {"tokenizer_config": {"extra_special_tokens": ["covid"]}},
        {"tokenizer_config": {"extra_special_tokens": {"virus_token": "covid"}}},
        {"special_tokens_map": {"additional_special_tokens": ["covid"]}},
        {"special_tokens_map": {"additional_special_tokens": [token("covid")]}},
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", [bert, gpt2])
def test_added_tokens_are_whole(files, kind, tmp_path):
    size = len(BERT) if kind is bert else len(GPT2)
    write(kind(tmp_path), **json.loads(json.dumps(files).replace(str(len(BERT)), str(size))))
    tokenizer = pretrained.load_tokenizer(tmp_path)
    assert tokenizer.token_to_id("covid") == size
    ids = tokenizer.encode("covid was bad").ids
    assert ids == ([2, *COVID, 3] if kind is bert else [size, *ids[1:]])
    with pytest.raises(PretrainedError, match=f"'covid' has the id {size}"):
        pretrained.load_tokenizer(tmp_path, vocabulary_size=size)


def test_added_tokens_of_pieces_are_whole(tmp_path):
    shutil.copy(GOLDEN / "bigbird-pieces/spiece.model", tmp_path)
    size = pretrained.load_tokenizer(tmp_path).get_vocab_size()
    write(tmp_path, added_tokens={"covid": size})
    tokenizer = pretrained.load_tokenizer(tmp_path)
    assert tokenizer.encode("covid").ids[1] == size
    write(tmp_path, {"tokenizer_class": "LlamaTokenizer"})
    refused(tmp_path, "'LlamaTokenizer' is not known here")


def test_marian_s_folders_have_no_added_tokens(tmp_path):
    for path in (GOLDEN / "marian-pieces").iterdir():
        shutil.copy(path, tmp_path)
    size = len(json.loads((tmp_path / "vocab.json").read_text("utf-8")))
    write(tmp_path, added_tokens={"covid": size})
    refused(tmp_path, "the added token 'covid' is not supported")
    write(tmp_path, added_tokens={}, special_tokens_map={"bos_token": "<s>"})
    refused(tmp_path, "not <s>")
    write(tmp_path, {"tokenizer_class": "M2M100Tokenizer"})
    refused(tmp_path, "'M2M100Tokenizer' is not known here")


def test_mismatching_added_token_id_is_refused(tmp_path):
    write(bert(tmp_path), added_tokens={"covid": 96})
    refused(tmp_path, f"'covid' has the id 96, but after this vocabulary it gets {len(BERT)}")


def test_flags_of_added_tokens_are_compared(tmp_path):
    listed = {str(len(BERT)): token("covid", single_word=True, normalized=False)}
    write(bert(tmp_path), {"added_tokens_decoder": listed})
    tokenizer = pretrained.load_tokenizer(tmp_path)
    assert tokenizer.encode("covid was", add_special_tokens=False).ids == [len(BERT), 5]
    for text in ("covids", "COVID"):
        assert len(BERT) not in tokenizer.encode(text).ids


def test_gpt2_with_its_own_padding_token(tmp_path):
    write(gpt2(tmp_path), added_tokens={"[PAD]": len(GPT2)}, special_tokens_map={"pad_token": "[PAD]"})
    tokenizer = pretrained.load_tokenizer(tmp_path)
    assert tokenizer.encode("[PAD]c").ids == [len(GPT2), 1]


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (bert, "BertJapaneseTokenizer"),
        (bert, "FunnelTokenizer"),
        (bert, "PreTrainedTokenizerFast"),
        (gpt2, "BlenderbotTokenizer"),
        (gpt2, "LlamaTokenizerFast"),
    ],
)
@pytest.mark.parametrize("file", ["tokenizer_config", "config"])
def test_other_classes_are_refused_by_name(kind, name, file, tmp_path):
    write(kind(tmp_path), **{file: {"tokenizer_class": name}})
    refused(tmp_path, f"tokenizer_class '{name}' is not known here.*PreTrainedTokenizerFast")


@pytest.mark.parametrize(
    "options",
    [
        {"word_tokenizer_type": "mecab"},
        {"subword_tokenizer_type": "character"},
        {"mecab_kwargs": {"mecab_dic": "unidic_lite"}},
        {"do_basic_tokenize": False},
        {"never_split": ["covid"]},
        {"do_lower_case": "no"},
        {"strip_accents": 1},
        {"split_special_tokens": True},
        {"auto_map": {"AutoTokenizer": ["tokenization_own.Own", None]}},
        {"wordpieces_prefix": "@@"},
        {"keep_accents": True},
        {"image_token": "<image>"},
        {"added_tokens_decoder": {"x": token("covid")}},
        {"added_tokens_decoder": {"15": "covid"}},
        {"added_tokens_decoder": ["covid"]},
        {"additional_special_tokens": [7]},
        {"cls_token": 7},
    ],
    ids=str,
)
def test_other_options_are_refused_by_name(options, tmp_path):
    write(bert(tmp_path), options)
    name = next(iter(options))
    tokens = ("added_tokens_decoder", "additional_special_tokens", "cls_token")
    refused(tmp_path, "tokens cannot be read" if name in tokens else f"option {name}=")


@pytest.mark.parametrize(
    "options",
    [
        {"add_bos_token": True},
        {"add_eos_token": True},
        {"errors": "ignore"},
        {"do_lower_case": True},
        {"sp_model_kwargs": {"enable_sampling": True}},
    ],
    ids=str,
)
def test_other_options_of_byte_pairs_are_refused_by_name(options, tmp_path):
    write(gpt2(tmp_path), options)
    refused(tmp_path, f"option {next(iter(options))}=")


def test_all_unknown_options_are_reported_together(tmp_path):
    write(bert(tmp_path), {"tokenizer_class": "OwnTokenizer", "one": 1, "two": 2, "never_split": None})
    refused(tmp_path, r"OwnTokenizer(.|\n)*option one=1(.|\n)*option two=2")


def test_usual_options_are_ignored(tmp_path):
    bert(tmp_path)
    plain = pretrained.load_tokenizer(tmp_path).to_str()
    usual = {
        **{"tokenizer_class": "BertTokenizerFast", "model_max_length": 512, "padding_side": "right"},
        **{"do_basic_tokenize": True, "never_split": None, "clean_up_tokenization_spaces": True},
        **{
            "name_or_path": "x",
            "special_tokens_map_file": None,
            "tokenizer_file": None,
            "do_lower_case": True,
        },
        **{"cls_token": "[CLS]", "max_length": 128, "stride": 0, "truncation_strategy": "longest_first"},
        **{"additional_special_tokens": [], "auto_map": None, "sp_model_kwargs": {}, "strip_accents": None},
    }
    write(tmp_path, usual, special_tokens_map={"mask_token": token("[MASK]", normalized=False)})
    assert pretrained.load_tokenizer(tmp_path).to_str() == plain


def as_file(folder, change=lambda layout: None):
    """Write tokenizer.json of the old files, changed."""
    layout = json.loads(pretrained.load_tokenizer(bert(folder)).to_str())
    change(layout)
    (folder / "tokenizer.json").write_text(json.dumps(layout), encoding="utf-8")


@pytest.mark.parametrize(
    ("part", "field", "value", "message"),
    [
        ("normalizer", "lowercase", False, "its normalizer has lowercase=False, but a BertTokenizer .* True"),
        ("normalizer", "strip_accents", True, "strip_accents=True, but a BertTokenizer .* None"),
        ("normalizer", "handle_chinese_chars", False, "handle_chinese_chars=False"),
        ("normalizer", "type", "NFC", "its normalizer is NFC"),
    ],
)
def test_tokenizer_json_must_agree_with_the_class(part, field, value, message, tmp_path):
    def change(layout):
        layout[part] = {"type": value} if field == "type" else {**layout[part], field: value}

    as_file(tmp_path, change)
    pretrained.load_tokenizer(tmp_path)
    for config in ({"tokenizer_class": "BertTokenizer"}, {"tokenizer_class": "DistilBertTokenizerFast"}, {}):
        write(tmp_path, config, config={"model_type": "bert"})
        refused(tmp_path, message.replace("BertTokenizer", "(Distil)?BertTokenizer"))
    write(tmp_path, {"tokenizer_class": "PreTrainedTokenizerFast"})
    pretrained.load_tokenizer(tmp_path)


def test_tokenizer_json_that_draws_its_merges_is_refused(tmp_path):
    tokenizer = Tokenizer(models.BPE({"a": 0, "b": 1, "ab": 2}, [("a", "b")], dropout=0.5))
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    refused(tmp_path, r"drops merges at random \(dropout=0.5\)")


def test_tokenizer_json_of_another_kind_is_refused(tmp_path):
    as_file(tmp_path)
    write(tmp_path, {"tokenizer_class": "GPT2Tokenizer"})
    refused(tmp_path, "its model is WordPiece, that of a GPT2Tokenizer BPE")


def test_a_prefix_space_must_agree(tmp_path):
    tokenizer = pretrained.load_tokenizer(gpt2(tmp_path))
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    write(tmp_path, {"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": True})
    refused(tmp_path, "add_prefix_space=False, but a GPT2Tokenizer with these options True")
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    pretrained.load_tokenizer(tmp_path)


def test_tokens_that_tokenizer_json_lacks_are_added(tmp_path):
    as_file(tmp_path)
    write(tmp_path, added_tokens={"covid": len(BERT)})
    assert pretrained.load_tokenizer(tmp_path).encode("covid was bad").ids == [2, *COVID, 3]
    write(tmp_path, added_tokens={"covid": 3})
    refused(tmp_path, "'covid' has the id 3")


def test_added_tokens_of_both_must_agree(tmp_path):
    write(bert(tmp_path), added_tokens={"covid": len(BERT)})
    as_file(tmp_path)
    (tmp_path / "added_tokens.json").unlink()
    listed = {str(len(BERT)): token("covid", lstrip=True)}
    write(tmp_path, {"tokenizer_class": "BertTokenizer", "added_tokens_decoder": listed})
    refused(tmp_path, "'covid' has lstrip=False, there it is True")
    listed = {"0": token("[PAD]", special=True, normalized=False)}
    write(tmp_path, {"tokenizer_class": "BertTokenizer", "added_tokens_decoder": listed})
    refused(tmp_path, "'covid' is not listed there")


def test_a_tokenizer_file_neither_cuts_nor_pads(tmp_path):
    tokenizer = pretrained.load_tokenizer(bert(tmp_path))
    tokenizer.enable_truncation(3)
    tokenizer.enable_padding(length=20)
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    assert pretrained.load_tokenizer(tmp_path).encode("was bad was bad").ids == [2, 5, 6, 5, 6, 3]


def test_further_special_tokens_are_read_in_a_bundle_s_texts(tmp_path):
    """A bundle takes special tokens that are written for text, but not those that are there to be written."""
    write(bert(tmp_path), {"additional_special_tokens": ["[E1]"]})
    tokenizer = with_words(pretrained.load_tokenizer(tmp_path))
    roles = {"pad": 0, "unknown": 1, "start": 2, "end": 3, "mask": 4}
    device = EncoderTokenizer(tokenizer, roles)
    assert device.encode("was [E1] bad") == [2, 5, len(BERT), 6, 3]
    assert not {0, 3, 4} & set(device.encode("was [SEP] [PAD] [MASK]")[1:-1])
    causal = pretrained.load_tokenizer(gpt2(tmp_path / "gpt2"))
    causal.add_special_tokens(["<|user|>"])
    prompts = PromptTokenizer(with_words(causal), dict.fromkeys(roles, 0))
    assert prompts.encode("<|user|>c") == [len(GPT2), 1]
    assert 0 not in prompts.encode("<|endoftext|>")
