"""``manifest.json``, which describes a bundle and lists the hashes of its files; every field is checked."""

from __future__ import annotations

import json
import re
import reprlib
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from keras_attn.device.errors import BundleError
from keras_attn.device.files.interface_check import check_interface
from keras_attn.device.task_names import ENCODER_TASKS, PREDICTION, RESULTS, TASKS, TOKEN_TASKS
from keras_attn.device.text.tokenizer import SPECIAL_ROLES
from keras_attn.errors import ArgumentError

FORMAT_VERSION = 2
MANIFEST, MODEL, TOKENIZER, PROOF = "manifest.json", "model.tflite", "tokenizer.json", "proof.npz"
TARGET_TOKENIZER = "target_tokenizer.json"
"""Optional: the tokenizer of a translator's targets, if it differs from that of its sources."""
SHORTLIST, SELECT = "shortlist.npz", "select"
"""Optional: a translator's vocabulary shortlist, and the signature that reads its candidates' rows."""
LARGEST_MANIFEST = 16 * 2**20

_FIELDS: dict[str, type] = {
    "task": str,
    "model": dict,
    "special_ids": dict,
    "recipe": str,
    "signatures": dict,
    "buckets": list,
    "max_source_tokens": int,
    "files": dict,
    "runtimes": list,
}
_OPTIONAL: dict[str, type] = {
    "languages": dict,
    "search": dict,
    "text_template": dict,
    "made_from": dict,
    "versions": dict,
    "created": str,
    "text_signatures": dict,
    "interface": dict,
    "preprocessing": dict,
}
_SEARCH: dict[str, type] = {
    "force_end": bool,
    "early_stopping": bool,
    "min_length": int,
    "no_repeat_ngram": int,
}
_MADE_FROM: dict[str, type] = {"parameters": int, "max_tokens": int, "columns": dict, "bleu_tokenize": str}
_MODEL: dict[str, type] = {
    "class_name": str,
    "config": dict,
    "labels": list,
    "classes": dict,
    "pairs": bool,
}
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NUMBER = re.compile(r"[1-9][0-9]{0,8}")
_DTYPES = {"inputs": ("int32", "float32", "string"), "outputs": ("int32", "float32")}
_LABELLED = ("classification", "token-classification")
_MOST_FILES, _LONGEST_NAME = 64, 200
_LARGEST = 2**31 - 1  # what an int32 holds


def read_manifest(content: bytes, where: str) -> dict[str, Any]:
    """Return the manifest in the contents of ``manifest.json``; ``where`` is its name in errors.

    Raises:
        BundleError: names the field that is missing, or of another type or range.
    """
    manifest = parse_manifest(content, where)
    _Check(manifest, where).all()
    return manifest


def parse_manifest(content: bytes, where: str) -> dict[str, Any]:
    """Return the JSON object in the contents of ``manifest.json``; its fields are not checked."""

    def refuse(constant: str) -> NoReturn:
        raise ArgumentError(f"{constant} is not a JSON number")

    try:
        manifest = json.loads(content, parse_constant=refuse)
        json.dumps(manifest, ensure_ascii=False).encode()  # refuses lone surrogates
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{where} is not JSON: {error}") from None
    if not isinstance(manifest, dict):
        raise BundleError(f"{where} must hold one JSON object.")
    return manifest


def is_whole(value: Any, least: int = 0, most: int = _LARGEST) -> bool:
    """Return whether a value is a whole number of this range."""
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


class _Check:
    """The checks of a manifest; ``where`` is its name in errors."""

    def __init__(self, manifest: dict[str, Any], where: str):
        self._manifest, self._where = manifest, where

    def _need(self, right: Any, problem: str) -> None:
        if not right:
            raise BundleError(f"{self._where}{problem}")

    def all(self) -> None:
        """Check all fields."""
        manifest = self._manifest
        version = manifest.get("format_version")
        self._need(
            is_whole(version) and version == FORMAT_VERSION,
            f": format_version is {_shown(version)}, and this program reads {FORMAT_VERSION}; "
            "export the model again, or install the version of keras-attn that wrote it.",
        )
        for field in _FIELDS:
            self._need(field in manifest, f" lacks {field!r}.")
        self._types("", manifest, {**_FIELDS, **_OPTIONAL})
        self._need(
            manifest["task"] in TASKS,
            f": task {_shown(manifest['task'])} is unknown; known are {', '.join(TASKS)}.",
        )
        for name, fields in (("model", _MODEL), ("search", _SEARCH), ("made_from", _MADE_FROM)):
            self._types(f"{name}: ", manifest.get(name) or {}, fields)
        predicts = manifest["task"] == PREDICTION
        if not predicts:
            self._special_ids()
        self._names()
        self._signatures()
        self._buckets()
        if predicts:
            check_interface(manifest, self._need)
        else:
            self._scores()
        self._files()

    def _types(self, field: str, values: Mapping[str, Any], kinds: Mapping[str, type]) -> None:
        for name, kind in kinds.items():
            value = values.get(name)
            right = is_whole(value, -1) if kind is int else isinstance(value, kind)
            # In optional fields null is the same as a missing field.
            self._need(
                right or (value is None and name not in _FIELDS),
                f": {field}{name!r} must be a {kind.__name__}, not {_shown(value)}.",
            )

    def _special_ids(self) -> None:
        ids = self._manifest["special_ids"]
        roles = (*SPECIAL_ROLES, *(["mask"] if self._manifest["task"] == "masked-lm" else []))
        for role in (*roles, *ids):
            self._need(is_whole(ids.get(role)), f": special_ids[{_shown(role)}] must be a token id.")

    def _names(self) -> None:
        manifest, model = self._manifest, self._manifest["model"]
        self._need(
            all(isinstance(each, str) for each in manifest["runtimes"]),
            ": runtimes must be a list of requirements such as 'ai-edge-litert>=1.4'.",
        )
        texts = (manifest.get("languages") or {}).values()
        self._need(all(isinstance(text, str) for text in texts), ": languages must be names.")
        several = (model.get("config") or {}).get("multi_label")
        self._need(several in (None, True, False), ": model: 'multi_label' must be true or false.")
        if manifest["task"] in _LABELLED:
            labels = model.get("labels") or []
            least, words = (1, "one") if several else (2, "two")
            right = len(labels) >= least and all(isinstance(label, str) for label in labels)
            self._need(right, f": model must have 'labels', a list of {words} or more names.")
            numbers = (model.get("classes") or {}).values()
            right = all(is_whole(number, 0, len(labels) - 1) for number in numbers)
            self._need(right, ": model: 'classes' must be numbers of labels.")
        config = model.get("config") or {}
        prompts = config.get("prompts") or {}
        if manifest["task"] == "embedding":
            right = isinstance(prompts, dict) and all(isinstance(text, str) for text in prompts.values())
            self._need(right, f": model: 'prompts' must be texts by name, not {_shown(prompts)}.")
            default = config.get("default_prompt")
            right = default is None or (isinstance(default, str) and default in prompts)
            self._need(
                right, f": model: 'default_prompt' must name one of its prompts, not {_shown(default)}."
            )
        truncates = config.get("truncates", False)
        right = isinstance(truncates, bool)
        self._need(right, f": model: 'truncates' must be true or false, not {_shown(truncates)}.")
        if manifest["task"] == "scoring":
            kind = config.get("activation", "sigmoid")
            right = kind in ("sigmoid", "linear")
            self._need(right, f": model: 'activation' must be sigmoid or linear, not {_shown(kind)}.")
        columns = (manifest.get("made_from") or {}).get("columns") or {}
        self._need(
            all(isinstance(name, str | int) for name in columns.values()),
            ": made_from: 'columns' must be names.",
        )

    def _signatures(self) -> None:
        for name, signature in self._manifest["signatures"].items():
            for side in ("inputs", "outputs"):
                tensors: Any = signature.get(side) if isinstance(signature, dict) else None
                field = f": signatures[{_shown(name)}]"
                self._need(isinstance(tensors, dict) and bool(tensors), f"{field} must have {side!r}.")
                for tensor, spec in tensors.items():
                    shape = spec.get("shape") if isinstance(spec, dict) else None
                    right = isinstance(shape, list) and all(is_whole(size, 1) for size in shape)
                    self._need(right, f"{field}, {_shown(tensor)} must have a 'shape' of sizes.")
                    self._need(
                        spec.get("dtype") in _DTYPES[side],
                        f"{field}, {_shown(tensor)} must be {' or '.join(_DTYPES[side])}.",
                    )

    def _buckets(self) -> None:
        manifest = self._manifest
        self._need(bool(manifest["buckets"]), ": buckets is empty.")
        decodes = manifest["task"] not in (*ENCODER_TASKS, PREDICTION)
        lengths = ("source", "target") if decodes else ("source",)
        last = 0
        for i, bucket in enumerate(manifest["buckets"]):
            field = f": buckets[{i}]"
            right = isinstance(bucket, dict) and all(is_whole(bucket.get(key), 1) for key in lengths)
            self._need(right, f"{field} must have {' and '.join(map(repr, lengths))} lengths.")
            self._need(bucket["source"] > last, f"{field}: source lengths must ascend.")
            last = bucket["source"]
            for name in self._named(bucket, field, decodes):
                self._need(
                    isinstance(name, str) and name in manifest["signatures"],
                    f"{field} names the signature {_shown(name)}, which signatures lacks.",
                )
        self._need(
            is_whole(manifest["max_source_tokens"], 1, last),
            f": max_source_tokens must be between 1 and the largest bucket's {last}.",
        )

    def _named(self, bucket: dict[str, Any], field: str, decodes: bool) -> Iterator[Any]:
        """Yield the names of signatures in a bucket."""
        if self._manifest["task"] == PREDICTION:
            names: Any = bucket.get("predict")
            self._need(_by_number(names), f"{field} must have 'predict' by number of examples.")
            yield from names.values()
            return
        yield bucket.get("encode")
        yield from (bucket[role] for role in ("heads", "text", "one_call") if role in bucket)
        if not decodes:
            return
        yield from self._steps(bucket, field, "steps")
        if "short_steps" in bucket:
            yield SELECT
            yield from self._steps(bucket, field, "short_steps")
        batches = bucket.get("batches", [])
        self._need(isinstance(batches, list), f"{field}: 'batches' must be a list.")
        for batch in batches:
            right = isinstance(batch, dict) and all(
                is_whole(batch.get(key), 1) for key in ("sentences", "beams")
            )
            right = right and _by_number(batch.get("steps"))
            self._need(
                right, f"{field}: 'batches' must have 'sentences', 'beams' and 'steps' by target tokens."
            )
            yield from batch["steps"].values()

    def _steps(self, bucket: dict[str, Any], field: str, kind: str) -> list[Any]:
        """Return the names of a bucket's step signatures, which are keyed by rows and target tokens."""
        steps: Any = bucket.get(kind)
        right = _by_number(steps) and all(_by_number(by_target) for by_target in steps.values())
        self._need(right, f"{field} must have {kind!r} by number of rows and then of target tokens.")
        right = all(max(map(int, by_target)) >= bucket["target"] for by_target in steps.values())
        self._need(right, f"{field} has {kind} for fewer target tokens than its 'target'.")
        return [name for by_target in steps.values() for name in by_target.values()]

    def _scores(self) -> None:
        """Check that scores are for all labels, or for a vocabulary that includes the special tokens."""
        manifest, signatures = self._manifest, self._manifest["signatures"]
        if manifest["task"] in TOKEN_TASKS:
            self._token_scores()
            return
        classifies = manifest["task"] == "classification"
        special_ids = manifest["special_ids"]
        most = max(special_ids[role] for role in SPECIAL_ROLES)
        for bucket in manifest["buckets"]:
            by_rows = {} if manifest["task"] in ENCODER_TASKS else bucket["steps"]
            names = [name for by_target in by_rows.values() for name in by_target.values()] or [
                bucket["encode"]
            ]
            for name in names:
                shape = signatures[name]["outputs"].get("scores", {}).get("shape")
                if shape is None:
                    continue
                field, count = f": signatures[{_shown(name)}] scores {shape[-1:]}", shape[-1] if shape else 0
                if manifest["task"] == "scoring":
                    self._need(count == 1, f"{field} must be one.")
                elif classifies:
                    labels = len(manifest["model"]["labels"])
                    self._need(count == labels, f"{field} labels, and model has {labels}.")
                else:
                    self._need(count > most, f"{field} tokens, and special_ids names {most}.")

    def _token_scores(self) -> None:
        """Check that each token has scores for all labels, or for an answer's start and end."""
        manifest = self._manifest
        name, labels = RESULTS[manifest["task"]], manifest["model"].get("labels") or []
        for bucket in manifest["buckets"]:
            length, signature = bucket["source"], manifest["signatures"][bucket["encode"]]
            found = signature["outputs"].get(name, {}).get("shape")
            wanted = [1, 2, length] if name == "position_scores" else [1, length, len(labels)]
            where = f": signatures[{_shown(bucket['encode'])}]"
            self._need(found == wanted, f"{where} must return {name} {wanted}, not {_shown(found)}.")

    def _files(self) -> None:
        files, buckets = self._manifest["files"], self._manifest["buckets"]
        shortened = any("short_steps" in bucket for bucket in buckets)
        texts = [] if self._manifest["task"] == PREDICTION else [TOKENIZER]
        for name in (MODEL, *texts, *([SHORTLIST] if shortened else [])):
            self._need(name in files, f": files lacks {name!r}.")
        if SHORTLIST in files:
            self._need(
                all("short_steps" in each for each in buckets), f": buckets lack the steps of {SHORTLIST}."
            )
        self._need(
            len(files) <= _MOST_FILES, f": files has {len(files)} names, at most {_MOST_FILES} are read."
        )
        for name, entry in files.items():
            field = f": files[{_shown(name)}]"
            right = bool(_FILE_NAME.fullmatch(name)) and name != MANIFEST and len(name) <= _LONGEST_NAME
            self._need(right, f"{field} is not a name that a file of a bundle may have.")
            right = isinstance(entry, dict) and is_whole(entry.get("bytes"))
            right = (
                right and isinstance(entry.get("sha256"), str) and bool(_SHA256.fullmatch(entry["sha256"]))
            )
            self._need(right, f"{field} must have 'bytes' and 'sha256'.")


def _by_number(value: Any) -> bool:
    return isinstance(value, dict) and bool(value) and all(_NUMBER.fullmatch(number) for number in value)


def _shown(value: Any) -> str:
    """Return a value as errors show it, shortened if it is long."""
    return reprlib.repr(value)
