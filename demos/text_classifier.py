"""A text classifier in nine lines of `model.add`, with two transformer blocks, and its bundle for a phone.

python demos/text_classifier.py                       which month is a date in, in many languages, by letters
python demos/text_classifier.py --train train.csv --test test.csv    your own, by words: columns label, text
"""

import calendar
import csv
import gzip
import io
import os
from pathlib import Path
from typing import Annotated

os.environ.setdefault("KERAS_BACKEND", "tensorflow")  # the only backend that reads strings inside a model

import keras
import numpy as np
import typer

import keras_attn
from keras_attn.cli import run_script
from keras_attn.layers import TokenAndPositionEmbedding, TransformerEncoder

Texts = tuple[list[str], list[int]]


def build(texts: list[str], split: str, classes: int, size: int, length: int, depth: int) -> keras.Sequential:
    """Build the classifier; its vocabulary comes from `texts`, split at each "whitespace" or "character"."""
    standardize = "lower" if split == "character" else "lower_and_strip_punctuation"
    vectorize = keras.layers.TextVectorization(size, standardize, split, output_sequence_length=length)
    vectorize.adapt(texts)
    model = keras.Sequential()
    model.add(keras.Input(shape=(), dtype="string"))
    model.add(vectorize)  # (B, T) ids, 0 for padding
    model.add(TokenAndPositionEmbedding(size, length, depth, mask_zero=True))
    model.add(TransformerEncoder(intermediate_dim=2 * depth, num_heads=2))
    model.add(TransformerEncoder(intermediate_dim=2 * depth, num_heads=2))
    model.add(keras.layers.GlobalAveragePooling1D())  # over what the mask leaves
    model.add(keras.layers.Dropout(0.2))
    model.add(keras.layers.Dense(classes, activation="softmax"))
    return model


def read_csv(path: Path) -> Texts:
    """Read columns `label` (0, 1, ...) and `text` of a CSV file, plain or .gz."""
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    reader = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""))
    missing = {"label", "text"} - set(reader.fieldnames or ())
    if missing:
        raise typer.BadParameter(f"{path} lacks the column {' and '.join(sorted(missing))}")
    rows = [(row["text"], row["label"]) for row in reader]
    wrong = next((number for number, (_, label) in enumerate(rows, 2) if not str(label).isdecimal()), None)
    if wrong is not None:
        raise typer.BadParameter(f"{path}, line {wrong}: the label must be a whole number from 0 on")
    return [text for text, _ in rows], [int(label) for _, label in rows]


def months() -> tuple[Texts, Texts]:
    """Generate dates as people write them; the class is the month."""
    from keras_attn.data.corpora.dates import generate

    def labelled(pairs) -> Texts:
        return [text for text, _ in pairs], [int(iso[5:7]) - 1 for _, iso in pairs]

    corpus = generate(train=20000)
    return labelled(corpus.train), labelled(corpus.test)


def main(
    train: Annotated[Path | None, typer.Option(help="CSV file, plain or .gz: columns label, text.")] = None,
    test: Annotated[Path | None, typer.Option(help="The same for testing.")] = None,
    epochs: Annotated[int, typer.Option(min=1)] = 8,
    vocabulary_size: Annotated[int, typer.Option(min=10)] = 20000,
    length: Annotated[int, typer.Option(min=1, help="Words or letters that are read of each text.")] = 100,
    depth: Annotated[int, typer.Option(min=2)] = 64,
    output: Annotated[Path, typer.Option(help="Bundle to write.")] = Path("runs/text-classifier-int8"),
) -> None:
    """Train a classifier, export it, and say how often both are right."""
    if (train is None) != (test is None):
        raise typer.BadParameter("give both --train and --test, or neither")
    keras.utils.set_random_seed(1)
    if train is None or test is None:
        (texts, labels), (test_texts, test_labels) = months()
        split, length = "character", min(length, 40)  # no date is longer
    else:
        split = "whitespace"
        (texts, labels), (test_texts, test_labels) = read_csv(train), read_csv(test)
    classes = max(labels + test_labels) + 1
    names = list(calendar.month_name)[1:] if train is None else [str(label) for label in range(classes)]
    model = build(texts, split, classes, vocabulary_size, length, depth)
    model.compile(keras.optimizers.Adam(2e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.summary()
    model.fit(np.array(texts, object), np.array(labels), batch_size=64, epochs=epochs, validation_split=0.05)
    _, accuracy = model.evaluate(np.array(test_texts, object), np.array(test_labels), verbose=0)
    print(f"{accuracy:.1%} of {len(test_texts)} test texts are right.")

    # The bundle holds the vocabulary of TextVectorization, so that a phone is given the texts themselves.
    keras_attn.export(model, output, labels=names, examples=test_texts[:256], progress=print)
    classifier = keras_attn.device.load(output, task="classification")
    results = classifier.classify(test_texts)
    right = sum(found.label == names[label] for found, label in zip(results, test_labels, strict=True))
    print(f"{right / len(test_texts):.1%} of them are right on the device, in int8.")
    for text, found in list(zip(test_texts, results, strict=True))[:5]:
        print(f"  {found.score:6.1%}  {found.label:10} {text}")
    print(f"On a phone: keras-attn web {output} --output FOLDER")


if __name__ == "__main__":
    run_script(main)
