"""Date formats of many locales, and which of them are unambiguous.

Patterns and names come from the Unicode CLDR by way of Babel; those of other calendars are in
`keras_attn.data.corpora.calendars`.
"""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import cache

from babel import Locale
from babel.dates import DateTimePattern, parse_pattern

from keras_attn.data.corpora.calendars import FORMATS, find_era, write_era

# CLDR names: one for each way of writing, not for each country.
_LATIN = "en en_GB de nl sv da nb fi is fr es pt it ca ro pl cs sk sl hr hu et lv lt sq tr vi id sw eu ga cy"
_CYRILLIC = "ru uk bg sr kk"
_OTHER_ALPHABETS = "el hy ka he ar ar_EG fa ur"
_SOUTH_OF_THE_HIMALAYA = "hi mr ne bn ta my th"
_SYLLABLES_AND_CHARACTERS = "am zh zh_Hant ja ko"
LOCALES = tuple(
    " ".join([_LATIN, _CYRILLIC, _OTHER_ALPHABETS, _SOUTH_OF_THE_HIMALAYA, _SYLLABLES_AND_CHARACTERS]).split()
)

GREGORIAN = "gregorian"

_STYLES = ("full", "long", "medium", "short")
_SKELETONS = ("yMMMd", "yMMMEd", "yMMMMd", "yMMMMEEEEd", "yMd", "yMEd")

_ZERO = {  # the numbering systems that LOCALES use by default, and their zeros; the nine others follow it
    "arab": "\N{ARABIC-INDIC DIGIT ZERO}",
    "arabext": "\N{EXTENDED ARABIC-INDIC DIGIT ZERO}",
    "beng": "\N{BENGALI DIGIT ZERO}",
    "deva": "\N{DEVANAGARI DIGIT ZERO}",
    "mymr": "\N{MYANMAR DIGIT ZERO}",
}
# What CLDR uses for typesetting and users do not type: special spaces become plain ones, direction marks are
# removed.
_AS_TYPED = {0x00A0: " ", 0x202F: " ", 0x2009: " ", 0x200E: None, 0x200F: None, 0x061C: None}


@dataclass(frozen=True)
class DateFormat:
    """One way to write a date in one locale.

    Attributes:
        locale: CLDR name, such as `de` or `zh_Hant`.
        pattern: CLDR date pattern, such as `d. MMMM y`.
        numeric: whether the month is a number, which only its position marks as the month.
        year_first: whether the order is year, month, day.
        calendar: one of `CALENDARS`, whose era and year the pattern has in quotes; or `gregorian`.
        numerals: those of a calendar, see `write_era`.
    """

    locale: str
    pattern: str
    numeric: bool
    year_first: bool
    calendar: str = GREGORIAN
    numerals: str = ""

    def allows(self, day: date) -> bool:
        """Return whether `day` is unambiguous in this format."""
        if self.numeric and not self.year_first and day.day <= 12:
            return False
        if self.calendar != GREGORIAN and find_era(self.calendar, day) is None:
            return False
        if day.year >= 2400 and (self.numeric or (self.locale == "th" and "G" not in self.pattern)):
            return False  # such a large year without an era is a Buddhist one
        return (self.locale, self.pattern, day.month) not in _clashes()

    def write(self, day: date) -> str:
        """Return the text of `day`, in CLDR's letter case."""
        parsed, locale, digits = _compiled(self.locale, self.pattern)
        text = parsed.apply(day, locale).translate(digits)
        era = find_era(self.calendar, day) if self.calendar != GREGORIAN else None
        if era is not None:
            text = write_era(text, era, day, self.numerals)
        return unicodedata.normalize("NFC", text).strip()


@cache
def formats(locale: str) -> tuple[DateFormat, ...]:
    """Return the formats that `generate` uses for one of `LOCALES`, without repetitions."""
    data = Locale.parse(locale)
    patterns = [data.date_formats[style].pattern for style in _STYLES]
    patterns += [
        data.datetime_skeletons[name].pattern for name in _SKELETONS if name in data.datetime_skeletons
    ]
    found = {pattern: _describe(locale, pattern) for pattern in patterns}
    return tuple(described for described in found.values() if described is not None)


@cache
def era_formats(calendar: str) -> tuple[DateFormat, ...]:
    """Return the formats that `generate` uses for one of `CALENDARS`."""
    return tuple(
        DateFormat(
            locale,
            pattern,
            numeric="MMM" not in pattern,
            year_first=pattern.startswith("'"),
            calendar=calendar,
            numerals=numerals,
        )
        for name, locale, numerals, patterns in FORMATS
        if name == calendar
        for pattern in patterns
    )


def _describe(locale: str, pattern: str) -> DateFormat | None:
    """Return the format of a pattern, or None if it lacks the full year, the month or the day."""
    fields = "".join(_fields(pattern))
    order = "".join(kind for kind in fields.replace("L", "M") if kind in "yMd")
    order = "".join(kind for i, kind in enumerate(order) if kind not in order[:i])
    if sorted(order) != ["M", "d", "y"] or "yy" in fields:
        return None
    months = fields.replace("L", "M").count("M")
    # In some languages (Chinese, Vietnamese) the name of a month is its number with a word, which is a name
    # here.
    numeric = months < 3 or any(_is_number(locale, "M" * months, month) for month in range(1, 13))
    return DateFormat(locale, pattern, numeric=numeric, year_first=order == "yMd")


def _fields(pattern: str) -> Iterator[str]:
    """Yield the pattern's field letters, without literal text (which is quoted if it has ASCII letters)."""
    quoted = False
    for character in pattern:
        if character == "'":
            quoted = not quoted
        elif not quoted and character.isascii() and character.isalpha():
            yield character


def _is_number(locale: str, month_pattern: str, month: int) -> bool:
    parsed, data, digits = _compiled(locale, month_pattern)
    return parsed.apply(date(2000, month, 1), data).translate(digits).isdecimal()


@cache
def _compiled(locale: str, pattern: str) -> tuple[DateTimePattern, Locale, dict[int, str | None]]:
    """Return the parsed pattern, the locale, and a table of characters: the locale's digits, plain spaces."""
    data = Locale.parse(locale)
    table: dict[int, str | None] = dict(_AS_TYPED)
    system = data.default_numbering_system
    if system != "latn":
        table |= {ord("0") + digit: chr(ord(_ZERO[system]) + digit) for digit in range(10)}
    return parse_pattern(pattern), data, table


@cache
def _clashes() -> frozenset[tuple[str, str, int]]:
    """Return each (locale, pattern, month) whose text another locale or pattern writes for another month.

    Two texts that are equal have equal years and days, since only the year has four digits. So it is enough
    to write, for one day and year, each month with each weekday that the pattern may name, and to compare;
    letter case aside, since case is varied.
    """
    owners: dict[str, list[tuple[str, str, int]]] = {}
    for locale in LOCALES:
        for candidate in formats(locale):
            for month in range(1, 13):
                for text in _shapes(candidate, month):
                    owners.setdefault(text, []).append((locale, candidate.pattern, month))
    return frozenset(
        owner
        for several in owners.values()
        if len({month for _, _, month in several}) > 1
        for owner in several
    )


def _shapes(candidate: DateFormat, month: int) -> set[str]:
    """Return a month's 13th on each of the seven weekdays, all with the year 2000, case-folded."""
    year_of_weekday = {date(year, month, 13).weekday(): year for year in range(2000, 2028)}
    digits = _compiled(candidate.locale, candidate.pattern)[2]
    common = "2000".translate(digits)
    texts = {year: candidate.write(date(year, month, 13)) for year in year_of_weekday.values()}
    return {text.replace(str(year).translate(digits), common).casefold() for year, text in texts.items()}
