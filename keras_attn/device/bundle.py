"""Bundles: a folder, or one .zip, with a model, its tokenizer, its proof, and a manifest vouching for them.

Everything is checked before anything is used: format version, fields, sizes, SHA-256. Nothing in a bundle is
executable and nothing is unpickled. Members are read by the names that the manifest lists, never by what an
archive calls them.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from keras_attn.device.errors import BundleError
from keras_attn.device.text import SPECIAL_ROLES

FORMAT_VERSION = 2
MANIFEST, MODEL, TOKENIZER, PROOF = "manifest.json", "model.tflite", "tokenizer.json", "proof.npz"
TARGET_TOKENIZER = "target_tokenizer.json"
"""Optional: what a translator's targets are read with, where that differs from its sources."""
SHORTLIST, SELECT = "shortlist.npz", "select"
"""Optional: a translator's vocabulary shortlist, and the signature that reads its candidates' rows."""
ENCODER_TASKS = ("classification", "embedding", "masked-lm")
TASKS = ("translation", "generation", *ENCODER_TASKS)

_FIELDS: dict[str, type | tuple[type, ...]] = {
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
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_REQUIREMENT = re.compile(r"(?P<name>[^<>=\s]+)\s*>=\s*(?P<version>[0-9][0-9.]*)")
_DTYPES = {"inputs": ("int32", "float32", "string"), "outputs": ("int32", "float32")}
_LARGEST_MANIFEST = 16 * 2**20


@dataclass(frozen=True)
class Bundle:
    """A bundle whose manifest and files have been checked.

    Attributes:
        path: the folder or the .zip.
        manifest: the contents of ``manifest.json``.
        weight_cache: a folder of the user's for packed weights, or None.
        whole_vocabulary: whether the user wants no shortlist, where the bundle has one.
    """

    path: Path
    manifest: dict[str, Any]
    weight_cache: Path | None = None
    whole_vocabulary: bool = False

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        weight_cache: str | os.PathLike[str] | None = None,
        whole_vocabulary: bool = False,
    ) -> Bundle:
        """Open a bundle, and check everything that can be checked without running it.

        Args:
            path: a folder or a .zip.
            weight_cache: a folder in which a large model's weights stay packed, see ``device.load``.
            whole_vocabulary: whether a shortlist is left alone, see ``device.load``.

        Raises:
            BundleError: names the file and the field that is missing, damaged or of another format.
        """
        path = Path(path)
        if not path.exists():
            raise BundleError(f"There is no bundle at {path}.")
        if not path.is_dir() and not zipfile.is_zipfile(path):
            raise BundleError(f"{path} is neither a bundle folder nor a .zip.")
        manifest = _parsed(_read(path, MANIFEST, None), f"{path}/{MANIFEST}")
        _check_manifest(manifest, f"{path}/{MANIFEST}")
        for name, entry in manifest["files"].items():
            _check_file(path, name, entry)
        return cls(path, manifest, None if weight_cache is None else Path(weight_cache), whole_vocabulary)

    def read(self, name: str) -> bytes:
        """Return the contents of one of the bundle's files.

        Raises:
            BundleError: the manifest lists no such file, or it changed since the bundle was opened.
        """
        if name not in self.manifest["files"]:
            raise BundleError(f"{self.path} has no {name}.")
        return _read(self.path, name, self.manifest["files"][name]["bytes"])

    def model(self) -> Path | bytes:
        """Return the model file's path, or its bytes if the bundle is a .zip."""
        return self.path / MODEL if self.path.is_dir() else self.read(MODEL)

    def check_runtime(self, name: str, version: str) -> None:
        """Refuse an interpreter that the manifest does not list: it could load the model and compute garbage.

        Raises:
            BundleError: says which interpreters the bundle may run on.
        """
        for requirement in self.manifest["runtimes"]:
            match = _REQUIREMENT.fullmatch(requirement)
            if match and match["name"] == name and _version(version) >= _version(match["version"]):
                return
        raise BundleError(
            f"{self.path} (recipe {self.manifest['recipe']}) may run on "
            f"{' or '.join(self.manifest['runtimes'])}, but this is {name} {version}; "
            "install one of these, or export with another recipe."
        )


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", text)[:3])


def _read(path: Path, name: str, size: int | None) -> bytes:
    """Read a file of a bundle; ``size`` is what the manifest says, None for the manifest itself."""
    try:
        if path.is_dir():
            found = (path / name).stat().st_size
            _check_size(path, name, found, size)
            return (path / name).read_bytes()
        with zipfile.ZipFile(path) as archive:
            _check_size(path, name, archive.getinfo(name).file_size, size)
            return archive.read(name)
    except (FileNotFoundError, KeyError):
        raise BundleError(f"{path} has no {name}.") from None
    except (OSError, RuntimeError, NotImplementedError, zipfile.BadZipFile, EOFError) as error:
        raise BundleError(f"{path}/{name} cannot be read: {error}") from None


def _check_size(path: Path, name: str, found: int, size: int | None) -> None:
    if size is None and found > _LARGEST_MANIFEST:
        raise BundleError(f"{path}/{name} has {found} bytes, which is too large for a manifest.")
    if size is not None and found != size:
        raise BundleError(
            f"{path}/{name} has {found} bytes, and the manifest says {size}; it is damaged, copy it again."
        )


def _check_file(path: Path, name: str, entry: Any) -> None:
    where = f"{path}/{MANIFEST}: files[{name!r}]"
    if not _FILE_NAME.fullmatch(name) or name == MANIFEST:
        raise BundleError(f"{where} is not a name that a file of a bundle may have.")
    if (
        not isinstance(entry, dict)
        or not _is_int(entry.get("bytes"))
        or not isinstance(entry.get("sha256"), str)
    ):
        raise BundleError(f"{where} must have 'bytes' and 'sha256'.")
    if hashlib.sha256(_read(path, name, entry["bytes"])).hexdigest() != entry["sha256"]:
        raise BundleError(
            f"{path}/{name} does not have the SHA-256 that the manifest says; it is damaged or was changed, "
            "copy it again."
        )


def _parsed(content: bytes, where: str) -> dict[str, Any]:
    try:
        manifest = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{where} is not JSON: {error}") from None
    if not isinstance(manifest, dict):
        raise BundleError(f"{where} must hold one JSON object.")
    return manifest


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 1 and all(isinstance(name, str) for name in value)


def _check_manifest(manifest: dict[str, Any], where: str) -> None:
    version = manifest.get("format_version")
    if version != FORMAT_VERSION:
        raise BundleError(
            f"{where}: format_version is {version!r}, and this program reads {FORMAT_VERSION}; "
            "export the model again, or install the version of keras-attn that wrote it."
        )
    for field, kind in _FIELDS.items():
        if field not in manifest:
            raise BundleError(f"{where} lacks {field!r}.")
        if not isinstance(manifest[field], kind) or (kind is int and not _is_int(manifest[field])):
            kind_name = kind.__name__ if isinstance(kind, type) else "value"
            raise BundleError(f"{where}: {field!r} must be a {kind_name}, not {manifest[field]!r}.")
    if manifest["task"] not in TASKS:
        raise BundleError(f"{where}: task {manifest['task']!r} is unknown; known are {', '.join(TASKS)}.")
    for role in SPECIAL_ROLES:
        if not _is_int(manifest["special_ids"].get(role)) or manifest["special_ids"][role] < 0:
            raise BundleError(f"{where}: special_ids[{role!r}] must be a token id.")
    if not all(isinstance(requirement, str) for requirement in manifest["runtimes"]):
        raise BundleError(f"{where}: runtimes must be a list of requirements such as 'ai-edge-litert>=1.4'.")
    if not isinstance(manifest.get("search", {}), dict):
        raise BundleError(f"{where}: 'search' must be a dict, not {manifest['search']!r}.")
    if manifest["task"] == "classification" and not _is_names(manifest["model"].get("labels")):
        raise BundleError(f"{where}: model must have 'labels', a list of two or more names.")
    shortened = any("short_steps" in bucket for bucket in manifest["buckets"] if isinstance(bucket, dict))
    for name in (MODEL, TOKENIZER, *([SHORTLIST] if shortened else [])):
        if name not in manifest["files"]:
            raise BundleError(f"{where}: files lacks {name!r}.")
    _check_signatures(manifest["signatures"], where)
    _check_buckets(manifest, where)


def _check_signatures(signatures: dict[str, Any], where: str) -> None:
    for name, signature in signatures.items():
        for side in ("inputs", "outputs"):
            tensors = signature.get(side) if isinstance(signature, dict) else None
            if not isinstance(tensors, dict) or not tensors:
                raise BundleError(f"{where}: signatures[{name!r}] must have {side!r}.")
            for tensor, spec in tensors.items():
                shape = spec.get("shape") if isinstance(spec, dict) else None
                if not isinstance(shape, list) or not all(_is_int(size) and size > 0 for size in shape):
                    raise BundleError(
                        f"{where}: signatures[{name!r}], {tensor!r} must have a 'shape' of sizes."
                    )
                if spec.get("dtype") not in _DTYPES[side]:
                    raise BundleError(
                        f"{where}: signatures[{name!r}], {tensor!r} must be {' or '.join(_DTYPES[side])}."
                    )


def _check_buckets(manifest: dict[str, Any], where: str) -> None:
    if not manifest["buckets"]:
        raise BundleError(f"{where}: buckets is empty.")
    decodes = manifest["task"] not in ENCODER_TASKS
    lengths = ("source", "target") if decodes else ("source",)
    last = 0
    for i, bucket in enumerate(manifest["buckets"]):
        field = f"{where}: buckets[{i}]"
        if not isinstance(bucket, dict) or not all(
            _is_int(bucket.get(key)) and bucket[key] > 0 for key in lengths
        ):
            raise BundleError(f"{field} must have {' and '.join(map(repr, lengths))} lengths.")
        if bucket["source"] <= last:
            raise BundleError(f"{field}: source lengths must ascend.")
        last = bucket["source"]
        roles = [role for role in ("heads", "text", "one_call") if role in bucket]
        names = [bucket.get("encode"), *(bucket[role] for role in roles)]
        names += _steps(bucket, field, "steps") if decodes else []
        if "short_steps" in bucket:
            names += [SELECT, *_steps(bucket, field, "short_steps")]
        for name in names:
            if not isinstance(name, str) or name not in manifest["signatures"]:
                raise BundleError(f"{field} names the signature {name!r}, which signatures lacks.")
    if manifest["max_source_tokens"] > last or manifest["max_source_tokens"] < 1:
        raise BundleError(f"{where}: max_source_tokens must be between 1 and the largest bucket's {last}.")


def _steps(bucket: dict[str, Any], field: str, kind: str) -> list[Any]:
    """Return the names of a bucket's step signatures, which stand by rows and target tokens."""
    steps = bucket.get(kind)
    if not _by_number(steps) or not all(_by_number(by_target) for by_target in steps.values()):
        raise BundleError(f"{field} must have {kind!r} by number of rows and then of target tokens.")
    if any(max(map(int, by_target)) < bucket["target"] for by_target in steps.values()):
        raise BundleError(f"{field} has {kind} with room for fewer target tokens than its 'target'.")
    return [name for by_target in steps.values() for name in by_target.values()]


def _by_number(value: Any) -> TypeGuard[dict[str, Any]]:
    return (
        isinstance(value, dict)
        and bool(value)
        and all(str(number).isdecimal() and int(number) for number in value)
    )


def write_bundle(
    path: str | os.PathLike[str], manifest: Mapping[str, Any], files: Mapping[str, bytes | Path]
) -> Bundle:
    """Write a bundle aside, check it by opening it, and move it into place.

    Args:
        path: a folder, or a file whose name ends in ``.zip``. A bundle that is there is replaced.
        manifest: everything but ``files``, which is filled in.
        files: contents, or the path of a file to copy, by name.

    Raises:
        BundleError: what is at ``path`` is not a bundle, or what was written would not open.
    """
    path = Path(path)
    _check_replaceable(path)
    contents = {
        name: data if isinstance(data, bytes) else Path(data).read_bytes() for name, data in files.items()
    }
    entries = {
        name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
        for name, data in contents.items()
    }
    text = json.dumps({**manifest, "files": entries}, ensure_ascii=False, indent=2)
    contents = {MANIFEST: f"{text}\n".encode(), **contents}
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        if path.suffix == ".zip":
            _write_zip(aside, contents)
        else:
            _write_folder(aside, contents)
        try:
            Bundle.open(aside)
        except BundleError as error:
            raise BundleError(str(error).replace(str(aside), str(path))) from None
        _move(aside, path)
    finally:
        _remove(aside)
    return Bundle.open(path)


def _check_replaceable(path: Path) -> None:
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    try:
        is_bundle = (path.is_dir() or zipfile.is_zipfile(path)) and "format_version" in _parsed(
            _read(path, MANIFEST, None), str(path)
        )
    except BundleError:
        is_bundle = False
    if not is_bundle:
        raise BundleError(f"{path} exists and is not a bundle; choose another name, or remove it first.")


def _write_zip(path: Path, contents: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in contents.items():
            # A fixed date, so that the same contents give the same file.
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.external_attr = 0o644 << 16
            archive.writestr(info, data, zipfile.ZIP_DEFLATED)


def _write_folder(path: Path, contents: Mapping[str, bytes]) -> None:
    path.mkdir()
    for name, data in contents.items():
        (path / name).write_bytes(data)


def _move(aside: Path, path: Path) -> None:
    if path.is_dir() != aside.is_dir() or (path.is_dir() and any(path.iterdir())):
        old = path.with_name(f".{path.name}.{os.getpid()}.old")
        if path.exists():
            path.rename(old)
        aside.rename(path)
        _remove(old)
    else:
        aside.replace(path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
