"""Downloads of files with known hashes: cached, resumed when interrupted, made by one process for all."""

import contextlib
import hashlib
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.client import HTTPException, HTTPResponse
from io import FileIO
from pathlib import Path

from filelock import FileLock

from keras_attn.errors import KerasAttnError

Progress = Callable[[str, int, int | None], None]
"""Called with the file's name, the bytes received and the total bytes (None while unknown)."""

LOCK = ".lock"
_ATTEMPTS = 3
_TIMEOUT = 30.0  # seconds without a byte
_CHUNK = 1 << 16


class DownloadError(KerasAttnError, ValueError):
    """A downloaded file is not the published one, or cannot be written. The message names it."""


def cache_folder(kind: str) -> Path:
    """Return `$KERAS_ATTN_CACHE/KIND`, or `keras_attn/KIND` in the platform's cache folder."""
    chosen = os.environ.get("KERAS_ATTN_CACHE")
    if chosen:
        return Path(chosen).expanduser() / kind
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "keras_attn" / kind


def fetch(url: str, path: Path, sha256: str, progress: Progress | None = None) -> None:
    """Download `url` to `path`, unless it exists and has the right hash.

    A partial download is kept in `path.part`, where the next attempt continues, in this call or a later one.
    Only a file with the right hash gets its name. Other processes that download into the same folder wait;
    the lock is its file `.lock`, which stays.

    Raises:
        DownloadError: if the complete file has another hash, and is deleted, or it cannot be written, as on a
            full disk.
        OSError, HTTPException: if the server cannot be reached, or the connection keeps breaking.
    """
    if path.is_file() and _sha256(path) == sha256:
        return
    with _writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.parent / LOCK):
        if not path.is_file() or _sha256(path) != sha256:  # no other process fetched it meanwhile
            _fetch(url, path, sha256, progress)


def _fetch(url: str, path: Path, sha256: str, progress: Progress | None) -> None:
    part = path.with_name(f"{path.name}.part")
    resumed = part.exists()
    _download(url, part, progress)
    found = _sha256(part)
    if found != sha256 and resumed:  # the earlier part may be damaged: once more from the beginning
        part.unlink()
        _download(url, part, progress)
        found = _sha256(part)
    if found != sha256:
        part.unlink()
        raise DownloadError(
            f"{url} has the SHA-256 {found} where {sha256} is expected, so it is not the published file and "
            "was deleted; try again later."
        )
    part.replace(path)


def _download(url: str, part: Path, progress: Progress | None) -> None:
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return _continue(url, part, progress)
        except urllib.error.HTTPError as error:
            if error.code == 416:  # nothing is left to download: complete, or the start of another file
                return
            raise
        except (OSError, HTTPException):
            if attempt == _ATTEMPTS or not part.exists():
                raise


def _continue(url: str, part: Path, progress: Progress | None) -> None:
    """Download the rest of `part`, and append it."""
    done = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={done}-"} if done else {})
    with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:
        if done and not _continues_at(response, done):
            done = 0
        length = response.headers.get("Content-Length")
        total = done + int(length) if length is not None else None
        with _writing(part):
            out = part.open("ab" if done else "wb", buffering=0)
        with out:
            while chunk := response.read(_CHUNK):
                with _writing(part):
                    _write_all(out, chunk)
                done += len(chunk)
                if progress is not None:
                    progress(part.name.removesuffix(".part"), done, total)
    if total is not None and done < total:  # a connection that ends early looks like the end of the file
        raise ConnectionError(f"the connection ended after {done} of {total} bytes; run again to resume")


def _write_all(out: FileIO, chunk: bytes) -> None:
    while chunk:
        chunk = chunk[out.write(chunk) :]


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Raise a DownloadError for errors of the disk, for which another attempt would not help."""
    try:
        yield
    except OSError as error:
        raise DownloadError(f"{path} cannot be written: {error.strerror}. Fix that, and run again.") from None


def _continues_at(response: HTTPResponse, start: int) -> bool:
    return response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {start}-")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
