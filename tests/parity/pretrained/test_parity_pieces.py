"""SentencePiece tokenizers of folders give ids and texts of MarianTokenizer and BigBirdTokenizer."""

import random

import pytest
from tiny_pieces import ENGLISH, GERMAN, JAPANESE, sentences, texts, train, write_folder

from keras_attn import pretrained
from keras_attn.device.text.pair_tokenizer import PairTokenizer

pytestmark = pytest.mark.parity

# Languages of source and target, options of the source's model, and of the folder.
CASES = {
    "unigram": ("en", "de", {}, {}),
    "other characters": ("en", "ja", {}, {"codes": (">>fra<<", ">>deu<<")}),
    "few characters": ("ja", "de", {"character_coverage": 0.98}, {"codes": (">>fra<<",)}),
    "pieces left out": ("de", "ja", {}, {"drop": 60, "codes": (">>fra<<", ">>deu<<")}),
    "pairs": ("de", "ja", {"model_type": "bpe"}, {"drop": 20, "codes": (">>fra<<", ">>deu<<")}),
    "two vocabularies": ("en", "de", {}, {"separate": True, "drop": 10}),
    "no rules": ("de", "en", {"normalization_rule_name": "identity"}, {}),
    "symbols": ("de", "en", {"user_defined_symbols": ["ein", ">>fra<<"]}, {"codes": (">>deu<<",)}),
    "spaces as they are": ("de", "en", {"remove_extra_whitespaces": False, "add_dummy_prefix": False}, {}),
    "bytes": ("en", "de", {"byte_fallback": True, "size": 460}, {"drop": 5}),
    "across words": ("de", "en", {"split_by_whitespace": False}, {}),
}
WORDS = {"en": ENGLISH, "de": GERMAN, "ja": JAPANESE}


@pytest.fixture(scope="module", params=CASES)
def folder(request, tmp_path_factory):
    pytest.importorskip("sentencepiece")
    source, target, options, config = CASES[request.param]
    path = tmp_path_factory.mktemp("marian")
    train(path / "source.spm", sentences(WORDS[source], 300), **options)
    train(path / "target.spm", sentences(WORDS[target], 300, seed=1))
    return write_folder(path, **config)


@pytest.fixture
def theirs(folder):
    transformers = pytest.importorskip("transformers")
    with pytest.warns(UserWarning, match="sacremoses"):
        return transformers.MarianTokenizer.from_pretrained(str(folder))


def known(ids, vocabulary):
    """Ids beyond the vocabulary are unknown."""
    return [number if number < len(vocabulary) else vocabulary["<unk>"] for number in ids]


def test_sources_and_targets_become_marian_s_ids(folder, theirs):
    tried = texts()
    assert len(tried) > 500
    source, target = (pretrained.load_tokenizer(folder, target=side) for side in (False, True))
    targets = theirs.target_encoder if theirs.separate_vocabs else theirs.encoder
    for text in tried:
        assert known(source.encode(text).ids, theirs.encoder) == theirs(text)["input_ids"], ascii(text)
        expected = theirs(text_target=text)["input_ids"]
        assert known(target.encode(text).ids, targets) == expected, ascii(text)


def test_ids_become_marian_s_texts(folder, theirs):
    tokenizer = pretrained.load_tokenizer(folder, target=True)
    rng = random.Random(0)
    # Broken characters are left out: where they begin and end the two count differently.
    ids = [number for number, token in theirs.decoder.items() if not token.startswith("<0x")]
    for length in [0, 1, 1, *(rng.randrange(2, 20) for _ in range(300))]:
        chosen = rng.choices(ids, k=length)
        assert tokenizer.decode(chosen) == theirs.decode(chosen, skip_special_tokens=True)


def test_on_a_device_too(folder, theirs):
    """Special tokens written in a text are text on the device, as with `split_special_tokens`."""
    pair = device_pair(folder, theirs)
    for text in texts():
        if "<s>" not in text and not any(token in text for token in theirs.all_special_tokens):
            assert pair.encode(text) == theirs(text)["input_ids"], ascii(text)
    assert theirs.eos_token_id not in pair.encode("a</s>b <pad></s>")[:-1]
    ids = theirs(text_target="kleine Mädchen")["input_ids"]
    assert pair.decode(ids) == theirs.decode(ids, skip_special_tokens=True)


def device_pair(folder, theirs):
    special_ids = {"pad": theirs.pad_token_id, "end": theirs.eos_token_id, "unknown": theirs.unk_token_id}
    special_ids["start"] = special_ids["pad"]
    source, target = (pretrained.load_tokenizer(folder, target=side) for side in (False, True))
    return PairTokenizer(source, special_ids, target, len(theirs.encoder))


@pytest.mark.parametrize("kind", ["control_symbols", "user_defined_symbols"])
def test_big_bird_s_pieces_become_its_ids(kind, tmp_path):
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("sentencepiece")
    symbols = ["[CLS]", "[SEP]", "[MASK]", "<more>"]
    numbers = {"pad_id": 0, "eos_id": 1, "bos_id": 2, "unk_id": 100}
    train(tmp_path / "spiece.model", sentences(ENGLISH, 300), **numbers, **{kind: symbols})
    ours = pretrained.load_tokenizer(tmp_path)
    theirs = transformers.BigBirdTokenizer.from_pretrained(str(tmp_path))
    for text in [*texts(), "a [MASK] b", "a  [MASK]. ", "[CLS]a[SEP]", "a <more>b"]:
        found, expected = ours.encode(text).ids, theirs(text)["input_ids"]
        assert found == expected, ascii(text)
        assert ours.decode(found) == theirs.decode(expected, skip_special_tokens=True)
    found, expected = ours.encode("a dog", "the snow"), theirs("a dog", "the snow")
    assert found.ids == expected["input_ids"]
