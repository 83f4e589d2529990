"""Bundles: a folder, or one .zip, with a model, its tokenizer, its proof, and a manifest with their hashes.

Everything is checked before anything is used: format version, fields, sizes, SHA-256. Nothing in a bundle is
executable and nothing is unpickled. Files are read by the names that the manifest lists, never by those in an
archive, and a bundle that is replaced while it is read stays the one that was opened.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from keras_attn.device.errors import BundleError
from keras_attn.device.files.atomic_write import check_file, replaced, replaced_folder
from keras_attn.device.files.bundle_files import BundleFiles, OpenFile, open_files
from keras_attn.device.files.folder_kinds import is_bundle, is_run
from keras_attn.device.files.folder_swap import restore_folder
from keras_attn.device.files.manifest import (
    FORMAT_VERSION,
    LARGEST_MANIFEST,
    MANIFEST,
    MODEL,
    PROOF,
    SELECT,
    SHORTLIST,
    TARGET_TOKENIZER,
    TOKENIZER,
    parse_manifest,
    read_manifest,
)

__all__ = [
    "FORMAT_VERSION",
    "MANIFEST",
    "MODEL",
    "PROOF",
    "SELECT",
    "SHORTLIST",
    "TARGET_TOKENIZER",
    "TOKENIZER",
    "Bundle",
    "write_bundle",
]

_REQUIREMENT = re.compile(r"(?P<name>[^<>=\s]+)\s*>=\s*(?P<version>[0-9][0-9.]{0,30})")
_TOKENIZERS = re.compile(r"tokenizer(-[0-9]+)?\.json")
_LARGEST_FILE, _LARGEST_TOKENIZER, _LARGEST_MODEL = 256 * 2**20, 64 * 2**20, 2**31 - 1
Found = TypeVar("Found")
_TIMEOUT = 5.0  # seconds that a bundle may be missing while it is replaced


@dataclass(frozen=True)
class Bundle:
    """A bundle whose manifest and files have been checked.

    Copies and unpickled objects open the bundle again.

    Attributes:
        path: the folder or the .zip.
        manifest: the contents of ``manifest.json``.
        weight_cache: a folder for packed weights, or None.
        whole_vocabulary: whether not to use a shortlist, if the bundle has one.
    """

    path: Path
    manifest: dict[str, Any]
    weight_cache: Path | None = None
    whole_vocabulary: bool = False
    _files: BundleFiles = field(kw_only=True, repr=False, compare=False)

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        weight_cache: str | os.PathLike[str] | None = None,
        whole_vocabulary: bool = False,
    ) -> Bundle:
        """Open a bundle after checking everything that can be checked without running it.

        Args:
            path: a folder or a .zip.
            weight_cache: a folder in which a large model's weights stay packed, see ``device.load``.
            whole_vocabulary: whether not to use a shortlist, see ``device.load``.

        Raises:
            BundleError: names the file and the field that is missing, damaged or of another format.
        """
        path = Path(path)
        if path.suffix == ".keras":
            raise BundleError(
                f"{path} is a Keras model, not a bundle: keras-attn export {path} BUNDLE makes one."
            )
        files, manifest = _steadily(path, lambda files: _checked(files, path))
        cache = None if weight_cache is None else Path(weight_cache)
        return cls(path, manifest, cache, whole_vocabulary, _files=files)

    def __reduce__(self) -> tuple[Any, ...]:
        return Bundle.open, (self.path, self.weight_cache, self.whole_vocabulary)

    def read(self, name: str) -> bytes:
        """Return the contents of one of the bundle's files.

        Raises:
            BundleError: the manifest does not list the file, or it changed since the bundle was opened.
        """
        if name not in self.manifest["files"]:
            raise BundleError(f"{self.path} has no {name}.")
        entry = self.manifest["files"][name]
        content = self._files.read(name, entry["bytes"], _limit(name))
        if hashlib.sha256(content).hexdigest() != entry["sha256"]:
            raise BundleError(f"{self.path}/{name} was changed while it was read; open the bundle again.")
        return content

    def model(self) -> OpenFile | bytes:
        """Return the model file, open and ready to be mapped, or its bytes if the bundle is a .zip."""
        return self._files.mapped(MODEL) or self.read(MODEL)

    def check_runtime(self, name: str, version: str) -> None:
        """Raise for an interpreter that the manifest does not list: it could load the model and compute
        garbage.

        Raises:
            BundleError: names the interpreters that the bundle may run on.
        """
        for requirement in self.manifest["runtimes"]:
            match = _REQUIREMENT.fullmatch(requirement)
            if match and match["name"] == name and _version(version) >= _version(match["version"]):
                return
        raise BundleError(
            f"{self.path} (recipe {self.manifest['recipe']}) may run on "
            f"{' or '.join(self.manifest['runtimes'])}, but this is {name} {version}; "
            "install one of those, or export with another recipe."
        )


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", text)[:3])


def _steadily(path: Path, read: Callable[[BundleFiles | None], Found]) -> Found:
    """Return what is read from a bundle, or from its successor if it is being replaced."""
    begun = time.monotonic()
    while True:
        files = open_files(path)
        try:
            return read(files)
        except BundleError:
            going = restore_folder(path) if files is None else files.replaced()
            if not going or time.monotonic() - begun > _TIMEOUT:
                raise
            time.sleep(0.001)


def _checked(files: BundleFiles | None, path: Path) -> tuple[BundleFiles, dict[str, Any]]:
    """Return a bundle's files and manifest, after checking them."""
    if files is None:
        raise BundleError(f"There is no bundle at {path}.")
    if is_run(path) and not is_bundle(path):
        raise BundleError(
            f"{path} is a run folder, not a bundle: export it first, with keras-attn export {path} BUNDLE."
        )
    manifest = read_manifest(files.read(MANIFEST, None, LARGEST_MANIFEST), f"{path}/{MANIFEST}")
    files.hold(manifest["files"])
    for name, entry in manifest["files"].items():
        if entry["bytes"] > _limit(name):
            raise BundleError(
                f"{path}/{name} has {entry['bytes']} bytes, and at most {_limit(name)} are read."
            )
        if files.digest(name, entry["bytes"]) != entry["sha256"]:
            raise BundleError(
                f"{path}/{name} does not have the SHA-256 of the manifest: it is damaged or was changed; "
                "copy it again."
            )
    return files, manifest


def _limit(name: str) -> int:
    if name == TARGET_TOKENIZER or _TOKENIZERS.fullmatch(name):
        return _LARGEST_TOKENIZER
    return _LARGEST_MODEL if name == MODEL else _LARGEST_FILE


def write_bundle(
    path: str | os.PathLike[str], manifest: Mapping[str, Any], files: Mapping[str, bytes | Path]
) -> Bundle:
    """Write a bundle aside, check it by opening it, and move it into place.

    Readers meanwhile find the old bundle or this one, never a part of either.

    Args:
        path: a folder, or a file whose name ends in ``.zip``. An existing bundle is replaced.
        manifest: everything except ``files``, which is filled in.
        files: contents, or the path of a file to copy, by name.

    Raises:
        BundleError: there is something else at ``path``, or what was written would not open.
    """
    path = Path(path)
    check_destination(path)
    contents = {
        name: data if isinstance(data, bytes) else Path(data).read_bytes() for name, data in files.items()
    }
    entries = {
        name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
        for name, data in contents.items()
    }
    text = json.dumps({**manifest, "files": entries}, ensure_ascii=False, indent=2)
    contents = {MANIFEST: f"{text}\n".encode(), **contents}
    write, replace = (_write_zip, replaced) if path.suffix == ".zip" else (_write_folder, replaced_folder)
    with replace(path) as aside:
        write(aside, contents)
        try:
            Bundle.open(aside)
        except BundleError as error:
            raise BundleError(str(error).replace(str(aside), str(path))) from None
    return Bundle.open(path)


def check_destination(path: str | os.PathLike[str]) -> None:
    """Raise the error that `write_bundle` would end with, as far as it is predictable.

    Raises:
        BundleError: there is something else than a bundle, or a folder where a .zip is to be written, or vice
            versa.
        OSError: nothing can be written there.
    """
    path = Path(path)
    if path.suffix != ".zip" and path.is_file():
        raise BundleError(f"{path} is a file, not a folder or a .zip; choose another name.")
    restore_folder(path)
    check_file(path if path.suffix == ".zip" else path / MANIFEST)
    if _is_free(path):
        return

    def check(files: BundleFiles | None) -> None:
        if files is not None:
            parse_manifest(files.read(MANIFEST, None, LARGEST_MANIFEST), str(path))["format_version"]

    try:
        _steadily(path, check)
    except (BundleError, KeyError):
        raise BundleError(
            f"{path} exists and is not a bundle; choose another name, or remove it first."
        ) from None
    if path.suffix == ".zip" and path.is_dir():
        raise BundleError(f"{path} is a folder, but a .zip is to be written; choose another name.")
    if path.suffix != ".zip" and path.is_file():
        raise BundleError(f"{path} is a file, but a folder is to be written; choose another name.")


def _is_free(path: Path) -> bool:
    """Return whether there is nothing, or an empty folder; another writer may be at work."""
    try:
        return not any(path.iterdir())
    except FileNotFoundError:
        return True
    except NotADirectoryError:
        return False


def _write_zip(path: Path, contents: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in contents.items():
            # A fixed date, so that the same contents give the same file.
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.external_attr = 0o644 << 16
            archive.writestr(info, data, zipfile.ZIP_DEFLATED)


def _write_folder(path: Path, contents: Mapping[str, bytes]) -> None:
    for name, data in contents.items():
        (path / name).write_bytes(data)
