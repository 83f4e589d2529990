"""Where the published test files come from: fetched once into a cache folder, and never committed."""

import hashlib
import os
import urllib.error
import urllib.request
from importlib import metadata
from pathlib import Path

from upstream.suites import VERSIONS, Suite

# Keras' wheel ships its tests. KerasHub's wheel and sdist leave them out; its release's tag has them.
KERAS_HUB_URL = "https://raw.githubusercontent.com/keras-team/keras-hub/v{version}/{file}"
SECONDS_TO_ANSWER = 20


class UnavailableError(Exception):
    """A published test file cannot be had here; the message says why."""


def published(suite: Suite) -> Path:
    """Return the suite's test file, from the cache or the place of publication.

    Args:
        suite: the suite whose file is wanted.

    Returns:
        Path of the file, in `$KERAS_ATTN_CACHE/upstream` or `~/.cache/keras_attn/upstream`.

    Raises:
        UnavailableError: the package is not installed, is of another release, or its tests are out of reach.
        ValueError: the file is not the one that was released.
    """
    version = VERSIONS[suite.distribution]
    try:
        package = metadata.distribution(suite.distribution)
    except metadata.PackageNotFoundError:
        raise UnavailableError(f"{suite.distribution} is not installed") from None
    if package.version != version:
        raise UnavailableError(f"they are those of {suite.distribution} {version}, not {package.version}")
    path = cache_folder() / f"{suite.distribution}-{version}" / suite.file_name
    if not path.is_file():
        shipped = Path(str(package.locate_file(suite.file)))
        content = shipped.read_bytes() if shipped.is_file() else _download(suite, version)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        part.write_bytes(content)
        part.replace(path)
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if suite.sha256 not in (None, found):
        raise ValueError(f"{path} has the SHA-256 {found} where {suite.sha256} was released; delete it.")
    return path


def cache_folder() -> Path:
    """Return the folder of the downloaded files."""
    return Path(os.environ.get("KERAS_ATTN_CACHE") or Path.home() / ".cache" / "keras_attn") / "upstream"


def _download(suite: Suite, version: str) -> bytes:
    url = KERAS_HUB_URL.format(version=version, file=suite.file)
    try:
        with urllib.request.urlopen(url, timeout=SECONDS_TO_ANSWER) as answer:
            return answer.read()
    except (urllib.error.URLError, OSError) as error:
        raise UnavailableError(f"{url} cannot be reached ({error})") from None
