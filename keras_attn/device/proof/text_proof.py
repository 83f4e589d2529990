"""The texts of a proof: how a bundle's tokenizer encoded and decoded them when it was exported."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_attn.device.errors import BundleError
from keras_attn.device.files.bundle import SHORTLIST, TARGET_TOKENIZER, TOKENIZER, Bundle
from keras_attn.device.text.tokenizer import EncoderTokenizer, Tokenizer
from keras_attn.errors import ArgumentError, ArgumentTypeError

_MOST_IDS = 2**31
_LARGEST = 16 * 2**20


@dataclass(frozen=True)
class TextProof:
    """How the tokenizer of a bundle encoded some texts and decoded some ids.

    Attributes:
        files: the SHA-256 of each tokenizer file and of a shortlist, by name.
        special_ids: the manifest's.
        encoded: texts, the second text of each or None, and their ids.
        decoded: ids and their texts.
        settings: the manifest's ``settings_digest``; empty in a bundle that an earlier version wrote.
        spans: texts, and the first character and the one behind the last of each of their tokens, of models
            that find spans.
    """

    files: Mapping[str, str]
    special_ids: Mapping[str, int]
    encoded: Sequence[tuple[str, str | None, list[int]]]
    decoded: Sequence[tuple[list[int], str]]
    settings: str = ""
    spans: Sequence[tuple[str, list[tuple[int, int]]]] = ()

    def to_array(self) -> np.ndarray:
        """Return it as JSON in bytes, (N,) uint8, which ``proof.npz`` holds as ``texts``."""
        return np.frombuffer(json.dumps(vars(self)).encode(), np.uint8)

    @classmethod
    def from_array(cls, array: np.ndarray) -> TextProof:
        """Read what ``to_array`` returned.

        Raises:
            BundleError: it is damaged.
        """
        if array.nbytes > _LARGEST:
            raise BundleError(f"the proof's texts have {array.nbytes} bytes, {_LARGEST} at most are read")
        try:
            read = json.loads(array.tobytes())
            found = cls(
                {str(name): str(digest) for name, digest in read["files"].items()},
                {str(role): int(number) for role, number in read["special_ids"].items()},
                [(_text(text), pair and _text(pair), _ids(ids)) for text, pair, ids in read["encoded"]],
                [(_ids(ids), _text(text)) for ids, text in read["decoded"]],
                _text(read.get("settings", "")),
                [
                    (_text(text), [(int(a), int(b)) for a, b in where])
                    for text, where in read.get("spans", ())
                ],
            )
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
            raise BundleError("the proof's texts are damaged") from None
        if not (found.files and found.encoded and found.decoded):
            raise BundleError("the proof's texts are empty")
        return found


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ArgumentTypeError(f"{value!r} is not a text")
    return value


def _ids(values: Any) -> list[int]:
    ids = list(map(int, values))
    if ids and not 0 <= min(ids) <= max(ids) < _MOST_IDS:
        raise ArgumentError("an id is out of range")
    return ids


def prove_texts(
    tokenizer: Tokenizer,
    files: Mapping[str, str],
    texts: Sequence[str],
    targets: Sequence[str],
    pairs: Sequence[tuple[str, str]] = (),
    spans: bool = False,
) -> TextProof:
    """Record how a tokenizer encodes and decodes texts.

    Args:
        tokenizer: the bundle's.
        files: the SHA-256 of each of its files and of a shortlist, by name.
        texts: inputs of the model.
        targets: outputs of the model; their ids are decoded again.
        pairs: two texts that an encoder reads together.
        spans: whether the model finds spans, so that the tokens' characters matter.
    """
    special, decoded = tokenizer.special_ids, []
    for text in targets:
        # Special tokens are not part of a text, wherever they occur.
        ids = [special["start"], *tokenizer.target.encode(text), special["end"], special["pad"]]
        decoded.append((ids, tokenizer.decode(ids)))
    encoded = [(text, None, _encode(tokenizer, text)) for text in texts]
    encoded += [(text, pair, _encode(tokenizer, text, pair)) for text, pair in pairs]
    found = [(text, _characters(tokenizer, text)) for text in texts] if spans else []
    return TextProof(dict(files), dict(special), encoded, decoded, spans=found)


def _characters(tokenizer: Tokenizer, text: str) -> list[tuple[int, int]]:
    """Return where each token of a text stands in it, without white space around it."""
    assert isinstance(tokenizer, EncoderTokenizer)
    found = tokenizer.spans(text)
    return [found.characters(i, i, text) for i in range(len(found.ids))]


def _encode(tokenizer: Tokenizer, text: str, pair: str | None = None) -> list[int]:
    return tokenizer.encode(text, pair) if isinstance(tokenizer, EncoderTokenizer) else tokenizer.encode(text)


def settings_digest(manifest: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the manifest's fields that change answers but not scores, such as labels."""
    model = manifest["model"]
    config = model.get("config") or {}
    fields = {
        name: manifest.get(name) for name in ("task", "buckets", "max_source_tokens", "search", "languages")
    }
    fields |= {name: model.get(name) for name in ("labels", "classes")}
    fields |= {name: config.get(name) for name in ("prompts", "default_prompt")}
    # Bundles of earlier versions have none of these.
    fields |= {"truncates": True} if config.get("truncates") else {}
    fields |= {"pairs": model["pairs"]} if model.get("pairs") else {}
    fields |= {"multi_label": True} if config.get("multi_label") else {}
    fields |= {"activation": config.get("activation")} if manifest.get("task") == "scoring" else {}
    fields |= {name: manifest[name] for name in ("text_template",) if name in manifest}
    read = json.loads(json.dumps(fields))  # as a reader of the manifest sees it
    return hashlib.sha256(json.dumps(read, sort_keys=True).encode()).hexdigest()


def replaced_files(bundle: Bundle, proof: TextProof) -> list[str]:
    """Return what differs from the export: files, ``special_ids`` or other fields of the manifest."""
    listed = bundle.manifest["files"]
    proven = (TOKENIZER, TARGET_TOKENIZER, SHORTLIST)
    present = {name: listed[name]["sha256"] for name in proven if name in listed}
    names = sorted(proof.files.keys() | present.keys())
    other = [name for name in names if proof.files.get(name) != present.get(name)]
    if proof.special_ids != bundle.manifest["special_ids"]:
        other.append("special_ids")
    if proof.settings and proof.settings != settings_digest(bundle.manifest):
        other.append("labels, prompts, lengths or options of the manifest")
    return other


@dataclass
class TextFigures:
    """How a tokenizer compares with a proof's texts.

    Attributes:
        encoded: texts whose ids were compared.
        decoded: ids whose texts were compared.
        equal: how many of all these equal the proof's.
        different: the first that differs: the text, or the proof's text of its ids.
    """

    encoded: int
    decoded: int
    equal: int
    different: str | None

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain values."""
        return dict(self.__dict__)


def measure_texts(tokenizer: Tokenizer, proof: TextProof) -> TextFigures:
    """Compare how a tokenizer encodes a proof's texts and decodes its ids with what the proof says."""
    different = [text for text, pair, ids in proof.encoded if _encode(tokenizer, text, pair) != ids]
    different += [text for ids, text in proof.decoded if tokenizer.decode(ids) != text]
    different += [text for text, where in proof.spans if _characters(tokenizer, text) != where]
    encoded, decoded = len(proof.encoded) + len(proof.spans), len(proof.decoded)
    return TextFigures(
        encoded, decoded, encoded + decoded - len(different), different[0] if different else None
    )
