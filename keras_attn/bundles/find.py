"""From a name or a path to a bundle on this machine.

What lies at a path wins over a bundle of that name. Small bundles come with this package; others are
downloaded once, into `$KERAS_ATTN_CACHE/bundles` or the platform's cache folder.
"""

import os
import re
from http.client import HTTPException
from pathlib import Path

from keras_attn.bundles.registry import Entry, entries, nearest
from keras_attn.device.errors import BundleError

NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
_PACKAGE = Path(__file__).parent


def find_bundle(given: str | os.PathLike[str], progress=None) -> Path:
    """Return the path of a bundle, which is downloaded if it is known by name only.

    Args:
        given: a path, or a name of the registry.
        progress: called during a download, as `keras_attn.downloads.fetch` calls it.

    Returns:
        The path of a folder or a .zip; `given` itself where it is no name.

    Raises:
        BundleError: there is nothing at `given`, and it is like a name but none; or the bundle of that name
            is missing and cannot be downloaded.
    """
    text, path = os.fspath(given), Path(given)
    if path.exists() or not NAME.fullmatch(text):
        return path
    if text in entries():
        return shipped(text) or _downloaded(entries()[text], progress)
    if close := nearest(text):
        raise BundleError(
            f"{text} does not exist, and there is no bundle of this name: did you mean {close}? "
            f"There are {', '.join(entries())}."
        )
    return path


def is_name(given: str | os.PathLike[str]) -> bool:
    """Return whether a bundle is asked for by name: nothing lies at this path."""
    return os.fspath(given) in entries() and not Path(given).exists()


def shipped(name: str) -> Path | None:
    """Return the bundle that came with this package: in `demos/bundles` of a checkout, or in the wheel."""
    for folder in (_PACKAGE.parents[1] / "demos" / "bundles", _PACKAGE / "shipped"):
        if (folder / name / "manifest.json").is_file():
            return folder / name
    return None


def _downloaded(entry: Entry, progress) -> Path:
    from keras_attn.downloads import DownloadError, cache_folder, fetch

    path = cache_folder("bundles") / f"{entry.name}.zip"
    if not entry.url and not path.is_file():
        raise BundleError(
            f"The bundle {entry.name} is published only as a part of keras-attn, and is missing in "
            f"{_PACKAGE}: install keras-attn again."
        )
    try:
        fetch(entry.url, path, entry.sha256, progress)
    except DownloadError as error:
        raise BundleError(f"The bundle {entry.name} cannot be used: {error}") from None
    except (OSError, HTTPException) as error:
        raise BundleError(
            f"The bundle {entry.name} cannot be downloaded from {entry.url} "
            f"({getattr(error, 'reason', None) or error}). Without a network, put this file, of SHA-256 "
            f"{entry.sha256}, at {path}, or in the folder bundles of the one that KERAS_ATTN_CACHE names."
        ) from None
    return path
