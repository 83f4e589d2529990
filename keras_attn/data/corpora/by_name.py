"""Corpora by name: what `--data` takes."""

import os
from pathlib import Path

from keras_attn.data.corpora import dates, multi30k
from keras_attn.data.errors import DataError
from keras_attn.data.readers.parallel import ParallelCorpus, read_folder, read_parallel
from keras_attn.data.readers.tables import is_tsv
from keras_attn.data.readers.text_files import record

NAMES = ("dates", "multi30k:en-de", "multi30k:en-fr", "multi30k:de-en", "multi30k:fr-en")
"""Examples of names; any two of Multi30k's languages will do."""


def load_corpus(
    name: str | os.PathLike[str],
    *,
    source_language: str | None = None,
    target_language: str | None = None,
    seed: int = 0,
    progress: multi30k.Progress | None = None,
) -> ParallelCorpus:
    """Return a corpus by name, folder or TSV file.

    Args:
        name: `dates`, `multi30k:en-de` and the like, a folder with `train.*`, `val.*` and
            `test*.*`, or a `.tsv` or `.tsv.gz` file (all of it is for training).
        source_language: required for a folder of `train.en` and `train.de`; otherwise known, or only a label.
        target_language: the same for the other side.
        seed: decides which dates are generated; other corpora do not depend on it.
        progress: called during downloads.

    Raises:
        DataError: if there is no such corpus (existing ones are listed), or it cannot be read or downloaded.
    """
    text = os.fspath(name)
    if text == "dates":
        corpus = dates.generate(seed=seed)
        record(text, repr(corpus).encode("utf-8"))
        return corpus
    if text.startswith("multi30k"):
        kind, _, languages = text.partition(":")
        source, dash, target = languages.partition("-")
        if kind == "multi30k" and dash:
            return multi30k.load_multi30k(source, target, progress=progress)
    path = Path(text)
    if path.is_dir():
        return read_folder(path, source_language, target_language)
    if path.is_file() and is_tsv(text):
        return read_parallel(path, None, None, source_language, target_language)
    raise DataError(
        f"There is no corpus {text!r}; give {', '.join(NAMES)}, an existing folder with train.* files, or "
        f"an existing .tsv or .tsv.gz file (files of another name: --train PREFIX)."
    )
