"""The run folder: everything that a training leaves, and all that export needs."""

import contextlib
import csv
import dataclasses
import json
import os
import shutil
from pathlib import Path
from typing import Any

from keras_attn.data.paragraphs import read_paragraphs
from keras_attn.data.tokenizer import load_tokenizer, save_tokenizer
from keras_attn.device.text import Tokenizer
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
ENCODED = "encoded"  # what a training needs while it lasts, and can be made again
LANGUAGE_MODELS = ("masked-lm", "causal-lm")


@dataclasses.dataclass
class Run:
    """A finished or running training, as read from its folder.

    Attributes:
        folder: where it is.
        config: content of run.json.
        model: the Keras model with the chosen weights.
        tokenizer: for translation `keras_attn.device.text.Tokenizer`; else `tokenizers.Tokenizer`, of which
            `encode(text).ids` is the model's input, neither padded nor cut.
        validation: held-out examples: for translation (source, target), for classification (text, label),
            for language models texts.
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
        """sacrebleu's tokenization that this run was evaluated with."""
        return self.config["training"]["bleu_tokenize"]


def load_run(folder: str | os.PathLike[str]) -> Run:
    """Read a run folder.

    Raises:
        TrainingError: if it is no run folder, of another format, or has no trained model yet.
    """
    import keras

    import keras_attn.models  # registers the classes that model.keras names

    del keras_attn
    folder = Path(folder)
    config = read_config(folder)
    path = folder / MODEL
    if not path.is_file():
        raise TrainingError(f"{path} does not exist: the training has not finished; go on with --resume.")
    try:
        model = keras.saving.load_model(path, compile=False)
    except (ValueError, OSError, KeyError) as error:
        raise TrainingError(f"{path} cannot be read as a Keras model: {error}") from error
    tokenizer: Any = load_tokenizer(folder / TOKENIZER)
    if config["task"] == "translation":
        tokenizer = Tokenizer(tokenizer, config["special_ids"])
    return Run(folder, config, model, tokenizer, _held_out(folder, config["task"]))


def _held_out(folder: Path, task: str) -> list:
    if task in LANGUAGE_MODELS:
        return read_paragraphs([folder / VALIDATION_TEXT])
    return read_validation(folder / VALIDATION)


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
            f"{folder} is no run folder: {path} cannot be read ({error.strerror})."
        ) from error
    except ValueError as error:
        raise TrainingError(f"{path} is not valid JSON: {error}") from error
    version = config.get("format_version") if isinstance(config, dict) else None
    if version != FORMAT_VERSION:
        raise TrainingError(f"{path} has format_version {version!r}, this version reads {FORMAT_VERSION}.")
    return config


def leave_nothing(folder: Path) -> None:
    """Remove what a training that was refused prepared; a run that has begun stays as it is."""
    if (folder / RUN).is_file() or not folder.is_dir():
        return
    shutil.rmtree(folder / ENCODED, ignore_errors=True)
    with contextlib.suppress(OSError):  # something else is in it
        folder.rmdir()


def write_config(folder: Path, config: dict) -> None:
    """Write run.json, aside first."""
    write_text(folder / RUN, json.dumps(config, indent=1, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a file aside, then put it in place."""
    aside = path.with_name(f".{path.name}.part")
    aside.write_text(text, "utf-8")
    aside.replace(path)


def write_tokenizer(folder: Path, tokenizer) -> None:
    """Write tokenizer.json."""
    save_tokenizer(tokenizer, folder / TOKENIZER)


def save_model(folder: Path, model) -> None:
    """Write model.keras, aside first."""
    aside = folder / f".part-{MODEL}"
    model.save(aside)
    aside.replace(folder / MODEL)


def read_validation(path: Path) -> list[tuple[str, str]]:
    """Read validation.tsv."""
    lines = path.read_text("utf-8").split("\n")[:-1]
    pairs = [tuple(line.split("\t")) for line in lines]
    if any(len(pair) != 2 for pair in pairs):
        raise TrainingError(f"{path} must have two fields in every line.")
    return pairs  # type: ignore[return-value]


def write_validation(path: Path, pairs: list[tuple[str, str]]) -> None:
    """Write validation.tsv: tabs and line breaks inside a text become spaces."""
    clean = [[" ".join(text.split()) for text in pair] for pair in pairs]
    write_text(path, "".join("\t".join(pair) + "\n" for pair in clean))


def write_paragraphs(path: Path, paragraphs: list[str]) -> None:
    """Write validation.txt, one paragraph per line."""
    write_text(path, "".join(f"{' '.join(text.splitlines())}\n" for text in paragraphs))


def read_history(folder: Path) -> list[dict]:
    """Read history.csv; there is none before the first evaluation."""
    path = folder / HISTORY
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [{name: _number(value) for name, value in row.items()} for row in csv.DictReader(file)]


def _number(value: str) -> float | int | None:
    if value == "":
        return None
    return int(value) if value.lstrip("-").isdigit() else float(value)


def write_history(folder: Path, rows: list[dict], metric: str) -> None:
    """Write history.csv and draw history.png, with the metric that the best checkpoint is chosen by."""
    from keras_attn.pictures.curves import training_curves

    path = folder / HISTORY
    aside = folder / f".{HISTORY}.part"
    with aside.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    aside.replace(path)
    training_curves(rows, folder / "history.png", metric)
