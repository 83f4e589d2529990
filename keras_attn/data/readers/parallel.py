"""Parallel text: pairs of source and target, read from two files line by line or from one TSV file.

Reading is strict: errors name the line, and nothing is repaired or dropped silently. Pairs with an empty side
are left out of training only, and counted in `ParallelCorpus.skipped`.
"""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from keras_attn.data.errors import DataError
from keras_attn.data.readers.tables import is_tsv, read_rows
from keras_attn.data.readers.text_files import read_lines

Pairs = list[tuple[str, str]]
"""(source, target) sentences."""

FOLDER_SPLITS = {"train": ("train",), "validation": ("validation", "valid", "val", "dev"), "test": ("test",)}
"""Names that the files of each split may have in a corpus folder."""


@dataclass(frozen=True)
class ParallelCorpus:
    """A corpus of parallel text in three splits.

    Attributes:
        train: training pairs; neither side is empty.
        validation: held-out pairs, to select a checkpoint; empty lines are kept.
        test: held-out pairs, for the final scores; empty lines are kept. Empty if the corpus has none.
        source_language: code of the source side, such as `en`.
        target_language: code of the target side.
        name: name of the corpus in run folders and reports.
        skipped: number of training pairs left out because a side was empty, by reason.
    """

    train: Pairs
    validation: Pairs
    test: Pairs
    source_language: str
    target_language: str
    name: str
    skipped: dict[str, int] = field(default_factory=dict)


def read_pairs(
    where: str | os.PathLike[str], source_language: str | None = None, target_language: str | None = None
) -> Pairs:
    """Read pairs from a TSV file (`.tsv`, `.tsv.gz`) or from the two files of a prefix.

    Empty lines are kept: see `without_empty`.

    Raises:
        DataError: if a prefix is given without languages, and as `read_tsv` and `read_prefix`.
    """
    if is_tsv(where):
        return read_tsv(where)
    if source_language is None or target_language is None:
        raise DataError(
            f"{os.fspath(where)!r} is a prefix of two files, so both languages are needed: give "
            f"--source-language and --target-language (or a file that ends in .tsv or .tsv.gz)."
        )
    return read_prefix(where, source_language, target_language)


def read_prefix(prefix: str | os.PathLike[str], source_language: str, target_language: str) -> Pairs:
    """Read pairs from `PREFIX.en` and `PREFIX.de`, each plain or `.gz` (plain, if both exist).

    Raises:
        DataError: if a file is missing, the two have different numbers of lines, or they are empty.
    """
    source_path = _language_file(prefix, source_language)
    target_path = _language_file(prefix, target_language)
    sources, targets = read_lines(source_path), read_lines(target_path)
    if len(sources) != len(targets):
        raise DataError(
            f"{source_path} has {len(sources)} lines but {target_path} has {len(targets)}; "
            f"line n of one must be the translation of line n of the other."
        )
    if not any(sources) or not any(targets):
        raise DataError(f"{source_path} and {target_path} have no sentence pairs.")
    return list(zip(sources, targets, strict=True))


def read_monolingual(where: str | os.PathLike[str], language: str) -> list[str]:
    """Read the lines of a file, or of `PREFIX.de`, plain or `.gz`, that have text.

    Raises:
        DataError: if there is no such file, or it has no text.
    """
    path = Path(where)
    path = path if path.is_file() else _language_file(where, language)
    lines = [line for line in read_lines(path) if line.strip()]
    if not lines:
        raise DataError(f"{path} has no text.")
    return lines


def read_tsv(path: str | os.PathLike[str]) -> Pairs:
    """Read pairs from lines of source, tab, target; plain or `.gz`, with quotes as in `tables`.

    Raises:
        DataError: if a line does not have exactly two fields (it is named), or the file has no pairs.
    """
    pairs: Pairs = []
    for number, fields in read_rows(path, "tab"):
        if len(fields) != 2:
            raise DataError(
                f"{path}, line {number}: a source, a tab and a target are expected, "
                f"but the line has {len(fields) or 1} field{'s' if len(fields) > 1 else ''}."
            )
        pairs.append((fields[0], fields[1]))
    if not any(source and target for source, target in pairs):
        raise DataError(f"{path} has no sentence pairs.")
    return pairs


def without_empty(pairs: Pairs) -> tuple[Pairs, dict[str, int]]:
    """Return the pairs with text on both sides, and the number of others by reason.

    Example:
        >>> without_empty([("a", "b"), (" ", "c")])
        ([('a', 'b')], {'empty source': 1})
    """
    kept: Pairs = []
    skipped: dict[str, int] = {}
    for source, target in pairs:
        if source.strip() and target.strip():
            kept.append((source, target))
            continue
        reason = (
            "empty target" if source.strip() else "empty source" if target.strip() else "both sides empty"
        )
        skipped[reason] = skipped.get(reason, 0) + 1
    return kept, skipped


def corpus_from_pairs(
    train: Pairs, validation: Pairs, test: Pairs, source_language: str, target_language: str, name: str
) -> ParallelCorpus:
    """Return a corpus of splits, without training pairs that have an empty side.

    Raises:
        DataError: if no training pair is left.
    """
    kept, skipped = without_empty(train)
    if not kept:
        raise DataError(f"{name}: no training pair has text on both sides.")
    return ParallelCorpus(kept, validation, test, source_language, target_language, name, skipped)


def read_parallel(
    train: str | os.PathLike[str],
    validation: str | os.PathLike[str] | None = None,
    test: str | os.PathLike[str] | None = None,
    source_language: str | None = None,
    target_language: str | None = None,
) -> ParallelCorpus:
    """Read a corpus from one prefix or TSV file per split.

    Raises:
        DataError: if a file is missing or wrong, or there is no training pair.
    """
    splits = [
        read_pairs(where, source_language, target_language) if where is not None else []
        for where in (train, validation, test)
    ]
    return corpus_from_pairs(
        *splits,
        source_language=source_language or "source",
        target_language=target_language or "target",
        name=Path(train).name,
    )


def read_folder(
    folder: str | os.PathLike[str],
    source_language: str | None = None,
    target_language: str | None = None,
    variant: str = "",
) -> ParallelCorpus:
    """Read a corpus from a folder of `train.*`, `val.*` (or `validation`, `valid`, `dev`), `test*.*`.

    Files are `NAME.en` and `NAME.de`, or `NAME.tsv`, plain or `.gz`. A folder may hold the same
    text in several variants, such as `train.en` and `train.lc.norm.tok.en`: `variant="lc.norm.tok"`
    takes those; by default it is the plain names, or the only variant there is. Validation and test may be
    missing.

    Raises:
        DataError: if there are no training files, several candidates for one split, or a file cannot be read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder.")
    found = {split: _candidates(folder, split, source_language) for split in FOLDER_SPLITS}
    variants = sorted({_variant(prefix) for prefix in found["train"]})
    if not variant and len(variants) == 1:
        variant = variants[0]
    if variant not in variants:
        raise DataError(_no_training_files(folder, source_language, variants))
    pairs = {}
    for split, prefixes in found.items():
        matching = [prefix for prefix in prefixes if _variant(prefix) == variant]
        if len(matching) > 1:
            raise DataError(
                f"{folder} has several {split} sets: {', '.join(path.name for path in matching)}; choose "
                f"with --train, --validation and --test."
            )
        pairs[split] = read_pairs(matching[0], source_language, target_language) if matching else []
    return corpus_from_pairs(
        **pairs,
        source_language=source_language or "source",
        target_language=target_language or "target",
        name=folder.resolve().name,
    )


def _language_file(prefix: str | os.PathLike[str], language: str) -> Path:
    # Not with_suffix: a prefix such as train.lc.norm.tok has dots of its own.
    tried = [Path(f"{os.fspath(prefix)}.{language}{ending}") for ending in ("", ".gz")]
    for path in tried:
        if path.is_file():
            return path
    raise DataError(f"There is neither {tried[0]} nor {tried[1]}; a prefix names files up to their language.")


def _candidates(folder: Path, split: str, source_language: str | None) -> list[Path]:
    """Return prefixes (or TSV files) in `folder` with the name of a split."""
    names = "|".join(FOLDER_SPLITS[split])
    language = rf"|\.{re.escape(source_language)}(?:\.gz)?" if source_language else ""
    # The split's name ends there or continues as in test_2016_flickr: "training_notes.en" is not a train set.
    pattern = re.compile(rf"(?P<prefix>(?:{names})(?:[._-].*?)??)(?:(?P<tsv>\.tsv(?:\.gz)?){language})")
    prefixes = set()
    for path in folder.iterdir():
        match = pattern.fullmatch(path.name)
        if match and path.is_file():
            prefixes.add(path if match["tsv"] else folder / match["prefix"])
    return sorted(prefixes)


def _variant(prefix: Path) -> str:
    name = prefix.name.removesuffix(".gz").removesuffix(".tsv")
    return name.partition(".")[2]


def _no_training_files(folder: Path, source_language: str | None, variants: list[str]) -> str:
    if len(variants) > 1 or (variants and variants != [""]):
        return f"{folder} has training files in the variants {variants}; choose one, or give --train PREFIX."
    wanted = f"train.{source_language}, " if source_language else ""
    hint = (
        "" if source_language else " (for train.en and train.de, --source-language and --target-language too)"
    )
    return f"{folder} has no {wanted}train.tsv or their .gz{hint}."
