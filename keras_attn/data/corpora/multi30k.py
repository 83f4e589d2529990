"""Multi30k, task 1: 29,000 image captions in English, German and French.

The raw text files (Elliott et al. 2016, arXiv:1605.00459) come from the corpus' public repository: six small
files for two languages, each checked against a pinned SHA-256, cached in a folder, and resumed after an
interruption. Of several processes one downloads them while the others wait. The corpus is for research and
education only.
"""

import contextlib
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.client import HTTPException, HTTPResponse
from io import FileIO
from pathlib import Path

from filelock import FileLock

from keras_attn.data.corpora.checksums import sha256 as sha256_of
from keras_attn.data.errors import DataError
from keras_attn.data.readers.parallel import ParallelCorpus, corpus_from_pairs, read_prefix

BASE_URL = "https://raw.githubusercontent.com/multi30k/dataset/master/data/task1/raw"
LANGUAGES = ("en", "de", "fr")
SPLITS = {"train": "train", "validation": "val", "test": "test_2016_flickr"}

SHA256 = {
    "train.en.gz": "d79cfa999dd4c51d2cb42499b6796d5a882c3a8a961923c25a898c90f8bbd56f",
    "train.de.gz": "726e39b2fa9eb9ffb6dc763fb35a179f80fae06ffc5d28b6ace5faa883de28a6",
    "train.fr.gz": "622e75069e9f4c577425c4f277116ce66e63a2401c0a2312d90073cb12379a3c",
    "val.en.gz": "14f7d25ddd868909a9213e361768460edcacdd6ab9d1e77b92560dc10c10dc28",
    "val.de.gz": "f0cba2f995189cf5770f29a8a9a537a3ad3f51657ad873405082ff6863a5e75a",
    "val.fr.gz": "ca3106f1a72390591d25f6c45cb4cd39dec4cd3f123e099748a3ce5256c160e9",
    "test_2016_flickr.en.gz": "611d361c6334bc7246101d48097c13cf5c4413c5befc793cc629934359d532d9",
    "test_2016_flickr.de.gz": "9204244e408ccb38d2a55cfcd344df15005fc42a07a6e55ca6c52b6ababb8cc8",
    "test_2016_flickr.fr.gz": "6d326e188d259fb1d04ac19eae3af956559b3a0b93d7635e56c90987c40c8b90",
}

Progress = Callable[[str, int, int | None], None]
"""Called with the file's name, the bytes received and the total bytes (None while unknown)."""

LOCK = ".lock"
_ATTEMPTS = 3
_TIMEOUT = 30.0  # seconds without a byte
_CHUNK = 1 << 16


def load_multi30k(
    source_language: str,
    target_language: str,
    *,
    cache: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    base_url: str = BASE_URL,
) -> ParallelCorpus:
    """Return the corpus for two of `LANGUAGES`, downloaded if it is not cached.

    The test split is `test_2016_flickr`.

    Raises:
        DataError: if the languages are unknown, or a file cannot be downloaded (the message names the cache
            folder and the files).
    """
    name = f"multi30k:{source_language}-{target_language}"
    if source_language == target_language or not {source_language, target_language} <= set(LANGUAGES):
        raise DataError(
            f"{name} does not exist; Multi30k has two different languages of {', '.join(LANGUAGES)}."
        )
    folder = Path(cache) if cache is not None else cache_folder()
    languages = (source_language, target_language)
    files = [f"{split}.{language}.gz" for split in SPLITS.values() for language in languages]
    for file in files:
        try:
            fetch(f"{base_url}/{file}", folder / file, SHA256[file], progress)
        except (OSError, HTTPException) as error:
            raise DataError(_unreachable(name, base_url, folder, files, error)) from None
    pairs = {split: read_prefix(folder / stem, *languages) for split, stem in SPLITS.items()}
    return corpus_from_pairs(
        **pairs, source_language=source_language, target_language=target_language, name=name
    )


def cache_folder() -> Path:
    """Return `$KERAS_ATTN_CACHE/multi30k`, or `keras_attn/multi30k` in the platform's cache folder."""
    chosen = os.environ.get("KERAS_ATTN_CACHE")
    if chosen:
        return Path(chosen).expanduser() / "multi30k"
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "keras_attn" / "multi30k"


def fetch(url: str, path: Path, sha256: str, progress: Progress | None = None) -> None:
    """Download `url` to `path`, unless it exists and has the right hash.

    A partial download is kept in `path.part`, where the next attempt continues, in this call or a later one.
    Only a file with the right hash gets its name. Other processes that download into the same folder wait;
    the lock is its file `.lock`, which stays.

    Raises:
        DataError: if the complete file has another hash, and is deleted, or it cannot be written, as on a
            full disk.
        OSError, HTTPException: if the server cannot be reached, or the connection keeps breaking.
    """
    if path.is_file() and sha256_of(path) == sha256:
        return
    with _writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.parent / LOCK):
        if not path.is_file() or sha256_of(path) != sha256:  # no other process fetched it meanwhile
            _fetch(url, path, sha256, progress)


def _fetch(url: str, path: Path, sha256: str, progress: Progress | None) -> None:
    part = path.with_name(f"{path.name}.part")
    resumed = part.exists()
    _download(url, part, progress)
    found = sha256_of(part)
    if found != sha256 and resumed:  # the earlier part may be damaged: once more from the beginning
        part.unlink()
        _download(url, part, progress)
        found = sha256_of(part)
    if found != sha256:
        part.unlink()
        raise DataError(
            f"{url} has the SHA-256 {found} where {sha256} is expected, so it is not the "
            f"published file and was deleted; try again later, or give your own files with --train PREFIX."
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
    """Raise a DataError for errors of the disk, for which another attempt would not help."""
    try:
        yield
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror}. Fix that, and run again.") from None


def _continues_at(response: HTTPResponse, start: int) -> bool:
    return response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {start}-")


def _unreachable(name: str, base_url: str, folder: Path, files: list[str], error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    return (
        f"{name} cannot be downloaded from {base_url} ({reason}). Without a network, put "
        f"{', '.join(files)} from there into {folder}, or give your own files with --train PREFIX."
    )
