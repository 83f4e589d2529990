"""Years of other calendars: Japanese eras, Thai Buddhist years and Minguo years, with the numerals of each.

The patterns are the Unicode CLDR's (version 48), which Babel does not carry for these calendars, and a few
others in common use, such as `H30.6.5` and `平成三十年六月五日`. Era and year are in quotes, as
`'{era}{year}'`; the other fields are those of the Gregorian calendar.
"""

import re
from dataclasses import dataclass
from datetime import date

_LAST = date(2399, 12, 31)


@dataclass(frozen=True)
class Era:
    """Years that are counted from a first year.

    Attributes:
        offset: difference between Gregorian years and its own.
        first: its first day.
        last: its last day.
        name: its name in a text, such as `平成`; empty where patterns name the only era themselves.
        letter: its abbreviation, such as `H`.
    """

    offset: int
    first: date
    last: date
    name: str = ""
    letter: str = ""


CALENDARS: dict[str, tuple[Era, ...]] = {
    "japanese": (
        # Earlier years have the months of another calendar.
        Era(1867, date(1873, 1, 1), date(1912, 7, 29), "明治", "M"),
        Era(1911, date(1912, 7, 30), date(1926, 12, 24), "大正", "T"),
        Era(1925, date(1926, 12, 25), date(1989, 1, 7), "昭和", "S"),
        Era(1988, date(1989, 1, 8), date(2019, 4, 30), "平成", "H"),
        Era(2018, date(2019, 5, 1), _LAST, "令和", "R"),
    ),
    "buddhist": (Era(-543, date(1889, 4, 1), _LAST),),
    "minguo": (Era(1911, date(1912, 1, 1), _LAST),),
}

_THAI = (
    "EEEEที่ d MMMM 'พ.ศ. {year}'",
    "d MMMM 'พ.ศ. {year}'",
    "d MMM 'พ.ศ. {year}'",
    "d MMMM 'พุทธศักราช {year}'",
    "EEEEที่ d MMMM '{year}'",
    "E d MMM '{year}'",
    "d MMMM '{year}'",
    "d MMM '{year}'",
    "d/M/'{year}'",
)
# Calendar, locale, numerals (see `write_numbers`), patterns.
FORMATS: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    (
        "japanese",
        "ja",
        "jpanyear",
        ("'{era}{year}'年M月d日EEEE", "'{era}{year}'年M月d日(E)", "'{era}{year}'年M月d日"),
    ),
    (
        "japanese",
        "ja",
        "latn",
        ("'{letter}{year}'/M/d", "'{letter}{year}'/MM/dd", "'{letter}{year}'.M.d", "'{era}{year}'年M月d日"),
    ),
    ("japanese", "ja", "fullwide", ("'{era}{year}'年M月d日",)),
    ("japanese", "ja", "kanji", ("'{era}{year}'年M月d日", "'{era}{year}'年M月d日EEEE")),
    ("buddhist", "th", "latn", _THAI),
    ("buddhist", "th", "thai", _THAI),
    (
        "minguo",
        "zh_Hant",
        "latn",
        (
            "'民國{year}'年M月d日 EEEE",
            "'民國{year}'年M月d日E",
            "'民國{year}'年M月d日",
            "'中華民國{year}'年M月d日",
            "'民國{year}'/M/d",
        ),
    ),
    ("minguo", "zh_Hant", "kanji", ("'民國{year}'年M月d日", "'中華民國{year}'年M月d日")),
    ("minguo", "zh", "latn", ("'民国{year}'年M月d日EEEE", "'民国{year}'年M月d日", "'民国{year}'/M/d")),
)

_DIGITS = {
    "fullwide": {ord("0") + digit: chr(ord("０") + digit) for digit in range(10)},
    "thai": {ord("0") + digit: chr(ord("๐") + digit) for digit in range(10)},
}
_KANJI = "零一二三四五六七八九"


def find_era(calendar: str, day: date) -> Era | None:
    """Return the era of `day` in one of `CALENDARS`, or None where its year is ambiguous."""
    # Until 1940 the Thai year began in April; CLDR counts those years from January, too.
    if calendar == "buddhist" and day.year < 1941 and day.month < 4:
        return None
    return next((era for era in CALENDARS[calendar] if era.first <= day <= era.last), None)


def write_era(text: str, era: Era, day: date, numerals: str) -> str:
    """Return `text` with `{era}`, `{letter}` and `{year}` filled in, and with its numerals.

    Args:
        text: formatted by a pattern of `FORMATS`.
        era: era of `day`.
        day: the date.
        numerals: `latn`; `fullwide` or `thai` digits; `jpanyear`, where 元 is the first year; or
            `kanji`, numbers in words, where it is 元 as well.
    """
    year = day.year - era.offset
    first = year == 1 and numerals in ("jpanyear", "kanji")
    filled = text.format(era=era.name, letter=era.letter, year="元" if first else year)
    if numerals == "kanji":
        return re.sub(r"[0-9]+", lambda number: in_kanji(int(number[0])), filled)
    return filled.translate(_DIGITS.get(numerals, {}))


def in_kanji(number: int) -> str:
    """Return a number from 1 to 999 in words, as in Japanese (below 100) and Chinese."""
    hundreds, rest = divmod(number, 100)
    tens, ones = divmod(rest, 10)
    # 十八 is eighteen, but 一百一十八 a hundred and eighteen; 一百零八 a hundred and eight.
    words = f"{_KANJI[hundreds]}百" if hundreds else ""
    if tens:
        words += (_KANJI[tens] if hundreds or tens > 1 else "") + "十"
    elif hundreds and ones:
        words += "零"
    return words + (_KANJI[ones] if ones else "")
