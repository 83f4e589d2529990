"""Dates as people write them around the world, and the same dates in ISO 8601: a corpus that needs no
download.

The texts come from the Unicode CLDR by way of Babel: `LOCALES` in their own scripts and digits, each in
several formats, such as `Sonntag, 5. März 2023`, `2023年3月5日(日)` or `٥ مارس ٢٠٢٣`. The target is
always `2023-03-05`. Some years are those of Japanese eras, of the Thai Buddhist calendar or of Minguo:
`令和5年3月5日`, `R5.3.5`, `5 มีนาคม 2566`, `民國112年3月5日`.

Each text is unambiguous. Years have four digits. A numeric date is written only with the year first
or with a day above 12, so never `03/04/2005`. A text that names one month in one language and another
month in another language is never written. The three splits share no date.
"""

import random
from datetime import date, timedelta

from keras_attn.data.corpora.calendars import Era, find_era
from keras_attn.data.corpora.date_formats import LOCALES, era_formats, formats
from keras_attn.data.errors import DataError
from keras_attn.data.readers.parallel import Pairs, ParallelCorpus

_TURKIC_CAPITALS = {"tr": str.maketrans("iı", "İI")}
# Upper case is not a matter of single letters there: Greek drops its accents, and Georgian has none in
# running text.
_NEVER_IN_CAPITALS = {"el", "ka"}
_TRIES = 50
_SHORT_YEAR = 250  # days
# Weights of the calendars, where each of LOCALES has weight 1. An era's years are learned one by one.
_OTHER_CALENDARS = {"japanese": 32, "buddhist": 11, "minguo": 14}
_FORMATS = [(formats, locale) for locale in LOCALES] + [
    (era_formats, calendar) for calendar, weight in _OTHER_CALENDARS.items() for _ in range(weight)
]


def generate(
    train: int = 80_000,
    validation: int = 1_000,
    test: int = 1_000,
    seed: int = 0,
    start: date = date(1900, 1, 1),
    end: date = date(2099, 12, 31),
) -> ParallelCorpus:
    """Build a corpus of dates between `start` and `end`, both included.

    The same arguments give the same corpus. No text occurs twice, and no date occurs in two splits; within a
    split, each date is written once before any is written a second time. At most one training pair in a
    hundred is an additional one, of the shortest years of Japanese eras.

    Raises:
        DataError: if the years do not have four digits, or there are too few dates for that many texts.
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
    rest = days[n_validation + n_test :]
    extra = _short_years(rng, rest, train // 100, written)
    return ParallelCorpus(
        train=_split(rng, rest, train - len(extra), written, extra),
        validation=_split(rng, days[:n_validation], validation, written),
        test=_split(rng, days[n_validation : n_validation + n_test], test, written),
        source_language="mul",
        target_language="iso",
        name="dates",
    )


def _split(
    rng: random.Random, days: list[date], count: int, written: dict[str, str], more: Pairs | None = None
) -> Pairs:
    """Return `more` and `count` new pairs from `days`; `written` has all texts so far, and gets these."""
    if count and not days:
        raise DataError("There are too few dates for three splits; widen the range between start and end.")
    pairs = list(more or ())
    for number in range(count):
        day = days[number % len(days)]
        text = _new_text(rng, day, written)
        written[text] = day.isoformat()
        pairs.append((text, written[text]))
    rng.shuffle(pairs)
    return pairs


def _short_years(rng: random.Random, days: list[date], count: int, written: dict[str, str]) -> Pairs:
    """Return at most `count` new pairs of era years that last some days or months, such as 昭和64年.

    Drawn only by their days, they would be too rare to be learned.
    """
    years: dict[tuple[Era, int], list[date]] = {}
    for day in days:
        if (era := find_era("japanese", day)) is not None:
            years.setdefault((era, day.year), []).append(day)
    short = [one for one in years.values() if len(one) < _SHORT_YEAR]
    pairs: Pairs = []
    for one in (rng.choice(short) for _ in range(count) if short):
        day = rng.choice(one)
        text = rng.choice(era_formats("japanese")).write(day)
        if text not in written:
            written[text] = day.isoformat()
            pairs.append((text, written[text]))
    return pairs


def _new_text(rng: random.Random, day: date, written: dict[str, str]) -> str:
    for _ in range(_TRIES):
        kind, name = rng.choice(_FORMATS)
        possible = [candidate for candidate in kind(name) if candidate.allows(day)]
        if not possible:
            continue
        chosen = rng.choice(possible)
        text = _in_everyday_case(rng, chosen.write(day), chosen.locale)
        if text not in written:
            return text
    raise DataError(
        f"No further way to write {day} was found: there are too few dates for that many texts; "
        f"widen the range between start and end."
    )


def _in_everyday_case(rng: random.Random, text: str, locale: str) -> str:
    """Return the text, mostly unchanged, sometimes in lower case or with a capital first letter."""
    draw = rng.random()
    if draw < 0.8:
        return text
    if draw < 0.9:
        return text.lower() if locale not in _TURKIC_CAPITALS else text
    capital = text[0].translate(_TURKIC_CAPITALS.get(locale, {})).upper()
    return text if locale in _NEVER_IN_CAPITALS or len(capital) != 1 else capital + text[1:]
