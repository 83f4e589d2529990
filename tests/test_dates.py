"""The generated dates: many locales, one reading per text, splits that share no date."""

import re
import unicodedata
from collections import defaultdict
from datetime import date

import pytest

from keras_attn.data import dates
from keras_attn.data.errors import DataError


@pytest.fixture(scope="module")
def corpus():
    return dates.generate(train=8_000, validation=500, test=500, seed=1)


def all_pairs(corpus):
    return corpus.train + corpus.validation + corpus.test


def numbers(text):
    """The numbers of a text, whatever the digits, with their widths."""
    text = re.sub(r"\bth(ứ)? \d", "", text, flags=re.IGNORECASE)  # Vietnamese weekdays are numbered
    return [(int(run), len(run)) for run in re.findall(r"\d+", text)]


def test_counts_and_languages(corpus):
    assert [len(corpus.train), len(corpus.validation), len(corpus.test)] == [8_000, 500, 500]
    assert (corpus.source_language, corpus.target_language, corpus.name) == ("mul", "iso", "dates")


def test_splits_share_no_date_and_no_text(corpus):
    splits = [corpus.train, corpus.validation, corpus.test]
    for side in (0, 1):
        sets = [{pair[side] for pair in split} for split in splits]
        assert len(set.union(*sets)) == sum(len(one) for one in sets)


def test_targets_are_real_dates_in_range(corpus):
    for _, target in all_pairs(corpus):
        day = date.fromisoformat(target)
        assert day.isoformat() == target
        assert date(1900, 1, 1) <= day <= date(2099, 12, 31)


def test_every_text_has_one_reading(corpus):
    """Read the numbers back without knowing the format: the year, the day, and the month if a number."""
    for text, target in all_pairs(corpus):
        day = date.fromisoformat(target)
        found = numbers(text)
        years = [value for value, width in found if width == 4]
        assert years == [day.year], text
        rest = [value for value, width in found if width != 4]
        assert all(width <= 2 for value, width in found if value != day.year), text
        if len(rest) == 1:
            assert rest == [day.day], text  # the month is a word
        elif found[0][1] == 4:
            assert rest == [day.month, day.day], text  # year first: always year, month, day
        elif re.search("tháng|thg", text, re.IGNORECASE):
            assert rest == [day.day, day.month], text  # Vietnamese months are numbered, but named as months
        else:
            assert sorted(rest) == [day.month, day.day] and day.day > 12, text


def test_no_text_of_any_format_belongs_to_two_dates():
    """Beyond the corpus: all texts of some whole months, whatever the letter case, against each other."""
    targets = defaultdict(set)
    days = [date(year, month, 9) for year in (2021, 2022) for month in range(1, 13)]
    days += [date(2023, month, 22) for month in range(1, 13)]
    for locale in dates.LOCALES:
        for candidate in dates.formats(locale):
            for day in days:
                if candidate.allows(day):
                    targets[candidate.write(day).casefold()].add(day)
    assert len(targets) > 5_000
    assert [text for text, several in targets.items() if len(several) > 1] == []


def test_a_month_name_shared_by_two_languages_is_found(monkeypatch):
    """Croatian listopad is October, Polish listopad is November; written alike, neither may be used."""
    croatian = dates.DateFormat("hr", "d LLLL y", numeric=False, year_first=False)
    polish = dates.DateFormat("pl", "d LLLL y", numeric=False, year_first=False)
    assert croatian.write(date(2020, 10, 5)) == polish.write(date(2020, 11, 5)) == "5 listopad 2020"
    monkeypatch.setattr(dates, "LOCALES", ("hr", "pl"))
    monkeypatch.setattr(dates, "formats", lambda locale: (croatian,) if locale == "hr" else (polish,))
    dates._clashes.cache_clear()
    try:
        assert not croatian.allows(date(2020, 10, 5))
        assert not polish.allows(date(2020, 11, 5))
        assert croatian.allows(date(2020, 9, 5))
    finally:
        dates._clashes.cache_clear()


def test_at_least_forty_locales_with_several_formats_and_many_scripts():
    assert len(set(dates.LOCALES)) >= 40
    for locale in dates.LOCALES:
        # Usable on any day of a month, even one below 13.
        assert sum(candidate.allows(date(2023, 3, 5)) for candidate in dates.formats(locale)) >= 2, locale
    letters = {
        letter
        for locale in dates.LOCALES
        for letter in dates.formats(locale)[0].write(date(2023, 3, 5))
        if letter.isalpha()
    }
    scripts = {unicodedata.name(letter).split()[0] for letter in letters}
    wanted = "LATIN CYRILLIC GREEK ARABIC HEBREW DEVANAGARI BENGALI TAMIL THAI CJK HANGUL GEORGIAN ARMENIAN"
    assert {*wanted.split(), "ETHIOPIC", "MYANMAR"} <= scripts


def test_formats_are_as_people_write_them():
    written = {
        (locale, candidate.write(date(2023, 3, 15)))
        for locale in dates.LOCALES
        for candidate in dates.formats(locale)
    }
    for locale, text in [
        ("en", "Wednesday, March 15, 2023"),
        ("en", "3/15/2023"),
        ("de", "15. März 2023"),
        ("de", "15.03.2023"),
        ("ar_EG", "١٥ مارس ٢٠٢٣"),
        ("fa", "۱۵ مارس ۲۰۲۳"),
        ("mr", "१५ मार्च, २०२३"),
        ("ja", "2023年3月15日(水)"),
        ("ko", "2023년 3월 15일 (수)"),
        ("ru", "15 марта 2023 г."),
    ]:
        assert (locale, text) in written


def test_numeric_dates_need_the_year_first_or_a_day_above_twelve():
    slashes = next(candidate for candidate in dates.formats("en_GB") if candidate.pattern == "dd/MM/y")
    assert slashes.numeric and not slashes.allows(date(2005, 4, 3)) and slashes.allows(date(2005, 4, 13))
    dashes = next(candidate for candidate in dates.formats("sv") if candidate.pattern == "y-MM-dd")
    assert dashes.numeric and dashes.allows(date(2005, 4, 3))


def test_letter_case_varies(corpus):
    texts = [text for text, _ in corpus.train if re.search("[A-Za-z]{3}", text)]
    assert any(text.islower() for text in texts)
    assert any(text[0].isupper() for text in texts)


def test_the_seed_decides_everything():
    first, again = (dates.generate(300, 50, 50, seed=7) for _ in range(2))
    assert first == again
    assert first.train != dates.generate(300, 50, 50, seed=8).train


def test_a_short_range_is_used_several_times_over():
    corpus = dates.generate(600, 20, 20, start=date(2020, 1, 1), end=date(2020, 3, 31))
    assert len({target for _, target in corpus.train}) == 91 - 18 - 18
    assert len({text for text, _ in corpus.train}) == 600


@pytest.mark.parametrize(
    "arguments",
    [
        {"start": date(2020, 1, 2), "end": date(2020, 1, 1)},
        {"start": date(999, 1, 1)},
        {"train": -1},
        {"start": date(2020, 1, 1), "end": date(2020, 1, 2)},
        {"train": 5_000, "start": date(2020, 1, 1), "end": date(2020, 1, 10)},
    ],
)
def test_impossible_wishes_are_refused(arguments):
    with pytest.raises(DataError):
        dates.generate(**arguments)
