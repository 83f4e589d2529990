"""The generated dates: many locales, one reading per text, splits that share no date."""

import re
import unicodedata
from collections import defaultdict
from datetime import date

import pytest

from keras_attn.data.corpora import calendars, date_formats, dates
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


ERAS = {"明治": 1867, "大正": 1911, "昭和": 1925, "平成": 1988, "令和": 2018, "民國": 1911, "民国": 1911}
LETTERS = dict(zip("mtshr", ERAS.values(), strict=False))
WORDS = dict(zip("零一二三四五六七八九十百", [*range(11), 100], strict=True))


def counted(words):
    """The number that a Chinese or Japanese number word stands for."""
    total = last = 0
    for value in (WORDS[word] for word in words):
        total, last = (total + (last or 1) * value, 0) if value >= 10 else (total, value)
    return total + last


def in_gregorian_numbers(text):
    """A text with its era's year as a Gregorian one of four digits, and numbers in words as digits."""
    era = re.search("明治|大正|昭和|平成|令和|民國|民国", text)
    if era:
        text = text[era.start() :].replace("元年", "1年")
        text = re.sub("[零一二三四五六七八九十百]+(?=[年月日])", lambda found: str(counted(found[0])), text)
        offset, text = ERAS[text[:2]], text[2:]
        return re.sub(r"^\d+", lambda found: str(int(found[0]) + offset), text)
    letter = re.match(r"([MTSHR])(\d+)(?=[/.])", text, re.IGNORECASE)
    if letter:
        return f"{int(letter[2]) + LETTERS[letter[1].lower()]}{text[letter.end() :]}"
    return re.sub(r"\d{4}", lambda year: str(int(year[0]) - 543 * (int(year[0]) >= 2400)), text)


def test_every_text_has_one_reading(corpus):
    """Read the numbers back without knowing the format: the year, the day, and the month if a number."""
    for text, target in all_pairs(corpus):
        day = date.fromisoformat(target)
        found = numbers(in_gregorian_numbers(text))
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
    days += [date(year, 6, 15) for year in range(1868, 2800)]
    several = [dates.formats(locale) for locale in dates.LOCALES]
    several += [dates.era_formats(calendar) for calendar in calendars.CALENDARS]
    for candidate in (candidate for formats in several for candidate in formats):
        for day in days:
            if candidate.allows(day):
                targets[candidate.write(day).casefold()].add(day)
    assert len(targets) > 5_000
    assert [text for text, several in targets.items() if len(several) > 1] == []


def test_a_month_name_shared_by_two_languages_is_found(monkeypatch):
    """Croatian listopad is October, Polish listopad is November; written alike, neither may be used."""
    croatian = date_formats.DateFormat("hr", "d LLLL y", numeric=False, year_first=False)
    polish = date_formats.DateFormat("pl", "d LLLL y", numeric=False, year_first=False)
    assert croatian.write(date(2020, 10, 5)) == polish.write(date(2020, 11, 5)) == "5 listopad 2020"
    monkeypatch.setattr(date_formats, "LOCALES", ("hr", "pl"))
    monkeypatch.setattr(date_formats, "formats", lambda locale: (croatian,) if locale == "hr" else (polish,))
    date_formats._clashes.cache_clear()
    try:
        assert not croatian.allows(date(2020, 10, 5))
        assert not polish.allows(date(2020, 11, 5))
        assert croatian.allows(date(2020, 9, 5))
    finally:
        date_formats._clashes.cache_clear()


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


def test_years_of_eras_are_as_cldr_and_people_write_them():
    def written(calendar, *day):
        day = date(*day)
        return {one.write(day) for one in dates.era_formats(calendar) if one.allows(day)}

    june = written("japanese", 2018, 6, 5)
    assert june >= {"平成30年6月5日火曜日", "平成30年6月5日(火)", "平成30年6月5日", "H30/6/5", "H30.6.5"}
    assert june >= {"平成３０年６月５日", "平成三十年六月五日"}
    assert written("japanese", 2019, 5, 1) >= {"令和元年5月1日", "令和元年五月一日", "R1.5.1"}
    assert written("japanese", 2019, 4, 30) >= {"平成31年4月30日"}
    assert written("japanese", 1989, 1, 7) >= {"昭和64年1月7日", "S64/1/7"}
    assert written("japanese", 1989, 1, 8) >= {"平成元年1月8日", "H1/1/8"}
    assert written("japanese", 1926, 12, 25) >= {"昭和元年12月25日"}
    assert written("japanese", 1926, 12, 24) >= {"大正15年12月24日"}
    assert written("japanese", 1912, 7, 30) >= {"大正元年7月30日"}
    assert written("japanese", 1912, 7, 29) >= {"明治45年7月29日"}
    assert written("japanese", 1872, 7, 29) == set()
    thai = written("buddhist", 2018, 6, 5)
    assert thai >= {"วันอังคารที่ 5 มิถุนายน พ.ศ. 2561", "5 มิถุนายน 2561", "5 มิ.ย. 2561", "๕ มิถุนายน ๒๕๖๑"}
    assert "5/6/2561" not in thai and "15/6/2561" in written("buddhist", 2018, 6, 15)
    # The years before 1941 began in April.
    assert written("buddhist", 1930, 3, 31) == set() and written("buddhist", 1930, 4, 1)
    minguo = written("minguo", 2018, 6, 5)
    assert minguo >= {"民國107年6月5日 星期二", "民國107年6月5日", "民國107/6/5", "民国107年6月5日"}
    assert minguo >= {"中華民國107年6月5日", "民國一百零七年六月五日"}
    assert written("minguo", 1911, 12, 31) == set()


def test_numbers_in_words_are_read_back():
    for number in range(1, 1000):
        assert counted(calendars.in_kanji(number)) == number
    assert [calendars.in_kanji(number) for number in (10, 18, 20, 107, 110, 118)] == [
        *("十", "十八", "二十", "一百零七", "一百一十", "一百一十八")
    ]


def test_the_shortest_years_of_eras_are_written_often_enough():
    train = dates.generate().train
    for years in (("昭和64年", "昭和元年"), ("S64/", "S64.", "S1/", "S1.")):
        assert sum(text.startswith(years) for text, _ in train) > 15
    assert len(train) == 80_000
    eras = sum("平成" in text or "令和" in text or "昭和" in text for text, _ in train)
    assert 0.1 < eras / len(train) < 0.4


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


def test_short_date_range_is_reused():
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
def test_contradictory_options_are_refused(arguments):
    with pytest.raises(DataError):
        dates.generate(**arguments)
