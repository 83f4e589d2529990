"""`keras-attn evaluate` for classifiers, as runs or bundles, and for runs of language models."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from keras_attn.commands.environment import choose_backend
from keras_attn.commands.paths import is_run
from keras_attn.commands.screen import console, print_title, table

if TYPE_CHECKING:
    from keras_attn.data.readers.labelled import LabelledTexts
    from keras_attn.device.tasks.generator import Generator
    from keras_attn.training import Run

COLUMNS = ("text_column", "label_column", "delimiter", "header")  # settings that say how a table is read


def score_text(path: Path, test: str, limit: int | None, threads: int, backend: str | None) -> dict[str, Any]:
    """Score a run or a bundle of a classifier or a language model on a file.

    Args:
        path: run folder or bundle.
        test: a CSV or TSV file with the columns that the model was trained on, or text.
        limit: only the first so many rows or paragraphs.
        threads: of the interpreter, for bundles.
        backend: what Keras computes with.

    Raises:
        DataError: the file cannot be read, or a label is none of the model's classes.
        typer.BadParameter: a bundle is of a task that is not scored by a file.
    """
    choose_backend(backend)
    if is_run(path):
        from keras_attn.training import load_run

        return score_run(load_run(path), test, limit)
    from keras_attn.device import load
    from keras_attn.device.files.bundle import Bundle
    from keras_attn.device.tasks.classifier import Classifier
    from keras_attn.device.tasks.generator import Generator

    manifest, task = Bundle.open(path).manifest, load(path, threads=threads)
    if isinstance(task, Generator):
        return _foreseen(task, manifest, test, limit)
    if not isinstance(task, Classifier):
        raise typer.BadParameter(
            f"{path} is a bundle for {manifest['task']}: only classifiers and language models are scored"
        )
    columns = manifest["made_from"].get("columns", {"text": "text", "label": "label"})
    classes = manifest["model"]["classes"]
    labelled = _read(test, columns, classes, limit)
    truth = labelled.numbers(classes)
    numbers = {label: number for number, label in enumerate(task.labels)}
    answers = [numbers[found.label] for found in task.classify(labelled.texts, truncate=True)]
    return _scores(truth, answers, len(numbers))


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
    from keras_attn.training.evaluation.classifier import Classifier

    training = run.config["training"]
    columns = {name.removesuffix("_column"): training.get(name) for name in COLUMNS}
    labelled = _read(test, columns, run.config["classes"], limit)
    truth = labelled.numbers(run.config["classes"])
    found = Classifier.of_run(run).logits(labelled.texts).argmax(axis=1)
    return _scores(truth, found.tolist(), len(run.config["labels"]))


def _read(
    test: str, columns: Mapping[str, Any], classes: Collection[str], limit: int | None
) -> "LabelledTexts":
    from keras_attn.data.readers.labelled import read_labelled

    delimiter, header = columns.get("delimiter"), columns.get("header")
    labelled = read_labelled(
        test, columns["text"], columns["label"], delimiter=delimiter, header=header, known=classes
    )
    return labelled.part(range(len(labelled))[:limit])


def _scores(truth: Any, found: Any, count: int) -> dict[str, Any]:
    from keras_attn.training.evaluation.classifier import class_scores, confusion

    return class_scores(confusion(truth, found, count))


def _perplexity(run: "Run", test: str, limit: int | None) -> dict[str, Any]:
    from keras_attn.data.readers.paragraphs import read_paragraphs
    from keras_attn.training.evaluation.perplexity import text_scores

    return text_scores(run, read_paragraphs([test])[:limit])


def _foreseen(
    generator: "Generator", manifest: dict[str, Any], test: str, limit: int | None
) -> dict[str, Any]:
    """Perplexity as `_perplexity` measures it, in rows no longer than what the bundle adds to a prompt."""
    import math

    from keras_attn.data.byte_tokenizer import encode_stream
    from keras_attn.data.readers.paragraphs import read_paragraphs
    from keras_attn.device.proof.perplexity import text_loss
    from keras_attn.training.tasks.causal_lm import next_token_rows

    paragraphs, tokenizer = read_paragraphs([test])[:limit], generator.tokenizer
    longest = min(manifest["made_from"].get("max_tokens", 1024), generator.max_target_tokens)
    end = tokenizer.special_ids["end"]
    ids, _ = encode_stream(tokenizer.tokenizer, paragraphs, end)
    rows = next_token_rows(ids, end, longest)
    loss, targets = text_loss(generator.step_models, [row.tolist() for row in rows], tokenizer.special_ids)
    scores = {"perplexity": round(math.exp(loss), 4), "loss": round(loss, 5), "targets": targets}
    return {**scores, "sentences": len(paragraphs)}


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
