"""`keras-attn evaluate` for runs of classifiers and language models."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from keras_attn.commands.screen import console, print_title, table

if TYPE_CHECKING:
    from keras_attn.training import Run

RUN_FILE = "run.json"


def task_of(path: Path) -> str:
    """The task of a run folder; of anything else, a translator's.

    Raises:
        TrainingError: the run folder cannot be read.
    """
    if not (path / RUN_FILE).is_file():
        return "translation"
    from keras_attn.training.run import read_config

    return read_config(path)["task"]


def score_run(run: "Run", test: str, limit: int | None) -> dict[str, Any]:
    """Score a run of a classifier or a language model on a file.

    Args:
        run: the run.
        test: a CSV or TSV file with the columns that the run was trained on, or text.
        limit: only the first so many rows or paragraphs.

    Raises:
        DataError: the file cannot be read, or a label is none of the run's classes.
    """
    return (_classes if run.config["task"] == "classification" else _perplexity)(run, test, limit)


def _classes(run: "Run", test: str, limit: int | None) -> dict[str, Any]:
    from keras_attn.data.labelled import read_labelled
    from keras_attn.training.classes import Classifier, class_scores, confusion

    training = run.config["training"]
    labelled = read_labelled(test, training["text_column"], training["label_column"])
    labelled = labelled.part(range(len(labelled))[:limit])
    truth = labelled.numbers(run.config["classes"])
    found = Classifier.of_run(run).logits(labelled.texts).argmax(axis=1)
    return class_scores(confusion(truth, found.tolist(), len(run.config["labels"])))


def _perplexity(run: "Run", test: str, limit: int | None) -> dict[str, Any]:
    from keras_attn.data.paragraphs import read_paragraphs
    from keras_attn.training.perplexity import text_scores

    return text_scores(run, read_paragraphs([test])[:limit])


def show_scores(scores: dict[str, Any], path: Path) -> None:
    """Print scores as a table."""
    shown = table("", ">")
    for name, value in scores.items():
        share = name in ("accuracy", "macro_f1")
        shown.add_row(name.replace("_", "-"), f"{value:.2%}" if share else f"{value:,}")
    print_title(str(path))
    console().print(shown)


def required_test(test: str | None, **not_for_texts: Any) -> str:
    """Give the test file; options that only a translator has are refused.

    Raises:
        typer.BadParameter: there is no test file, or such an option is given.
    """
    given = [name.replace("_", "-") for name, value in not_for_texts.items() if value is not None]
    if given:
        raise typer.BadParameter(f"--{', --'.join(given)} is for translators only")
    if test is None:
        raise typer.BadParameter("give --test FILE")
    return test
