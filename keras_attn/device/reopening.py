"""Objects of bundles in other processes: when pickled or copied, they open their bundle again."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from multiprocessing import parent_process
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_attn.device.errors import BundleError
from keras_attn.device.files.bundle import Bundle
from keras_attn.errors import ArgumentTypeError

if TYPE_CHECKING:
    from typing import Self

    from keras_attn.device import Loaded


@dataclass(frozen=True)
class Opening:
    """How an object was opened.

    Attributes:
        path: of the bundle, absolute, so that it is right in a process with another working directory.
        digest: of the manifest, which lists the hashes of all other files.
        threads: threads that the interpreter may use.
        weight_cache: see ``device.load``.
        whole_vocabulary: see ``device.load``.
    """

    path: Path
    digest: str
    threads: int
    weight_cache: Path | None
    whole_vocabulary: bool

    @classmethod
    def of(cls, bundle: Bundle, threads: int) -> Self:
        """Return how a bundle has been opened."""
        cache = None if bundle.weight_cache is None else bundle.weight_cache.absolute()
        return cls(bundle.path.absolute(), _digest(bundle), threads, cache, bundle.whole_vocabulary)


class Reopened:
    """Mix-in: an object of a bundle can be pickled and copied; each copy has a model of its own.

    Attributes:
        opening: how the object was opened; None where it was built from parts.
    """

    opening: Opening | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        if self.opening is None:
            raise ArgumentTypeError(
                f"This {type(self).__name__} cannot be pickled or copied, since it was not opened from a "
                "bundle; keras_attn.device.load returns one that can."
            )
        return _reopened, (self.opening,)


# A pool pickles what it calls with every task: its processes open a bundle the first time only.
_kept_in_pools: dict[Opening, Loaded] = {}


def _reopened(opening: Opening) -> Loaded:
    """Open a bundle again.

    Raises:
        BundleError: it is missing, or has changed.
    """
    if parent_process() is None:
        return _open(opening)
    if opening not in _kept_in_pools:
        _kept_in_pools[opening] = _open(opening)
    return _kept_in_pools[opening]


def _open(opening: Opening) -> Loaded:
    from keras_attn.device import load_opened

    bundle = Bundle.open(opening.path, opening.weight_cache, opening.whole_vocabulary)
    if _digest(bundle) != opening.digest:
        raise BundleError(
            f"{bundle.path} has changed since the object that is copied or sent was loaded; "
            "load the bundle again, then copy or send the new object."
        )
    return load_opened(bundle, opening.threads)


def _digest(bundle: Bundle) -> str:
    return hashlib.sha256(json.dumps(bundle.manifest, sort_keys=True).encode()).hexdigest()
