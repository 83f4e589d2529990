"""The run folder: everything that a training writes, and all that export needs."""

import contextlib
import csv
import dataclasses
import hashlib
import io
import json
import os
import shutil
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_attn.data.corpora.checksums import sha256
from keras_attn.data.readers.paragraphs import read_paragraphs
from keras_attn.data.readers.tables import read_rows
from keras_attn.data.tokenizer import load_tokenizer, save_tokenizer
from keras_attn.device.files.atomic_write import replaced, write_text
from keras_attn.device.text.tokenizer import Tokenizer
from keras_attn.training.errors import TrainingError

FORMAT_VERSION = 1
RUN, TOKENIZER, MODEL, VALIDATION, VALIDATION_TEXT, HISTORY = (
    "run.json",
    "tokenizer.json",
    "model.keras",
    "validation.tsv",
    "validation.txt",
    "history.csv",
)
VALIDATION_EXAMPLES = "validation.jsonl"
CHECKPOINTS, PICTURE = "checkpoints", "history.png"
ENCODED = "encoded"  # the tokenized corpus, which is deleted at the end
TRANSLATIONS = "translations"  # of a teacher or a reverse model, which are made once
INITIAL = "initial"  # of a translator that was fine-tuned: its checkpoint's files, without weights
LOCK = ".lock"  # held by the only training that may write into the folder; the file itself stays
HELD_OUT_FILES = (VALIDATION, VALIDATION_TEXT, VALIDATION_EXAMPLES)
"""Held-out examples: a run has one of these, by its task."""
UNFINISHED = (
    LOCK,
    ENCODED,
    TRANSLATIONS,
    INITIAL,
    RUN,
    TOKENIZER,
    *HELD_OUT_FILES,
    HISTORY,
    PICTURE,
    CHECKPOINTS,
)
"""Everything that a training writes before its first checkpoint is complete."""
LANGUAGE_MODELS = ("masked-lm", "causal-lm")


@dataclasses.dataclass
class Run:
    """A finished or running training, as read from its folder.

    Attributes:
        folder: the run folder.
        config: content of run.json.
        model: the Keras model with the chosen weights.
        tokenizer: for translation `keras_attn.device.Tokenizer`; else `tokenizers.Tokenizer`, of which
            `encode(text).ids` is the model's input, neither padded nor truncated.
        validation: held-out examples: for translation (source, target), or (source, target, "en-de") if it
            has several directions; for classification (text, label), for language models texts, else as
            `keras_attn.export` takes them.
    """

    folder: Path
    config: dict
    model: object
    tokenizer: Any
    validation: list

    @property
    def special_ids(self) -> dict[str, int]:
        """Ids by role: `pad`, `start`, `end` and `unknown`, or `pad`, `unknown`, `cls`, `sep` and `mask`."""
        return self.config["special_ids"]

    @property
    def bleu_tokenize(self) -> str:
        """sacreBLEU's tokenization that this run was evaluated with."""
        return self.config["training"]["bleu_tokenize"]

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Save the model and its tokenizer as a folder that transformers loads.

        A run that was fine-tuned from a checkpoint keeps that one's tokenizer and options. The tokenizer of
        any other run is saved as `tokenizer.json`.

        Args:
            folder: must not exist.

        Raises:
            PretrainedError: if the folder exists, or the model has no counterpart.
        """
        from keras_attn import pretrained
        from keras_attn.device.files.atomic_write import replaced_folder

        folder = Path(folder)
        if folder.exists():
            raise pretrained.PretrainedError(f"{folder} already exists: give another folder.")
        with replaced_folder(folder) as aside:
            pretrained.save(self.model, aside / "model")
            for path in (aside / "model").iterdir():
                path.rename(aside / path.name)
            (aside / "model").rmdir()
            initial = self.folder / INITIAL
            if not initial.is_dir():
                shutil.copy2(self.folder / TOKENIZER, aside / TOKENIZER)
                return
            made = json.loads((aside / "config.json").read_text("utf-8"))
            given = json.loads((initial / "config.json").read_text("utf-8"))
            # What a model does not determine is None, such as the end token.
            known = {name: value for name, value in made.items() if value is not None or name not in given}
            write_text(aside / "config.json", json.dumps({**given, **known}, indent=1) + "\n")
            for path in initial.iterdir():
                if path.name != "config.json":
                    shutil.copy2(path, aside / path.name)


def load_run(folder: str | os.PathLike[str]) -> Run:
    """Read a run folder.

    Raises:
        TrainingError: if it is not a run folder, has another format, or has no trained model yet.
    """
    import keras

    import keras_attn.models  # registers the classes that model.keras names

    del keras_attn
    folder = Path(folder)
    config = read_config(folder)
    path = folder / MODEL
    if not path.is_file():
        raise TrainingError(
            f"{path} does not exist: the training has not finished: continue it with --resume."
        )
    check_file(folder, config, MODEL)
    try:
        model = keras.saving.load_model(path, compile=False)
    except (ValueError, OSError, KeyError, zipfile.BadZipFile) as error:
        raise TrainingError(f"{path} cannot be read as a Keras model: {error}") from error
    tokenizer: Any = read_tokenizer(folder, config)
    if config["task"] == "translation":
        tokenizer = Tokenizer(tokenizer, config["special_ids"])
        if (folder / INITIAL).is_dir():
            from keras_attn.pretrained.translator_text import read_translator_text

            check_initial(folder, config)
            tokenizer = read_translator_text(folder / INITIAL, model.vocabulary_size, model.pad_id).tokenizer
    return Run(folder, config, model, tokenizer, _held_out(folder, config))


def _held_out(folder: Path, config: Mapping[str, Any]) -> list:
    if (folder / VALIDATION_EXAMPLES).is_file():
        check_file(folder, config, VALIDATION_EXAMPLES)
        return read_examples(folder / VALIDATION_EXAMPLES)
    name = VALIDATION_TEXT if config["task"] in LANGUAGE_MODELS else VALIDATION
    check_file(folder, config, name)
    return read_paragraphs([folder / name]) if name == VALIDATION_TEXT else read_validation(folder / name)


def read_config(folder: Path) -> dict:
    """Read run.json and check its format.

    Raises:
        TrainingError: if it is missing, unreadable or of another format.
    """
    path = folder / RUN
    try:
        config = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise TrainingError(
            f"{folder} is not a run folder: {path} cannot be read ({error.strerror})."
        ) from error
    except ValueError as error:
        raise TrainingError(f"{path} is not valid JSON: {error}") from error
    version = config.get("format_version") if isinstance(config, dict) else None
    if version != FORMAT_VERSION:
        raise TrainingError(f"{path} has format_version {version!r}, this version reads {FORMAT_VERSION}.")
    sums = config.get("sha256", {})
    if not isinstance(sums, dict) or sums.get(RUN, own := _own_sha256(config)) != own:
        raise TrainingError(f"{path} is damaged or was edited: its SHA-256 is not the one in it.")
    return config


def _own_sha256(config: Mapping[str, Any]) -> str:
    """Return the SHA-256 of run.json without this very entry."""
    sums = {name: value for name, value in config.get("sha256", {}).items() if name != RUN}
    text = json.dumps({**config, "sha256": sums}, ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def has_not_started(folder: Path) -> bool:
    """Return whether a training may start in a folder: empty, or left before its first checkpoint."""
    if not folder.is_dir():
        return not folder.exists()
    from keras_attn.training.checkpoints import named

    names = [path.name for path in folder.iterdir()]
    ours = all(name in UNFINISHED or _is_part(name) for name in names)
    locked = not names or LOCK in names  # another folder with files of these names is not ours
    return ours and locked and not named(folder / CHECKPOINTS)


def discard_unfinished(folder: Path) -> None:
    """Remove what a training wrote before its first checkpoint, except its lock and machine translations."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.name == TRANSLATIONS:
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name != LOCK:
            path.unlink()


def discard_unstarted_run(folder: Path) -> None:
    """Remove what a refused training prepared, except translations; a run that has started stays as it is."""
    if (folder / RUN).is_file() or not has_not_started(folder) or not folder.is_dir():
        return
    discard_unfinished(folder)
    if (folder / TRANSLATIONS).is_dir():  # the next training continues with them
        return
    (folder / LOCK).unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # another training has just locked it
        folder.rmdir()


def _is_part(name: str) -> bool:
    return any(name.startswith(f".{whole}.part-") for whole in UNFINISHED)


def check_file(folder: Path, config: Mapping[str, Any], name: str) -> None:
    """Check a file against its SHA-256 in run.json.

    Raises:
        TrainingError: if it was replaced or damaged.
    """
    wanted = config.get("sha256", {}).get(name)
    if wanted is not None and (folder / name).is_file() and sha256(folder / name) != wanted:
        raise TrainingError(
            f"{folder / name} is damaged or was replaced: its SHA-256 is not the one in {folder / RUN}."
        )


def check_initial(folder: Path, config: Mapping[str, Any]) -> None:
    """Check the files of the checkpoint that a run was fine-tuned from.

    Raises:
        TrainingError: if one is missing, or was replaced or damaged.
    """
    for name in config.get("initial_files", {}):
        if not (folder / INITIAL / name).is_file():
            raise TrainingError(f"{folder / INITIAL / name} is missing: start the training again.")
        if sha256(folder / INITIAL / name) != config["initial_files"][name]:
            raise TrainingError(
                f"{folder / INITIAL / name} is damaged or was replaced: its SHA-256 is not the one in "
                f"{folder / RUN}."
            )


def check_data(folder: Path, recorded: Mapping[str, str] | None, found: Mapping[str, str]) -> None:
    """Check that the data is the data that a training started with.

    Args:
        folder: the run folder.
        recorded: SHA-256 of the files that the training started with, by path; `None` if it is not known.
        found: SHA-256 of the files that were read now.

    Raises:
        TrainingError: if a file has changed, is missing or is new; it is named.
    """
    if recorded is None:
        raise TrainingError(
            f"{folder / RUN} has no SHA-256 of the training data, so it is not known whether it is the "
            "same: start again with another --output."
        )
    if list(recorded.values()) == list(found.values()):
        return  # in reading order; the paths may differ
    changed = [
        f"{path} has changed" for path, digest in found.items() if recorded.get(path, digest) != digest
    ]
    changed += [f"{path} is new" for path in found if path not in recorded]
    changed += [f"{path} is missing" for path in recorded if path not in found]
    changed = changed or ["The order of the files has changed"]
    raise TrainingError(
        f"{'; '.join(changed[:4])} since {folder} was started: resume with the same data, or start again "
        "with another --output."
    )


def columns_of(training: Mapping[str, Any]) -> dict[str, Any]:
    """Return how a table of labelled texts is read, from the settings of a classifier's training."""
    columns = {"text": training["text_column"], "label": training["label_column"]}
    options = {
        "pair": training.get("pair_column"),
        "delimiter": training.get("delimiter"),
        "header": training.get("header"),
        "separator": training.get("label_separator") if training.get("multi_label") else None,
    }
    return columns | {name: value for name, value in options.items() if value is not None}


def write_config(folder: Path, config: dict) -> None:
    """Write run.json, with its own SHA-256 among those of the other files."""
    config = {**config, "sha256": {**config.get("sha256", {}), RUN: _own_sha256(config)}}
    write_text(folder / RUN, json.dumps(config, indent=1, ensure_ascii=False) + "\n")


def write_tokenizer(folder: Path, tokenizer) -> None:
    """Write tokenizer.json."""
    save_tokenizer(tokenizer, folder / TOKENIZER)


def read_tokenizer(folder: Path, config: Mapping[str, Any]) -> Any:
    """Read tokenizer.json.

    Raises:
        TrainingError: if it is not the tokenizer of the run.
        DataError: if it is missing or not a tokenizer.
    """
    check_file(folder, config, TOKENIZER)
    return load_tokenizer(folder / TOKENIZER)


def save_model(folder: Path, model) -> None:
    """Write model.keras."""
    with replaced(folder / MODEL) as aside:
        model.save(aside)


def read_validation(path: Path) -> list[tuple[str, ...]]:
    """Read validation.tsv: two fields in every line, or three."""
    pairs = [tuple(row) for _, row in read_rows(path)]
    if {len(pair) for pair in pairs} not in (set(), {2}, {3}):
        raise TrainingError(f"{path} must have two fields in every line, or three in every line.")
    return pairs


def write_validation(path: Path, pairs: Sequence[tuple[str, ...]]) -> None:
    """Write validation.tsv, with every field in quotes, so that any text is read back unchanged."""
    lines = io.StringIO()
    csv.writer(lines, delimiter="\t", quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(pairs)
    write_text(path, lines.getvalue())


def write_examples(path: Path, examples: Iterable[Any]) -> None:
    """Write validation.jsonl, one example per line."""
    write_text(path, "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in examples))


def read_examples(path: Path) -> list[Any]:
    """Read validation.jsonl; an example that is a list becomes a tuple."""
    try:
        found = [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]
    except ValueError as error:
        raise TrainingError(f"{path} is not lines of JSON: {error}") from None
    return [tuple(each) if isinstance(each, list) else each for each in found]


def write_paragraphs(path: Path, paragraphs: list[str]) -> None:
    """Write validation.txt, one paragraph per line; none contains a line end."""
    write_text(path, "".join(f"{text}\n" for text in paragraphs))
