"""Write texts in four languages with names, places, dates and amounts in them, by seed, as JSON lines.

    python demos/entity_corpus.py corpus --captions en=train.en.gz --captions de=train.de.gz
    keras-attn train token-classification --train corpus/train.jsonl --validation corpus/validation.jsonl \\
        --test corpus/test.jsonl --init all-MiniLM-L6-v2 --output runs/entities

The sentences around the entities are templates, and with --captions also lines of real text: before, behind,
or on their own, where nothing is to be found. Names and places are made of syllables, so those of the test
were seldom seen in training; no line of --captions is used twice.
"""

import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

os.environ.setdefault("KERAS_BACKEND", "jax")

from keras_attn.cli import run_script
from keras_attn.data.readers.text_files import read_lines
from keras_attn.device.files.atomic_write import write_text
from keras_attn.errors import ArgumentError

GIVEN = {
    "en": "Alice Ben Clara Daniel Ella Frank Grace Henry Irene Jack Laura Martin Nora Oliver Rose Simon Tess",
    "de": "Anna Bernd Clara Dieter Elke Felix Greta Hans Ida Jonas Karin Lukas Maria Nils Paula Ralf Sabine",
    "fr": "Amélie Bruno Chloé Denis Élise Fabien Gaëlle Hugo Inès Jules Léa Marc Nadine Olivier Pauline Rémi",
    "ja": "アキラ ケンタ サクラ ハルト ミドリ ユウキ ヨウコ リョウ ナオミ タカシ エミ カズオ",
}
SYLLABLES = {
    "en": (
        "al bar cran dun el far gar hol kin lan mar nor pen rus stan tor wes",
        "by ders field ford ham ley more ner ridge son ton wick",
    ),
    "de": (
        "alt berg brand eich feld grun hart klein lang müh neu ober rein stein wald wiss",
        "acker bach berger dorfer hauser hoff huber kamp mann meier müller ner",
    ),
    "fr": (
        "au beau char du fon gran la mar mon pel ra roch sau tri val ver",
        "bert cault chard din gnon let lier mont nier rand ron tier val",
    ),
    "ja": (
        "アオ イシ ウエ オカ カワ キタ サワ タケ ナカ ニシ ハマ ミナミ ヤマ",
        "イ ウチ オ カワ ザキ シタ タ ダ ノ ハラ ムラ モト",
    ),
}
PLACES = {
    "en": ("port", "mouth", "ville", " Bay", " Hill"),
    "de": ("burg", "heim", "hausen", "stadt", "see"),
    "fr": ("-sur-Mer", "ville", "-les-Bains", "bourg", "-le-Pont"),
    "ja": ("市", "町", "村", "島", "駅"),
}
MONTHS = {
    "en": "January February March April May June July August September October November December",
    "de": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
}
TEMPLATES = {
    "en": (
        "{name} met {name} in {place} on {date} .", "On {date} {name} paid {amount} for it .",
        "The ticket to {place} costs {amount} .", "{name} comes from {place} .",
        "Since {date} {name} has lived near {place} .", "They owe {name} {amount} .",
        "Has anybody seen {name} ?", "We opened a shop in {place} for {amount} on {date} .",
        "Please call {name} before {date} .", "{place} is lovely , said {name} .",
    ),
    "de": (
        "{name} traf {name} am {date} in {place} .", "Am {date} hat {name} dafür {amount} bezahlt .",
        "Die Fahrkarte nach {place} kostet {amount} .", "{name} kommt aus {place} .",
        "Seit dem {date} wohnt {name} bei {place} .", "Sie schulden {name} noch {amount} .",
        "Hat jemand {name} gesehen ?", "Wir haben am {date} in {place} für {amount} einen Laden eröffnet .",
        "Bitte rufen Sie {name} vor dem {date} an .", "In {place} ist es schön , sagte {name} .",
    ),
    "fr": (
        "{name} a rencontré {name} à {place} le {date} .", "Le {date} , {name} a payé {amount} .",
        "Le billet pour {place} coûte {amount} .", "{name} vient de {place} .",
        "Depuis le {date} , {name} habite près de {place} .", "Ils doivent {amount} à {name} .",
        "Quelqu'un a-t-il vu {name} ?", "Nous avons ouvert un magasin à {place} pour {amount} le {date} .",
        "Appelez {name} avant le {date} .", "{place} est charmante , dit {name} .",
    ),
    "ja": (
        "{name}さんは{date}に{place}で{name}さんに会いました。", "{date}に{name}さんは{amount}を払いました。",
        "{place}までの切符は{amount}です。", "{name}さんは{place}の出身です。",
        "{date}から{name}さんは{place}の近くに住んでいます。", "{name}さんに{amount}を返してください。",
        "{name}さんを見ましたか。", "{date}に{place}で{amount}の店を開きました。",
        "{date}までに{name}さんに電話してください。", "{place}は美しいと{name}さんが言いました。",
    ),
}  # fmt: skip
MAY_HAVE_ENTITIES = {
    "en": re.compile(r"\d|\w\W+[A-Z]"),
    "de": re.compile(r"\d"),
    "fr": re.compile(r"\d|\w\W+[A-Z]"),
    "ja": re.compile(r"\d|[ァ-ヶ]{2}|さん|君|氏"),
}
LANGUAGES = tuple(TEMPLATES)
LABELS = {"name": "NAME", "place": "PLACE", "date": "DATE", "amount": "AMOUNT"}


class Writer:
    """Writes texts of one language.

    Args:
        language: one of `LANGUAGES`.
        rng: draws all that is random.
    """

    def __init__(self, language: str, rng: np.random.Generator):
        self.language, self.rng = language, rng

    def _one(self, words: Sequence[str] | str) -> str:
        words = words.split() if isinstance(words, str) else words
        return words[int(self.rng.integers(len(words)))]

    def _surname(self) -> str:
        first, last = SYLLABLES[self.language]
        middle = self._one(first) if self.rng.random() < 0.3 else ""
        return (self._one(first) + middle + self._one(last)).capitalize()

    def name(self) -> str:
        """Return a name: given, family, or both."""
        given, family = self._one(GIVEN[self.language]), self._surname()
        if self.language == "ja":
            return family if self.rng.random() < 0.5 else f"{family}・{given}"
        return (given, f"{given} {family}", f"{given} {family}-{self._surname()}")[
            self.rng.choice(3, p=[0.3, 0.6, 0.1])
        ]

    def place(self) -> str:
        """Return a place."""
        return self._surname() + self._one(PLACES[self.language])

    def date(self) -> str:
        """Return a date."""
        day, month, year = (int(self.rng.integers(*ends)) for ends in ((1, 29), (1, 13), (1950, 2035)))
        if self.language == "ja":
            return (f"{year}年{month}月{day}日", f"{month}月{day}日", f"{year}年{month}月")[
                self.rng.integers(3)
            ]
        word = MONTHS[self.language].split()[month - 1]
        forms = {
            "en": (
                f"{word} {day}",
                f"{word} {day} , {year}",
                f"{day} {word} {year}",
                f"{year}-{month:02}-{day:02}",
            ),
            "de": (f"{day}. {word}", f"{day}. {word} {year}", f"{day:02}.{month:02}.{year}"),
            "fr": (f"{day} {word}", f"{day} {word} {year}", f"{day:02}/{month:02}/{year}"),
        }
        return self._one(forms[self.language])

    def amount(self) -> str:
        """Return an amount of money."""
        whole, cents = (
            int(self.rng.integers(1, 10 ** int(self.rng.integers(1, 6)))),
            int(self.rng.integers(100)),
        )
        forms = {
            "en": (f"${whole:,}", f"${whole}.{cents:02}", f"{whole} dollars", f"£{whole}"),
            "de": (f"{whole} €", f"{whole},{cents:02} Euro", f"{whole} Euro"),
            "fr": (f"{whole} €", f"{whole},{cents:02} euros", f"{whole} euros"),
            "ja": (f"{whole}円", f"¥{whole}", f"{whole}ドル"),
        }
        return self._one(forms[self.language])

    def filled(self) -> tuple[str, list[dict]]:
        """Return a template with its entities."""
        text, entities = "", []
        rest = self._one(TEMPLATES[self.language])
        while "{" in rest:
            before, _, rest = rest.partition("{")
            kind, _, rest = rest.partition("}")
            text += before
            entity = getattr(self, kind)()
            entities.append({"start": len(text), "end": len(text) + len(entity), "label": LABELS[kind]})
            text += entity
        return text + rest, entities

    def example(self, caption: str | None) -> dict:
        """Return a text with its entities; with a caption, this may be all."""
        if caption is not None and self.rng.random() < 0.25:
            return {"text": caption, "entities": []}
        text, entities = self.filled()
        between = "" if self.language == "ja" else " "
        place = self.rng.random()
        if caption is not None and place < 0.3:
            text = f"{text}{between}{caption}"
        elif caption is not None and place < 0.6:
            shift = len(caption) + len(between)
            entities = [
                {**each, "start": each["start"] + shift, "end": each["end"] + shift} for each in entities
            ]
            text = f"{caption}{between}{text}"
        return {"text": text, "entities": entities}


def read_captions(given: Sequence[str]) -> dict[str, list[str]]:
    """Read the lines of LANGUAGE=FILE; those in Japanese are joined where the file parts words.

    Lines with digits are left out, and in languages whose names have capital letters, lines with names.
    """
    found = {}
    for each in given:
        language, _, path = each.partition("=")
        if language not in LANGUAGES or not path:
            raise ArgumentError(f"--captions {each}: give LANGUAGE=FILE with one of {', '.join(LANGUAGES)}")
        lines = [line.strip() for line in read_lines(path) if line.strip()]
        lines = [line.replace(" ", "") for line in lines] if language == "ja" else lines
        found[language] = [line for line in lines if not MAY_HAVE_ENTITIES[language].search(line)]
    return found


def examples(language: str, count: int, captions: Sequence[str], seed: int) -> Iterator[dict]:
    """Yield the examples of a language."""
    rng = np.random.default_rng([seed, LANGUAGES.index(language)])
    order = rng.permutation(len(captions))
    if captions and len(captions) < count:
        raise ArgumentError(
            f"{language}: {len(captions)} lines are too few for {count} texts; give fewer --texts"
        )
    writer = Writer(language, rng)
    for number in range(count):
        yield writer.example(captions[int(order[number])] if captions else None)


def write(
    folder: Annotated[Path, typer.Argument(help="Folder to write.")],
    captions: Annotated[list[str] | None, typer.Option(help="LANGUAGE=FILE: lines of real text.")] = None,
    texts: Annotated[int, typer.Option(min=10, help="Texts of each language.")] = 3000,
    seed: Annotated[int, typer.Option(help="Random seed.")] = 1,
) -> None:
    """Write train.jsonl, validation.jsonl and test.jsonl: eight, one and one tenth of the texts."""
    read = read_captions(captions or ())
    rows = []
    for language in LANGUAGES:
        rows += list(examples(language, texts, read.get(language, ()), seed))
    order = np.random.default_rng(seed).permutation(len(rows))
    tenth = len(rows) // 10
    folder.mkdir(parents=True, exist_ok=True)
    for name, part in (
        ("test", order[:tenth]),
        ("validation", order[tenth : 2 * tenth]),
        ("train", order[2 * tenth :]),
    ):
        lines = "".join(json.dumps(rows[i], ensure_ascii=False) + "\n" for i in part)
        write_text(folder / f"{name}.jsonl", lines)


if __name__ == "__main__":
    run_script(write)
