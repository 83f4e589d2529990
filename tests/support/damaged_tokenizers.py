"""Hundreds of damaged `tokenizer.json`: each differs from the whole one in one thing, by a seed."""

import copy
import random

REPLACE = {"type": "Replace", "pattern": {"String": "e"}, "content": "a"}


def damaged(content, count, seed=0):
    """Yield (what was done, the damaged JSON) from parsed JSON; only damages that change it."""
    rng, made = random.Random(seed), 0
    kinds = [kind for kind in KINDS if kind is not drop_merge or content["model"].get("merges")]
    while made < count:
        kind, broken = rng.choice(kinds), copy.deepcopy(content)
        kind(broken, rng)
        if broken != content:
            yield kind.__name__, broken
            made += 1


def _entries(content):
    """The vocabulary as a list of tokens, by id, and how to write it back."""
    vocab = content["model"]["vocab"]
    if isinstance(vocab, list):
        return [token for token, _ in vocab]
    return sorted(vocab, key=vocab.__getitem__)


def _rename(content, names):
    vocab = content["model"]["vocab"]
    if isinstance(vocab, list):
        content["model"]["vocab"] = [[names.get(token, token), score] for token, score in vocab]
    else:
        content["model"]["vocab"] = {names.get(token, token): number for token, number in vocab.items()}


def swap_two_tokens(content, rng):
    one, other = rng.sample(_entries(content), 2)
    _rename(content, {one: other, other: one})


def rename_a_token(content, rng):
    token = rng.choice(_entries(content))
    place = rng.randrange(len(token))
    _rename(content, {token: token[:place] + chr(rng.randrange(97, 123)) + token[place + 1 :]})


def drop_merge(content, rng):
    content["model"]["merges"].pop(rng.randrange(len(content["model"]["merges"])))


def change_model(content, rng):
    model = content["model"]
    if isinstance(model["vocab"], list):
        entry = rng.choice(model["vocab"])
        entry[1] -= rng.choice([-20, 20])
    else:
        field = rng.choice(
            ["continuing_subword_prefix", "max_input_chars_per_word", "byte_fallback", "unk_token"]
        )
        changes = {"max_input_chars_per_word": 3, "byte_fallback": not model.get("byte_fallback")}
        model[field] = changes.get(field, rng.choice(_entries(content)))


def change_normalizer(content, rng):
    named = [{"type": name} for name in ("NFD", "NFKC", "StripAccents", "Lowercase")]
    content["normalizer"] = rng.choice([None, *named, {"type": "Prepend", "prepend": "x"}, REPLACE])


def change_pre_tokenizer(content, rng):
    content["pre_tokenizer"] = rng.choice(
        [None, {"type": "WhitespaceSplit"}, {"type": "Digits", "individual_digits": True},
         {"type": "Metaspace", "replacement": "_", "prepend_scheme": "never", "split": False}]
    )  # fmt: skip


def change_decoder(content, rng):
    pieces = {"type": "WordPiece", "prefix": "#", "cleanup": True}
    strip = {"type": "Strip", "content": " ", "start": 9, "stop": 9}
    content["decoder"] = rng.choice(
        [None, {"type": "Fuse"}, {"type": "ByteFallback"}, pieces, REPLACE, strip]
    )


def change_post_processor(content, rng):
    processor = content["post_processor"]
    if processor and "sep" in processor and rng.random() < 0.7:
        processor["sep"], processor["cls"] = processor["cls"], processor["sep"]
    else:
        content["post_processor"] = None


def cut_texts(content, rng):
    content["truncation"] = {
        "direction": rng.choice(["Left", "Right"]),
        "max_length": rng.randrange(1, 12),
        "strategy": "LongestFirst",
        "stride": 0,
    }


def change_an_added_token(content, rng):
    token = rng.choice(content["added_tokens"])
    match rng.randrange(4):
        case 0:
            content["added_tokens"].remove(token)
        case 1:
            token["content"] = rng.choice(["the", "e", "house"])
        case 2:
            token["id"] = rng.randrange(len(_entries(content)))
        case 3:
            token["special"] = not token["special"]


def add_a_token(content, rng):
    token = {"id": len(_entries(content)), "content": rng.choice(["th", "e", " "])}
    flags = ("single_word", "lstrip", "rstrip", "normalized", "special")
    content["added_tokens"].append({**token, **dict.fromkeys(flags, False)})


KINDS = (
    swap_two_tokens, rename_a_token, drop_merge, change_model, change_normalizer, change_pre_tokenizer,
    change_decoder, change_post_processor, cut_texts, change_an_added_token, add_a_token,
)  # fmt: skip
