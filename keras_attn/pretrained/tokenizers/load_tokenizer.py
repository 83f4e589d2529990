"""Load the tokenizer of a Hugging Face folder, from tokenizer.json or older vocabulary files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from keras_attn.pretrained.architectures.kerashub import is_preset, preset_vocabulary_size
from keras_attn.pretrained.architectures.sentence_encoders import with_lower_case
from keras_attn.pretrained.checkpoint import find_config, read_json
from keras_attn.pretrained.errors import PretrainedError
from keras_attn.pretrained.hub import folder_of
from keras_attn.pretrained.tokenizers.class_rules import bert_normalizer
from keras_attn.pretrained.tokenizers.class_tokenizer import class_tokenizer, read_merges
from keras_attn.pretrained.tokenizers.kerashub import load_preset_tokenizer
from keras_attn.pretrained.tokenizers.m2m100 import is_m2m100, m2m100_tokenizer
from keras_attn.pretrained.tokenizers.marian import is_marian, marian_tokenizer
from keras_attn.pretrained.tokenizers.sentencepiece_model import CONTROL, USER_DEFINED, read_piece_model
from keras_attn.pretrained.tokenizers.tokenizer_json import (
    BERT_CLASSES,
    BERT_OPTIONS,
    CLASSES,
    GPT2_OPTIONS,
    read_tokenizer_file,
    rule_of,
)
from keras_attn.pretrained.tokenizers.tokenizer_options import add_tokens, read_tokenizer_options

TOKENIZER = "tokenizer.json"
WORD_PIECES = "vocab.txt"
BYTE_PAIRS = ("vocab.json", "merges.txt")
PIECES = "spiece.model"
BERT_TOKENS = {
    "unk_token": "[UNK]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
}
BIG_BIRD_TOKENS = {
    "unk_token": "<unk>",
    "bos_token": "<s>",
    "eos_token": "</s>",
    "pad_token": "<pad>",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
    "cls_token": "[CLS]",
}
GPT2_TOKENS = {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>"}


def load_tokenizer(
    folder_or_hub_name: str | Path, vocabulary_size: int | None = None, *, target: bool = False
) -> Tokenizer:
    """Load the tokenizer of a checkpoint.

    Its files are tokenizer.json, vocab.txt (BERT, MPNet), vocab.json and merges.txt (GPT-2, RoBERTa),
    spiece.model (BigBird, ALBERT, PEGASUS), sentencepiece.bpe.model (XLM-RoBERTa, CamemBERT, mBART, NLLB;
    with vocab.json M2M100), spm.model (DeBERTa), or source.spm, target.spm and vocab.json (MarianMT), or the
    assets of a KerasHub preset. Truncation and padding are off, whatever tokenizer.json says: use
    `enable_truncation` and `enable_padding` of the result.

    Args:
        folder_or_hub_name: as for `load`.
        vocabulary_size: int, that of the model; by default config.json's, if there is one.
        target: whether to load MarianMT's tokenizer of the target language; other checkpoints have only one.

    Returns:
        `tokenizers.Tokenizer`, with the ids of Hugging Face's tokenizer; but a piece that MarianMT's
        or M2M100's vocab.json lacks has an id beyond the vocabulary instead of the unknown token's, which
        `keras_attn.device.text.pair_tokenizer.PairTokenizer` restores.

    Raises:
        PretrainedError: if there is no tokenizer that can be read, or it has tokens that the model does not
            have.
    """
    folder = folder_of(folder_or_hub_name)
    if is_preset(folder):
        tokenizer = load_preset_tokenizer(folder)
        _check_size(folder, tokenizer, vocabulary_size or preset_vocabulary_size(folder))
        return tokenizer
    if is_marian(folder):
        options = read_tokenizer_options(
            folder, ["MarianTokenizer"], {"separate_vocabs": bool}, further=False
        )
        separate = target and options.values.get("separate_vocabs")
        known = _vocabulary_size(folder, vocabulary_size, "decoder_vocab_size" if separate else "vocab_size")
        return marian_tokenizer(options, target, known)
    if is_m2m100(folder):
        return m2m100_tokenizer(folder, _vocabulary_size(folder, vocabulary_size))
    name = rule_of(folder)
    by_rule = None if name is None else class_tokenizer(folder, name, CLASSES)
    if by_rule is not None:
        tokenizer = by_rule
    elif (folder / TOKENIZER).is_file():
        tokenizer = read_tokenizer_file(folder / TOKENIZER)
    elif (folder / WORD_PIECES).is_file():
        tokenizer = _word_pieces(folder)
    elif all((folder / name).is_file() for name in BYTE_PAIRS):
        tokenizer = _byte_pairs(folder)
    elif (folder / PIECES).is_file():
        tokenizer = _big_bird_pieces(folder)
    else:
        raise PretrainedError(_missing_files(folder))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    _check_size(folder, tokenizer, _vocabulary_size(folder, vocabulary_size))
    return with_lower_case(folder, tokenizer)


def _missing_files(folder: Path) -> str:
    config = read_json(find_config(folder)) if find_config(folder).is_file() else {}
    if config.get("model_type") == "marian":
        return f"{folder} has no tokenizer: source.spm, target.spm and vocab.json are missing."
    files = f"neither {TOKENIZER}, {WORD_PIECES}, {PIECES}, nor {' and '.join(BYTE_PAIRS)}"
    others = sorted(path.name for path in folder.glob("*.model"))
    return f"{folder} has no tokenizer: {files}" + (f", only {', '.join(others)}." if others else ".")


def _vocabulary_size(folder: Path, given: int | None, option: str = "vocab_size") -> int | None:
    """Return the vocabulary size of the model, if it is known."""
    if given is None and find_config(folder).is_file():
        return read_json(find_config(folder)).get(option)
    return given


def _check_size(folder: Path, tokenizer: Tokenizer, known: int | None) -> None:
    largest, token = max((number, token) for token, number in tokenizer.get_vocab().items())
    if known is not None and largest >= known:
        raise PretrainedError(
            f"{folder}: the tokenizer does not match the model: its token {token!r} has the id {largest}, "
            f"but the model has only {known} tokens. Take tokenizer and model from the same folder."
        )


def _word_pieces(folder: Path) -> Tokenizer:
    """Build BERT's tokenizer (Devlin et al., 2019; Wu et al., 2016, arXiv:1609.08144, section 4.1)."""
    options = read_tokenizer_options(folder, BERT_CLASSES, BERT_OPTIONS)
    with (folder / WORD_PIECES).open(encoding="utf-8") as file:
        vocabulary = {line.rstrip("\n"): number for number, line in enumerate(file)}
    special = options.special(BERT_TOKENS, vocabulary)
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token=special["unk_token"].content))
    tokenizer.normalizer = normalizers.BertNormalizer(**bert_normalizer(options.values))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    add_tokens(tokenizer, options, special)
    tokenizer.post_processor = _enclosed(special, tokenizer)
    return tokenizer


def _byte_pairs(folder: Path) -> Tokenizer:
    """Build GPT-2's tokenizer, pairs of bytes (Radford et al., 2019, section 2.2)."""
    options = read_tokenizer_options(folder, ["GPT2Tokenizer"], GPT2_OPTIONS)
    vocabulary = read_json(folder / BYTE_PAIRS[0])
    special = options.special(GPT2_TOKENS, vocabulary)
    path = folder / BYTE_PAIRS[1]
    merges = read_merges(path)
    try:
        tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    except Exception as error:  # the library raises plain Exception
        raise PretrainedError(f"{path} does not fit {BYTE_PAIRS[0]}: {error}.") from error
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(
        add_prefix_space=options.values.get("add_prefix_space", False)
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    add_tokens(tokenizer, options, special)
    return tokenizer


def _big_bird_pieces(folder: Path) -> Tokenizer:
    """Build BigBird's tokenizer (Zaheer et al., 2020), as Hugging Face does, without the model's rules."""
    options = read_tokenizer_options(folder, ["BigBirdTokenizer"], {})
    pieces = read_piece_model(folder / PIECES).pieces
    vocabulary = {piece.text: number for number, piece in enumerate(pieces)}
    # As in transformers 5, the model's own symbols are used if tokenizer_config.json lists none.
    kinds = {} if options.lists_special else {piece.text: piece.kind for piece in pieces}
    # The mask token includes the spaces before it, unless it is such a symbol.
    takes_spaces = kinds.get(BIG_BIRD_TOKENS["mask_token"]) not in (CONTROL, USER_DEFINED)
    special = options.special(BIG_BIRD_TOKENS, vocabulary, lstrip=["mask_token"] if takes_spaces else [])
    rows = [(piece.text, piece.score) for piece in pieces]
    tokenizer = Tokenizer(models.Unigram(rows, vocabulary[special["unk_token"].content]))
    tokenizer.normalizer = normalizers.Replace(Regex(" {2,}"), "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    add_tokens(tokenizer, options, special)
    tokenizer.add_special_tokens([text for text, kind in kinds.items() if kind == CONTROL])
    names = {token.content for token in special.values()}
    defined = [text for text, kind in kinds.items() if kind == USER_DEFINED and text not in names]
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in defined])
    tokenizer.post_processor = _enclosed(special, tokenizer)
    return tokenizer


def _enclosed(special: Mapping[str, AddedToken], tokenizer: Tokenizer) -> processors.PostProcessor:
    """Put special tokens around a text, or around and between two."""
    start, end = special["cls_token"].content, special["sep_token"].content
    return processors.TemplateProcessing(
        single=f"{start}:0 $A:0 {end}:0",
        pair=f"{start}:0 $A:0 {end}:0 $B:1 {end}:1",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in (start, end)],
    )
