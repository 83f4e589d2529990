"""Corpora of several directions of translation: a pair of files for each, or a TSV with a third column."""

import os
from collections.abc import Sequence
from pathlib import Path

from keras_attn.data.corpora.by_name import load_corpus
from keras_attn.data.errors import DataError
from keras_attn.data.readers.parallel import Pairs, ParallelCorpus, corpus_from_pairs, read_parallel
from keras_attn.data.readers.tables import is_tsv, read_rows

Direction = tuple[str, str]
UNDETERMINED = "und"  # of BCP 47: a language that nobody named


def parse_direction(text: str) -> Direction:
    """Return source and target language of `en-de`.

    Raises:
        DataError: if it is not two languages with one dash between them.
    """
    source, _, target = text.partition("-")
    if not source or not target or "-" in target or source == target:
        raise DataError(
            f"{text!r} is not a direction: give two languages as in en-de; a language that is written with a "
            "dash gets an underscore here, as in en-pt_BR."
        )
    return source, target


def named(direction: Direction) -> str:
    """Return `en-de`, of which `parse_direction` makes a direction again."""
    return "-".join(direction)


def has_directions(path: str | os.PathLike[str]) -> bool:
    """Return whether a file is a TSV whose first row has a third column."""
    if not is_tsv(path) or not Path(path).is_file():
        return False
    _, fields = next(iter(read_rows(path, "tab")), (0, []))
    return len(fields) == 3


def read_directions(
    directions: Sequence[str],
    *,
    data: str | None,
    train: str | None,
    validation: str | None = None,
    seed: int = 0,
) -> list[ParallelCorpus]:
    """Read a corpus for each direction.

    Args:
        directions: such as `en-de`.
        data: `multi30k`, or a folder with `train.en`, `train.de` and so on; instead of `train`.
        train: a prefix of files whose names end in a language.
        validation: the same of held-out pairs.
        seed: as for `load_corpus`.

    Raises:
        DataError: if a direction is given twice, or its files cannot be read.
    """
    found = [parse_direction(text) for text in directions]
    if len(set(found)) < len(found):
        raise DataError(f"A direction is given twice: {', '.join(directions)}.")
    if data == "multi30k":
        return [load_corpus(f"{data}:{named(direction)}", seed=seed) for direction in found]
    if data is not None and not Path(data).is_dir():
        raise DataError(f"{data} has one direction: for several give multi30k, a folder, or --train PREFIX.")
    if is_tsv(data or train or ""):
        raise DataError(f"{data or train} is a table, whose third column names the directions of its pairs.")
    if data is not None:
        return [load_corpus(data, source_language=each[0], target_language=each[1]) for each in found]
    return [read_parallel(train or "", validation, None, *direction) for direction in found]


def read_directed_table(
    train: str, validation: str | None = None, source_language: str | None = None
) -> list[ParallelCorpus]:
    """Read lines of source, tab, target, tab, direction or target language; one corpus for each direction.

    Args:
        train: the table of training pairs.
        validation: that of held-out pairs, whose directions are among those of `train`.
        source_language: of pairs whose third column names only the target language.

    Raises:
        DataError: if a line has no third column, or there are held-out pairs of another direction.
    """
    pairs = _by_direction(train, source_language)
    held_out = _by_direction(validation, source_language) if validation else {}
    if others := [named(direction) for direction in held_out if direction not in pairs]:
        raise DataError(f"{validation} has pairs of {', '.join(others)}, of which {train} has none.")
    name = Path(train).name
    return [corpus_from_pairs(each, held_out.get(way, []), [], *way, name) for way, each in pairs.items()]


def _by_direction(path: str, source_language: str | None) -> dict[Direction, Pairs]:
    found: dict[Direction, Pairs] = {}
    for number, fields in read_rows(path, "tab"):
        if len(fields) != 3 or not fields[2].strip():
            raise DataError(
                f"{path}, line {number}: a source, a target and a direction such as en-de are expected, with "
                f"tabs between them, but the line has {len(fields)} fields."
            )
        text = fields[2].strip()
        direction = parse_direction(text) if "-" in text else (source_language or UNDETERMINED, text)
        found.setdefault(direction, []).append((fields[0], fields[1]))
    if not found:
        raise DataError(f"{path} has no sentence pairs.")
    return found
