"""Tokenizers of other libraries become ours, with the same ids, or are refused by name."""

import json
import random

import numpy as np
import pytest
from tokenizers import Tokenizer as RawTokenizer

from keras_attn.data import as_tokenizer, save_tokenizer, special_ids, train_tokenizer
from keras_attn.data.byte_tokenizer import BERT_TOKENS, GPT_TOKENS, train_byte_tokenizer
from keras_attn.device import EncoderTokenizer, PromptTokenizer, Tokenizer
from keras_attn.errors import ArgumentError, ArgumentTypeError

TEXTS = ["Ein Hund läuft.", "A dog runs!", "Der 2. Juni 2018"] * 4


def test_a_raw_tokenizer_and_its_file_become_a_translators(tmp_path):
    raw = train_tokenizer(TEXTS, 300)
    save_tokenizer(raw, tmp_path / "tokenizer.json")
    for given in (raw, tmp_path / "tokenizer.json", str(tmp_path / "tokenizer.json")):
        made = as_tokenizer(given)
        assert type(made) is Tokenizer and made.special_ids == special_ids(raw)
        assert made.decode(made.encode("Ein Hund!")) == "Ein Hund!"
        assert as_tokenizer(made, "classification") is made


def test_the_task_decides_the_kind():
    bert = as_tokenizer(train_byte_tokenizer(TEXTS, 300, BERT_TOKENS), "masked-lm")
    assert type(bert) is EncoderTokenizer
    assert bert.mask_token == "[MASK]" and bert.encode("a")[0] == bert.special_ids["start"]
    gpt = as_tokenizer(train_byte_tokenizer(TEXTS, 300, GPT_TOKENS), "generation")
    assert type(gpt) is PromptTokenizer and len(set(gpt.special_ids.values())) == 1


def test_a_special_token_of_another_name_is_named():
    raw = RawTokenizer.from_str(train_tokenizer(TEXTS, 300).to_str().replace("<bos>", "<go>"))
    with pytest.raises(ArgumentError, match=r"no special token for start .*as_tokenizer\(.*start=\.\.\."):
        as_tokenizer(raw)
    assert as_tokenizer(raw, start="<go>").special_ids["start"] == raw.token_to_id("<go>")
    with pytest.raises(ArgumentError, match="no token '<begin>', which `start` names"):
        as_tokenizer(raw, start="<begin>")
    with pytest.raises(ArgumentTypeError, match="not begin"):
        as_tokenizer(raw, begin="<go>")


def test_other_objects_are_refused_as_tokenizers():
    with pytest.raises(ArgumentTypeError, match="`tokenizer` is a dict: give"):
        as_tokenizer({"a": 1})


def text_vectorization(**options):
    keras = pytest.importorskip("keras")
    pytest.importorskip("tensorflow")
    layer = keras.layers.TextVectorization(**options)
    layer.adapt([*TEXTS, "it's a-b c_d İstanbul ÄRGER ärger"])
    return layer


def test_characters_of_a_text_vectorization_are_decoded_without_spaces():
    made = as_tokenizer(text_vectorization(split="character", standardize="lower"), "classification")
    assert made.decode(made.encode("It's a-b c_d ÄRGER")) == "it's a-b c_d Ärger"  # lower() of ASCII


def test_text_vectorization_has_the_same_ids_on_1000_texts():
    layer = text_vectorization()
    made = as_tokenizer(layer, "classification")
    draw = random.Random(0)
    alphabet = [
        "Ein",
        "hund",
        "RUNS",
        "läuft",
        "Ärger",
        "İstanbul",
        "it's",
        "2018",
        "[UNK]",
        "中文",
        "\u00a0",
        "\u2028",
    ]
    alphabet += list("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~ \t\n\x0b\x0c\r\x1f") + [" "] * 8
    texts = ["".join(draw.choices(alphabet, k=draw.randrange(12))) for _ in range(1000)]
    for text, ids in zip(texts, np.asarray(layer(texts)).tolist(), strict=True):
        expected = [number for number in ids if number]
        assert made.encode(text) == expected, repr(text)


@pytest.mark.parametrize("options", [{"ngrams": 2}, {"output_mode": "multi_hot"}])
def test_what_gives_no_id_a_word_is_refused_with_a_remedy(options):
    with pytest.raises(ArgumentError, match=f"`{next(iter(options))}` must be .* part of the model"):
        as_tokenizer(text_vectorization(**options), "classification")


def test_kerashubs_tokenizers_have_the_same_ids():
    hub = pytest.importorskip("keras_hub")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "ein", "hund", "##e", "!"]
    theirs = hub.tokenizers.BertTokenizer(vocabulary=words, lowercase=True)
    ours = as_tokenizer(theirs, "classification")
    assert ours.encode("Ein Hunde!")[1:-1] == np.asarray(theirs("Ein Hunde!")).tolist() == [5, 6, 7, 8]


def test_electras_tokenizer_has_the_ids_of_kerashub():
    hub = pytest.importorskip("keras_hub")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "ein", "Hund", "##e", "!"]
    theirs = hub.models.ElectraTokenizer(vocabulary=words)
    ours = as_tokenizer(theirs, "classification")
    assert ours.encode("ein Hunde! Ein") == [2, *np.asarray(theirs("ein Hunde! Ein")).tolist(), 3]


def test_robertas_tokenizer_has_the_ids_of_kerashub_and_packs_as_it_does():
    hub = pytest.importorskip("keras_hub")
    model = json.loads(train_byte_tokenizer(TEXTS, 300, GPT_TOKENS).to_str())["model"]
    pieces = [piece for piece in model["vocab"] if not piece.startswith("<|")]
    tokens = ["<s>", "<pad>", "</s>", "<unk>", *pieces, "<mask>"]
    theirs = hub.models.RobertaTokenizer(
        vocabulary={token: number for number, token in enumerate(tokens)},
        merges=[merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]],
    )
    ours = as_tokenizer(theirs, "classification")
    pack = hub.models.RobertaTextClassifierPreprocessor(theirs, sequence_length=64)
    draw = random.Random(0)
    alphabet = [*" \t\n.,!?'-", "Hund", "läuft", "dog", "中文", "é", "e\u0301", "\u00a0", "🙂", "1", "'s"]
    texts = ["".join(draw.choices(alphabet, k=draw.randrange(12))) for _ in range(300)]
    packed = {name: np.asarray(value) for name, value in pack(texts).items()}
    for text, ids, mask in zip(texts, packed["token_ids"], packed["padding_mask"], strict=True):
        assert ours.encode(text) == ids[mask.astype(bool)].tolist()
