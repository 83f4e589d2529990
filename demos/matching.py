"""Two towers for matching: which document is it that a query looks for?

The queries are dates as people write them, the documents the same dates in ISO 8601. Each tower makes a
vector of its text, and the two of a pair learn to be closer than those of all other pairs of the batch.

python demos/matching.py                    learns from generated dates; about a minute, no download
"""

import os
from pathlib import Path
from typing import Annotated

os.environ.setdefault("KERAS_BACKEND", "jax")  # where loops over letters are fast

import keras
import numpy as np
import typer

import keras_attn
from keras_attn.cli import run_script
from keras_attn.data.corpora.dates import generate

LENGTH, LETTERS = 32, 128
TEST = 300  # pairs


def letters(texts: list[str]) -> np.ndarray:
    """Return the ASCII codes of texts, (B, 32), padded with 0."""
    codes = np.zeros((len(texts), LENGTH), "int32")
    for row, text in zip(codes, texts, strict=True):
        known = [ord(letter) for letter in text.lower() if letter.isascii()][:LENGTH]
        row[: len(known)] = known
    return codes


def dates(count: int) -> tuple[dict[str, np.ndarray], list[str], list[str]]:
    """Generate dates in letters of ASCII, each of another day, and the same days in ISO 8601."""
    corpus = generate(train=4 * count, validation=0, test=0)
    pairs = {
        iso: text for text, iso in corpus.train if text.isascii() and text != iso and len(text) <= LENGTH
    }
    queries, documents = list(pairs.values())[-count:], list(pairs)[-count:]
    return {"query": letters(queries), "document": letters(documents)}, queries, documents


def build(depth: int) -> keras.Model:
    """Build the two towers, which share the letters' embedding."""
    embedding = keras.layers.Embedding(LETTERS, depth, mask_zero=True)
    inputs, outputs = {}, {}
    for name in ("query", "document"):
        inputs[name] = keras.Input((LENGTH,), dtype="int32", name=name)
        x = keras.layers.Bidirectional(keras.layers.GRU(depth))(embedding(inputs[name]))
        outputs[name] = keras.layers.UnitNormalization(name=f"{name}_vector")(keras.layers.Dense(depth)(x))
    return keras.Model(inputs, outputs, name="towers")


class InBatchNegatives(keras.Model):
    """The towers in training: of the batch's documents, each query has to find its own."""

    def __init__(self, towers: keras.Model) -> None:
        super().__init__()
        self.towers = towers

    def call(self, inputs: dict) -> dict:
        """Return the vectors, and add the loss of the similarities, (B, B)."""
        vectors = self.towers(inputs)
        scores = 20 * keras.ops.matmul(vectors["query"], keras.ops.transpose(vectors["document"]))
        own = keras.ops.arange(keras.ops.shape(scores)[0])
        losses = keras.losses.sparse_categorical_crossentropy(own, scores, from_logits=True)
        self.add_loss(keras.ops.mean(losses))
        return vectors


def found_first(vectors: dict[str, np.ndarray]) -> float:
    """Return how many of the queries have their own document as the closest."""
    scores = vectors["query"] @ vectors["document"].T
    return float((scores.argmax(-1) == np.arange(len(scores))).mean())


def main(
    output: Annotated[Path, typer.Option(help="Bundle to write.")] = Path("runs/matching-int8"),
    pairs: Annotated[int, typer.Option(min=2, help="Pairs to learn from.")] = 8000,
    epochs: Annotated[int, typer.Option(min=1)] = 12,
    depth: Annotated[int, typer.Option(min=2)] = 48,
) -> None:
    """Train two towers, export them, and say how often each query finds its document."""
    keras.utils.set_random_seed(1)
    examples, queries, documents = dates(pairs + TEST)
    train = {name: codes[:-TEST] for name, codes in examples.items()}
    test = {name: codes[-TEST:] for name, codes in examples.items()}
    towers = build(depth)
    trainer = InBatchNegatives(towers)
    trainer.compile(keras.optimizers.Adam(3e-3))
    trainer.fit(train, batch_size=64, epochs=epochs, verbose=2)

    # One file for both towers; documents are encoded once, and queries as they come.
    keras_attn.export(towers, output, examples={name: x[:64] for name, x in test.items()}, progress=print)
    predictor = keras_attn.device.load(output, task="prediction")
    vectors = predictor.predict(test)
    right = [found_first(found) for found in (towers.predict(test, verbose=0), vectors)]
    print(f"Keras:               {right[0]:.1%} of {TEST} queries find their document first.")
    print(f"On the device, int8: {right[1]:.1%} of them do.")
    for query, vector in zip(queries[-TEST:][:5], vectors["query"], strict=False):
        best = int((vectors["document"] @ vector).argmax())
        print(f"  {query:32} {documents[-TEST:][best]}")
    print(f"On a phone: keras-attn web {output} --output FOLDER")


if __name__ == "__main__":
    run_script(main)
