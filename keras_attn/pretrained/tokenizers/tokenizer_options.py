"""Read a Hugging Face folder's tokenizer options: class, special and added tokens.

Every option is known by name: it is supported, it has a value that changes nothing, or it is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer

from keras_attn.pretrained.checkpoint import CONFIG, read_json
from keras_attn.pretrained.errors import PretrainedError

OPTIONS = "tokenizer_config.json"
SPECIAL_TOKENS = "special_tokens_map.json"
ADDED_TOKENS = "added_tokens.json"
ROLES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
# Lists of further special tokens, by the older and the newer name.
FURTHER = ("additional_special_tokens", "extra_special_tokens")
ADDED = "added_tokens_decoder"
CLASS = "tokenizer_class"
FLAGS = ("lstrip", "rstrip", "single_word", "normalized")
# Options that change no id: lengths and padding are the caller's, chat templates make texts, not tokens.
HARMLESS = {
    "_commit_hash", "auto_map_class", "backend", "chat_template", "clean_up_tokenization_spaces",
    "device_map", "from_slow", "full_tokenizer_file", "is_local", "language", "legacy",
    "local_files_only", "max_len", "max_length", "merges_file", "model_input_names", "model_max_length",
    "name_or_path", "pad_to_multiple_of", "pad_token_type_id", "padding", "padding_side",
    "processor_class", "remove_space", "return_token_type_ids", "source_lang", "source_spm",
    "special_tokens_map_file", "spm_file", "stride", "target_lang", "target_spm", "target_vocab_file",
    "tokenizer_file",
    "transformers_version", "truncation", "truncation_side", "truncation_strategy",
    "trim_offsets", "unk_id", "use_fast", "verbose", "vocab_file", "vocab_size", "vocab_type",
}  # fmt: skip
# Options with a single supported value.
ONLY: dict[str, Any] = {
    "add_bos_token": False,
    "add_eos_token": False,
    "auto_map": {},
    "clean_text": True,
    "do_basic_tokenize": True,
    "errors": "replace",
    "fast_tokenizer_files": [],
    "init_inputs": [],
    "never_split": [],
    "sp_model_kwargs": {},
    "split_special_tokens": False,
    "wordpieces_prefix": "##",
}


@dataclass(frozen=True)
class TokenizerOptions:
    """The tokenizer options of a folder.

    Attributes:
        folder: the folder.
        class_name: of transformers' tokenizer, without `Fast`; `None` if none is named.
        values: the supported options.
        roles: special tokens by role, such as `cls_token`, if they are given.
        added: further tokens with their ids, `None` for the next free one.
        lists_special: whether tokenizer_config.json lists special tokens beside those of the roles.
        plain: roles whose tokens are given as text only.
    """

    folder: Path
    class_name: str | None
    values: dict[str, Any]
    roles: dict[str, AddedToken]
    added: list[tuple[int | None, AddedToken]]
    lists_special: bool = False
    plain: frozenset[str] = frozenset()

    def special(
        self, defaults: Mapping[str, str], vocabulary: Mapping[str, int], lstrip: Iterable[str] = ()
    ) -> dict[str, AddedToken]:
        """Return the special tokens by role; those of `defaults` must have ids.

        Args:
            defaults: the tokens of the roles that a class always has.
            vocabulary: ids of the model's tokens.
            lstrip: roles whose tokens include the spaces before them by default.

        Raises:
            PretrainedError: if a token has no id.
        """
        found = {
            role: AddedToken(token, special=True, lstrip=role in lstrip) for role, token in defaults.items()
        }
        found |= self.roles
        numbered = {*vocabulary, *(token.content for _, token in self.added)}
        lacking = sorted({found[role].content for role in defaults} - numbered)
        if lacking:
            names = ", ".join(f'"{token}"' for token in lacking)
            raise PretrainedError(f"{self.folder}: the vocabulary lacks the special tokens [{names}].")
        return found


def read_tokenizer_options(
    folder: Path, classes: Iterable[str], computed: Mapping[str, type], *, further: bool = True
) -> TokenizerOptions:
    """Read tokenizer_config.json and the older files beside it.

    Args:
        folder: the folder.
        classes: names of the classes, without `Fast`, whose tokenizers the folder may have.
        computed: the options that the caller supports, with the types of their values.
        further: whether there may be tokens beside those of the vocabulary and of the roles.

    Raises:
        PretrainedError: if the class or an option is not known, one line for each, or a file is broken.
    """
    own = _given(folder / OPTIONS)
    # With the newer list, transformers reads neither of the older files.
    older = {} if ADDED in own else _given(folder / SPECIAL_TOKENS)
    given = {**own, **older}
    class_name, problems = _class_name(folder, given, classes)
    problems += [
        _unsupported(name, value) for name, value in given.items() if not _is_known(name, value, computed)
    ]
    try:
        roles, added = _tokens(folder, own, older)
    except (TypeError, ValueError, AttributeError) as error:
        roles, added = {}, []
        problems.append(f"its special or added tokens cannot be read: {error}")
    if not further:
        known = {token.content for token in roles.values()}
        others = dict.fromkeys(token.content for _, token in added if token.content not in known)
        problems += [f"the added token {token!r} is not supported" for token in others]
    if problems:
        raise PretrainedError(
            "\n  ".join([f"{folder / OPTIONS}: the tokenizer is not supported:", *problems])
        )
    values = {name: given[name] for name in computed if name in given}
    listed = {token.content for number, token in added if number is not None}
    plain = {role for role in roles if isinstance(given[role], str) and given[role] not in listed}
    lists_special = any(own.get(name) for name in FURTHER)
    return TokenizerOptions(folder, class_name, values, roles, added, lists_special, frozenset(plain))


def add_tokens(
    tokenizer: Tokenizer,
    options: TokenizerOptions,
    special: Mapping[str, AddedToken],
    first: Iterable[AddedToken] = (),
    last: Iterable[AddedToken] = (),
) -> None:
    """Add missing special and further tokens, in transformers' order.

    Args:
        tokenizer: to which they are added.
        options: the folder's.
        special: by role.
        first: further tokens, before all others.
        last: further tokens, after all others.

    Raises:
        PretrainedError: if a token does not get the id that the folder gives it.
    """
    numbered = [(number, token) for number, token in options.added if number is not None]
    others = [token for number, token in options.added if number is None]
    there = {token.content for token in tokenizer.get_added_tokens_decoder().values()}
    for token in [*first, *(token for _, token in numbered), *special.values(), *others, *last]:
        if token.content not in there:
            tokenizer.add_tokens([token])
            there.add(token.content)
    problems = [
        f"the token {token.content!r} has the id {number}, but after this vocabulary it gets "
        f"{tokenizer.token_to_id(token.content)}"
        for number, token in numbered
        if tokenizer.token_to_id(token.content) != number
    ]
    if problems:
        raise PretrainedError(
            "\n  ".join([f"{options.folder}: added tokens do not fit the vocabulary:", *problems])
        )


def _given(path: Path) -> dict[str, Any]:
    """Read a file that may be missing, without null values."""
    found = read_json(path) if path.is_file() else {}
    return {name: value for name, value in found.items() if value is not None}


def _class_name(
    folder: Path, given: Mapping[str, Any], classes: Iterable[str]
) -> tuple[str | None, list[str]]:
    config = read_json(folder / CONFIG) if (folder / CONFIG).is_file() else {}
    named = given.get(CLASS) or config.get(CLASS)
    if named is None:
        return None, []
    name = str(named).removesuffix("Fast")
    if name in classes:
        return name, []
    return name, [f"{CLASS} {named!r} is not known here, only {', '.join(classes)}; {_as_json(folder)}"]


def _as_json(folder: Path) -> str:
    return (
        'if transformers has a fast version, save that: python -c "from transformers import '
        f"AutoTokenizer as A, PreTrainedTokenizerFast as F; F(tokenizer_object=A.from_pretrained('{folder}')"
        f".backend_tokenizer).save_pretrained('{folder}')\""
    )


def _is_known(name: str, value: Any, computed: Mapping[str, type]) -> bool:
    if name in computed:
        return isinstance(value, computed[name])
    if name in ONLY:
        return value == ONLY[name]
    return name in HARMLESS or name in (*ROLES, *FURTHER, ADDED, CLASS)


def _unsupported(name: str, value: Any) -> str:
    only = f" (only {ONLY[name]!r})" if name in ONLY else ""
    return f"option {name}={value!r} is not supported{only}"


def _tokens(
    folder: Path, own: Mapping[str, Any], older: Mapping[str, Any]
) -> tuple[dict[str, AddedToken], list[tuple[int | None, AddedToken]]]:
    """Read special and added tokens, in the order in which transformers numbers them."""
    given = {**own, **older}
    roles = {role: _token(given[role]) for role in ROLES if role in given}
    further = _further(given)
    if ADDED in own:
        numbered = {int(number): AddedToken(**token) for number, token in own[ADDED].items()}
    else:
        # As in transformers 5, tokens of special_tokens_map.json are special unless they are listed here,
        # too.
        special = {token.content for token in [*roles.values(), *_further(own)]}
        numbered = {
            int(number): AddedToken(token, special=token in special, normalized=token not in special)
            for token, number in _given(folder / ADDED_TOKENS).items()
        }
    # A listed token has the flags of the list.
    listed = {token.content: token for token in numbered.values()}
    roles = {role: listed.get(token.content, token) for role, token in roles.items()}
    for token in roles.values():
        token.special = True
    known = {*listed, *(token.content for token in roles.values())}
    others = [(None, token) for token in further if token.content not in known]
    return roles, [*sorted(numbered.items(), key=lambda item: item[0]), *others]


def _further(given: Mapping[str, Any]) -> list[AddedToken]:
    """Read the lists of further special tokens; newer versions may have a dict of names."""
    lists = (given.get(name) or [] for name in FURTHER)
    return [_token(token) for each in lists for token in (each.values() if isinstance(each, dict) else each)]


def _token(given: Any) -> AddedToken:
    if isinstance(given, str):
        return AddedToken(given, special=True)
    return AddedToken(**{name: value for name, value in given.items() if name != "__type"})
