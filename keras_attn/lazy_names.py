"""Names of a package that are imported when they are first used, and that tab completion shows before."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def lazy_names(
    package: str, homes: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return a package's ``__getattr__`` and ``__dir__`` (PEP 562).

    Args:
        package: name of the package.
        homes: the module of each name, relative to the package with a leading dot or absolute. A name whose
            module ends in that very name, after the dot, is the module itself: ``{"layers": ".layers"}``.
    """

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        home = importlib.import_module(homes[name], package)
        return home if homes[name] == f".{name}" else getattr(home, name)

    return get, lambda: sorted(homes)
