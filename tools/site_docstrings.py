"""An extension of griffe: tables in the docstrings of packages, a name and its explanation, become lists."""

import re
from typing import Any

from griffe import Extension, Module  # pyright: ignore[reportMissingImports]  # the `docs` extra

ROW = re.compile(r" {0,4}(?:``?)?([A-Za-z_][\w.]*(?:\([^)]*\))?(?:``?, ``?\w+)*)(?:``?)?(,| {2,}|$)(.*)")


def as_lists(text: str) -> str:
    """Turn paragraphs of rows `name   explanation` into lists; lines further right continue a row."""
    return "\n\n".join(map(_paragraph, text.split("\n\n")))


def _paragraph(text: str) -> str:
    lines, rows = text.split("\n"), []
    start = 1 if lines[0].endswith(":") and len(lines) > 1 else 0
    for line in lines[start:]:
        match = ROW.fullmatch(line)
        if rows and line.startswith(" " * 8):
            rows[-1] += f" {line.strip()}"
        elif match and match[2] != "," and (match[3] or line.startswith("`")):
            rows.append(f"- `{match[1]}`: {match[3].strip()}")
        elif line.startswith("`") and re.fullmatch(r"(`\w+`(, |,|$))+", line):
            rows.append(f"- {line}")
        else:
            return text
    return "\n".join([*(f"{line}\n" for line in lines[:start]), *rows])


class PackageTables(Extension):
    """Apply `as_lists` to the docstring of each package."""

    def on_module(self, *, mod: Module, **kwargs: Any) -> None:
        """Change a module's docstring."""
        if mod.docstring is not None:
            mod.docstring.value = as_lists(mod.docstring.value)
