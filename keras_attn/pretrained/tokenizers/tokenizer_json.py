"""Read tokenizer.json of a Hugging Face folder, and check it against the folder's other files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, normalizers

from keras_attn.pretrained.checkpoint import CONFIG, read_json
from keras_attn.pretrained.errors import PretrainedError
from keras_attn.pretrained.tokenizers.class_rules import bert_normalizer
from keras_attn.pretrained.tokenizers.tokenizer_options import (
    FLAGS,
    OPTIONS,
    TokenizerOptions,
    add_tokens,
    read_tokenizer_options,
)
from keras_attn.pretrained.tokenizers.translator_rules import RULES

BERT_CLASSES = ("BertTokenizer", "DistilBertTokenizer", "ElectraTokenizer")
# Classes that use tokenizer.json unchanged.
PLAIN_CLASSES = ("PreTrainedTokenizer", "TokenizersBackend")
CLASSES = (*BERT_CLASSES, "BigBirdTokenizer", "GPT2Tokenizer", *RULES, *PLAIN_CLASSES)
# transformers' classes by model type, if none is named.
CLASS_OF_MODEL = {
    "bert": "BertTokenizer",
    "distilbert": "BertTokenizer",
    "electra": "BertTokenizer",
    "nomic_bert": "BertTokenizer",
    "big_bird": "BigBirdTokenizer",
    "gpt2": "GPT2Tokenizer",
    "roberta": "RobertaTokenizer",
    "xlm-roberta": "XLMRobertaTokenizer",
    "camembert": "CamembertTokenizer",
    "mpnet": "MPNetTokenizer",
    "albert": "AlbertTokenizer",
    "deberta-v2": "DebertaV2Tokenizer",
    "bart": "RobertaTokenizer",
    "mbart": "MBartTokenizer",
    "pegasus": "PegasusTokenizer",
    **dict.fromkeys(("t5", "mt5", "umt5"), "T5Tokenizer"),
}
MODELS = {
    **dict.fromkeys(BERT_CLASSES, "WordPiece"),
    "GPT2Tokenizer": "BPE",
    "BigBirdTokenizer": "Unigram",
}
# The tokens with a role in the classes above.
ROLE_TOKENS = (
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
    *("<pad>", "<unk>", "<s>", "</s>", "<mask>", "<|endoftext|>"),
)
# Supported options, with the types of their values.
BERT_OPTIONS: dict[str, type] = {"do_lower_case": bool, "strip_accents": bool, "tokenize_chinese_chars": bool}
GPT2_OPTIONS: dict[str, type] = {"add_prefix_space": bool}


def with_words(tokenizer: Tokenizer) -> Tokenizer:
    """Return a copy in which special tokens without a role, such as `[E1]`, are ordinary words.

    A bundle takes a special token written in a text for text, so that a user cannot end a text by `[SEP]`.
    That is meant for tokens with a role; the others are there to be written.
    """
    layout = json.loads(tokenizer.to_str())
    unknown = layout["model"].get("unk_token")
    kept = {*ROLE_TOKENS, unknown, *map(tokenizer.id_to_token, tokenizer.encode("").ids)}
    for token in layout["added_tokens"]:
        token["special"] = token["special"] and token["content"] in kept
    return Tokenizer.from_str(json.dumps(layout))


def read_tokenizer_file(path: Path) -> Tokenizer:
    """Read tokenizer.json, to which transformers adds the tokens that the other files name.

    Raises:
        PretrainedError: if it cannot be read, or disagrees with tokenizer_config.json; one line for each.
    """
    try:
        content = path.read_text(encoding="utf-8")
        tokenizer = Tokenizer.from_str(content)
    except Exception as error:  # the library raises plain Exception
        raise PretrainedError(f"{path} is not a tokenizer that can be read: {error}.") from error
    options = read_tokenizer_options(path.parent, CLASSES, {**BERT_OPTIONS, **GPT2_OPTIONS})
    layout = json.loads(content)
    problems = _differences(layout, options)
    if problems:
        raise PretrainedError("\n  ".join([f"{path} does not fit {OPTIONS} beside it:", *problems]))
    if _lowered_twice(layout):
        tokenizer.normalizer = normalizers.BertNormalizer(**bert_normalizer(options.values))
    add_tokens(tokenizer, options, options.roles)
    return tokenizer


def _differences(layout: Mapping[str, Any], options: TokenizerOptions) -> list[str]:
    """List the differences by which transformers' class would give other ids than tokenizer.json."""
    model, problems = layout["model"], []
    if model.get("dropout"):
        problems.append(f"its model drops merges at random (dropout={model['dropout']!r}): set it to null")
    name = _class_name(options, model.get("type"))
    kind = model.get("type") or MODELS.get(name or "")
    if name in MODELS and MODELS[name] != kind:
        problems.append(
            f"its model is {kind}, that of a {name} {MODELS[name]}; where tokenizer.json is right, name the "
            "class PreTrainedTokenizerFast"
        )
    elif name in BERT_CLASSES:
        problems += _differing(layout, "normalizer", "BertNormalizer", bert_normalizer(options.values), name)
    elif name == "GPT2Tokenizer":
        wanted = {"add_prefix_space": options.values.get("add_prefix_space", False)}
        problems += _differing(layout, "pre_tokenizer", "ByteLevel", wanted, name)
    elif name is not None and options.values.get("add_prefix_space") is False:
        problems.append(f"option add_prefix_space=False of {name} is not supported")
    return [*problems, *_differing_tokens(layout, options, name)]


def rule_of(folder: Path) -> str | None:
    """Return the class of a folder's tokenizer, named or the usual one of its model, if it has a rule."""
    read = (read_json(folder / name) if (folder / name).is_file() else {} for name in (OPTIONS, CONFIG))
    options, config = read
    named = options.get("tokenizer_class") or config.get("tokenizer_class")
    name = str(named).removesuffix("Fast") if named else CLASS_OF_MODEL.get(config.get("model_type", ""))
    return name if name in RULES else None


def _class_name(options: TokenizerOptions, kind: str | None) -> str | None:
    """Return the named class, or transformers' default for a model of this kind."""
    if options.class_name is not None or not (options.folder / OPTIONS).is_file():
        return options.class_name
    path = options.folder / CONFIG
    usual = CLASS_OF_MODEL.get(read_json(path).get("model_type", "")) if path.is_file() else None
    return usual if kind in (None, MODELS.get(usual or "")) else None


def _lowered_twice(layout: Mapping[str, Any]) -> bool:
    """Return whether texts are lower-cased before BERT's normalizer lower-cases them.

    sentence-transformers saves this if its `do_lower_case` is on; transformers leaves the first step out.
    """
    steps = (layout.get("normalizer") or {}).get("normalizers") or []
    kinds = [step.get("type") for step in steps]
    return kinds == ["Lowercase", "BertNormalizer"] and bool(steps[1].get("lowercase"))


def _differing(
    layout: Mapping[str, Any], part: str, kind: str, wanted: Mapping[str, Any], name: str
) -> list[str]:
    found = layout.get(part) or {}
    if part == "normalizer" and _lowered_twice(layout):
        found = found["normalizers"][1]
    if found.get("type") != kind:
        return [
            f"its {part} is {found.get('type')}, that of a {name} {kind}; where tokenizer.json is right, "
            "name the class PreTrainedTokenizerFast"
        ]
    return [
        f"its {part} has {field}={found.get(field)!r}, but a {name} with these options {value!r}: give both "
        "the one that the model was trained with"
        for field, value in wanted.items()
        if found.get(field) != value
    ]


def _differing_tokens(layout: Mapping[str, Any], options: TokenizerOptions, name: str | None) -> list[str]:
    there = {token["content"]: token for token in layout.get("added_tokens") or []}
    listed = {token.content: token for number, token in options.added if number is not None}
    plain = {token.content for role, token in options.roles.items() if role != "mask_token"}
    problems = [
        f"its added token {content!r} has {flag}={there[content][flag]!r}, there it is {value!r}"
        for content, token in listed.items()
        if content in there and content not in plain
        for flag, value in ((flag, getattr(token, flag)) for flag in FLAGS)
        if there[content][flag] != value
    ]
    if listed and name in MODELS:
        # The class builds the tokenizer anew from the vocabulary and the listed tokens.
        roles = {token.content for token in options.roles.values()}
        problems += [
            f"its added token {content!r} is not listed there"
            for content in there.keys() - listed.keys() - roles
        ]
    return problems


def unknown_id(tokenizer: Tokenizer) -> int | None:
    """Return the id of the unknown token; `None` if there is none."""
    model = json.loads(tokenizer.to_str())["model"]
    if model.get("unk_token") is None:
        return model.get("unk_id")
    return tokenizer.token_to_id(model["unk_token"])
