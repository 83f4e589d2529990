"""Dates as people write them around the world, and the same dates in ISO 8601: a corpus that needs no
download.

The texts come from the Unicode CLDR by way of Babel: ``LOCALES`` in their own scripts and digits, each in
several formats, such as ``Sonntag, 5. März 2023``, ``2023年3月5日(日)`` or ``٥ مارس ٢٠٢٣``. The target is
always ``2023-03-05``.

Each text has one reading only. Years have four digits. A numeric date is written only with the year first
or with a day above 12, so never ``03/04/2005``. A text that names one month in one language and another
month in another language is never written. The three splits share no date.
"""

import random
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache

from babel import Locale
from babel.dates import DateTimePattern, parse_pattern

from keras_attn.data.errors import DataError
from keras_attn.data.parallel import Pairs, ParallelCorpus

# CLDR names: one for each way of writing rather than one for each country.
_LATIN = "en en_GB de nl sv da nb fi is fr es pt it ca ro pl cs sk sl hr hu et lv lt sq tr vi id sw eu ga cy"
_CYRILLIC = "ru uk bg sr kk"
_OTHER_ALPHABETS = "el hy ka he ar ar_EG fa ur"
_SOUTH_OF_THE_HIMALAYA = "hi mr ne bn ta my th"
_SYLLABLES_AND_CHARACTERS = "am zh zh_Hant ja ko"
LOCALES = tuple(
    " ".join([_LATIN, _CYRILLIC, _OTHER_ALPHABETS, _SOUTH_OF_THE_HIMALAYA, _SYLLABLES_AND_CHARACTERS]).split()
)

_STYLES = ("full", "long", "medium", "short")
_SKELETONS = ("yMMMd", "yMMMEd", "yMMMMd", "yMMMMEEEEd", "yMd", "yMEd")

_ZERO = {  # the numbering systems that LOCALES use by default, and their zeros; the nine others follow it
    "arab": "\N{ARABIC-INDIC DIGIT ZERO}",
    "arabext": "\N{EXTENDED ARABIC-INDIC DIGIT ZERO}",
    "beng": "\N{BENGALI DIGIT ZERO}",
    "deva": "\N{DEVANAGARI DIGIT ZERO}",
    "mymr": "\N{MYANMAR DIGIT ZERO}",
}
# What CLDR uses for typesetting and nobody types: special spaces become plain ones, direction marks go.
_AS_TYPED = {0x00A0: " ", 0x202F: " ", 0x2009: " ", 0x200E: None, 0x200F: None, 0x061C: None}
_TURKIC_CAPITALS = {"tr": str.maketrans("iı", "İI")}
# Upper case is not a matter of single letters there: Greek drops its accents, and Georgian has none in
# running text.
_NEVER_IN_CAPITALS = {"el", "ka"}
_TRIES = 50


@dataclass(frozen=True)
class DateFormat:
    """One way to write a date in one locale.

    Attributes:
        locale: CLDR name, such as ``de`` or ``zh_Hant``.
        pattern: CLDR date pattern, such as ``d. MMMM y``.
        numeric: the month is a number, and only its place says that it is the month.
        year_first: year, month and day stand in this order.
    """

    locale: str
    pattern: str
    numeric: bool
    year_first: bool

    def allows(self, day: date) -> bool:
        """Whether ``day`` can be read in one way only when it is written like this."""
        if self.numeric and not self.year_first and day.day <= 12:
            return False
        return (self.locale, self.pattern, day.month) not in _clashes()

    def write(self, day: date) -> str:
        """The text of ``day``, letter case as in CLDR."""
        parsed, locale, digits = _compiled(self.locale, self.pattern)
        return unicodedata.normalize("NFC", parsed.apply(day, locale).translate(digits)).strip()


def generate(
    train: int = 80_000,
    validation: int = 1_000,
    test: int = 1_000,
    seed: int = 0,
    start: date = date(1900, 1, 1),
    end: date = date(2099, 12, 31),
) -> ParallelCorpus:
    """Make a corpus of dates between ``start`` and ``end``, both included.

    The same arguments give the same corpus. No text occurs twice, and no date occurs in two splits; within a
    split, each date is written once before any is written a second time.

    Raises:
        DataError: the years do not have four digits, or there are too few dates for so many different texts.
    """
    if start > end or start.year < 1000:
        raise DataError(
            f"Dates from {start} to {end}: give a start in the year 1000 or later, before the end."
        )
    if min(train, validation, test) < 0:
        raise DataError("The numbers of training, validation and test dates cannot be negative.")
    rng = random.Random(seed)
    days = [start + timedelta(days=offset) for offset in range((end - start).days + 1)]
    rng.shuffle(days)
    held_out = len(days) // 5  # at most, so that a short range leaves most dates to learn from
    n_validation, n_test = min(validation, held_out), min(test, held_out)
    written: dict[str, str] = {}
    return ParallelCorpus(
        train=_split(rng, days[n_validation + n_test :], train, written),
        validation=_split(rng, days[:n_validation], validation, written),
        test=_split(rng, days[n_validation : n_validation + n_test], test, written),
        source_language="mul",
        target_language="iso",
        name="dates",
    )


@cache
def formats(locale: str) -> tuple[DateFormat, ...]:
    """The formats that ``generate`` uses for one of ``LOCALES``, without repetitions."""
    data = Locale.parse(locale)
    patterns = [data.date_formats[style].pattern for style in _STYLES]
    patterns += [
        data.datetime_skeletons[name].pattern for name in _SKELETONS if name in data.datetime_skeletons
    ]
    found = {pattern: _describe(locale, pattern) for pattern in patterns}
    return tuple(described for described in found.values() if described is not None)


def _split(rng: random.Random, days: list[date], count: int, written: dict[str, str]) -> Pairs:
    """``count`` new pairs from ``days``; ``written`` holds all texts so far, and gets these."""
    if count and not days:
        raise DataError("There are too few dates for three splits; widen the range between start and end.")
    pairs: Pairs = []
    for number in range(count):
        day = days[number % len(days)]
        text, target = _new_text(rng, day, written), day.isoformat()
        written[text] = target
        pairs.append((text, target))
    rng.shuffle(pairs)
    return pairs


def _new_text(rng: random.Random, day: date, written: dict[str, str]) -> str:
    for _ in range(_TRIES):
        locale = rng.choice(LOCALES)
        possible = [candidate for candidate in formats(locale) if candidate.allows(day)]
        text = _in_everyday_case(rng, rng.choice(possible).write(day), locale)
        if text not in written:
            return text
    raise DataError(
        f"No further way to write {day} was found: there are too few dates for so many texts; "
        f"widen the range between start and end."
    )


def _in_everyday_case(rng: random.Random, text: str, locale: str) -> str:
    """Mostly as it is; now and then in small letters, or with a capital first letter."""
    draw = rng.random()
    if draw < 0.8:
        return text
    if draw < 0.9:
        return text.lower() if locale not in _TURKIC_CAPITALS else text
    capital = text[0].translate(_TURKIC_CAPITALS.get(locale, {})).upper()
    return text if locale in _NEVER_IN_CAPITALS or len(capital) != 1 else capital + text[1:]


def _describe(locale: str, pattern: str) -> DateFormat | None:
    """The format of a pattern, or None when it does not tell the whole year, month and day."""
    fields = "".join(_fields(pattern))
    order = "".join(kind for kind in fields.replace("L", "M") if kind in "yMd")
    order = "".join(kind for i, kind in enumerate(order) if kind not in order[:i])
    if sorted(order) != ["M", "d", "y"] or "yy" in fields:
        return None
    months = fields.replace("L", "M").count("M")
    # In some languages (Chinese, Vietnamese) the name of a month is its number with a word: that counts as
    # a name.
    numeric = months < 3 or any(_is_number(locale, "M" * months, month) for month in range(1, 13))
    return DateFormat(locale, pattern, numeric=numeric, year_first=order == "yMd")


def _fields(pattern: str) -> Iterator[str]:
    """The pattern's field letters, without literal text (which is quoted when it has ASCII letters)."""
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
    """The parsed pattern, the locale, and the table that writes the locale's digits the way people type."""
    data = Locale.parse(locale)
    table: dict[int, str | None] = dict(_AS_TYPED)
    system = data.default_numbering_system
    if system != "latn":
        table |= {ord("0") + digit: chr(ord(_ZERO[system]) + digit) for digit in range(10)}
    return parse_pattern(pattern), data, table


@cache
def _clashes() -> frozenset[tuple[str, str, int]]:
    """(locale, pattern, month) whose text some other locale or pattern writes for another month.

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
    """A month's 13th on each of the seven weekdays, all with the year 2000, without regard to case."""
    year_of_weekday = {date(year, month, 13).weekday(): year for year in range(2000, 2028)}
    digits = _compiled(candidate.locale, candidate.pattern)[2]
    common = "2000".translate(digits)
    texts = {year: candidate.write(date(year, month, 13)) for year in year_of_weekday.values()}
    return {text.replace(str(year).translate(digits), common).casefold() for year, text in texts.items()}
