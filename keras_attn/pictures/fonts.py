"""Choosing fonts that have the glyphs of a text.

Matplotlib draws a box where its font lacks a character, but takes the next font of a list when there is one.
This file makes that list: DejaVu Sans, which Matplotlib brings along (Latin, Greek, Cyrillic, Arabic, Hebrew,
Georgian and more), then as few installed fonts as cover the rest.
"""

import functools
import unicodedata
import warnings
from collections.abc import Iterable
from pathlib import Path

DEFAULT_FONT = "DejaVu Sans"
# A font made of placeholder boxes for every character: it "has" all glyphs and shows none.
_PLACEHOLDER_FONTS = ("Last Resort", "LastResort", ".LastResort", "Adobe Blank")
_INSTALL_HINT = "install a font that has them (Debian: fonts-noto-core, fonts-noto-cjk) or write .html"
_INVISIBLE = {"Cc", "Cf", "Zs", "Zl", "Zp"}


class MissingGlyphWarning(UserWarning):
    """No installed font has some characters of a picture; they are drawn as boxes."""


def font_families(texts: Iterable[str]) -> list[str]:
    """Return the font families that draw `texts`, first choice first.

    Warns:
        MissingGlyphWarning: naming the characters that no installed font has.
    """
    families, missing = _cover(frozenset(visible_characters(texts)))
    if missing:
        shown = " ".join(f"{character} (U+{ord(character):04X})" for character in sorted(missing)[:8])
        more = f" and {len(missing) - 8} more" if len(missing) > 8 else ""
        message = f"no installed font has the characters {shown}{more}: {_INSTALL_HINT}"
        warnings.warn(message, MissingGlyphWarning, stacklevel=3)
    return list(families)


def can_draw(texts: Iterable[str]) -> bool:
    """Return whether the installed fonts have every visible character of `texts`."""
    return not _cover(frozenset(visible_characters(texts)))[1]


def visible_characters(texts: Iterable[str]) -> set[str]:
    """Return the characters of `texts` that need a glyph: not spaces, controls, joiners or selectors."""
    return {c for c in set("".join(texts)) if unicodedata.category(c) not in _INVISIBLE and not _selects(c)}


def _selects(character: str) -> bool:
    return "\ufe00" <= character <= "\ufe0f"


@functools.lru_cache(maxsize=64)
def _cover(needed: frozenset[str]) -> tuple[tuple[str, ...], frozenset[str]]:
    """Greedy set cover: (font families, characters left without a glyph)."""
    from matplotlib import font_manager

    default = font_manager.findfont(DEFAULT_FONT, fallback_to_default=True)
    families, missing = [DEFAULT_FONT], needed - _characters(default)
    if not missing:
        return tuple(families), frozenset()
    useful = {name: has for name, path in _candidates() if (has := missing & _characters(path))}
    while missing and useful:
        # max() keeps the first of equals, so the order of _candidates is the order of preference.
        best = max(useful, key=lambda name: len(useful[name] & missing))
        if not useful[best] & missing:
            break
        families.append(best)
        missing -= useful.pop(best)
    return tuple(families), frozenset(missing)


def _candidates() -> list[tuple[str, str]]:
    """(family, file) of the upright regular fonts on this machine, plain sans-serif ones first."""
    from matplotlib import font_manager

    manager = font_manager.fontManager
    known = {entry.fname for entry in manager.ttflist}
    for path in font_manager.findSystemFonts():  # fonts installed since Matplotlib wrote its cache
        if path not in known:
            _register(path)
    regular: dict[str, str] = {}
    for entry in manager.ttflist:
        upright = entry.style == "normal" and str(entry.weight) in {"400", "normal", "regular", "book"}
        if upright and not entry.name.startswith(_PLACEHOLDER_FONTS):
            regular.setdefault(entry.name, entry.fname)
    return sorted(regular.items(), key=lambda item: _preference(item[0]))


def _register(path: str) -> None:
    from matplotlib import font_manager

    try:
        font_manager.fontManager.addfont(path)
    except (RuntimeError, OSError, ValueError):
        return  # A font FreeType cannot read draws nothing; the next one may.


def _preference(family: str) -> tuple[bool, bool, str]:
    return "Sans" not in family, any(word in family for word in ("Mono", "Display", "UI", "Serif")), family


@functools.cache
def _characters(path: str) -> frozenset[str]:
    """Return the characters of a font file, none if it is a bitmap font, which Matplotlib cannot scale."""
    from matplotlib.ft2font import FT2Font

    try:
        font = FT2Font(Path(path))
    except (RuntimeError, OSError, ValueError):
        return frozenset()
    return frozenset(map(chr, font.get_charmap())) if font.scalable else frozenset()
