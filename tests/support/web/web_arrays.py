"""Keras models of arrays, for the web app: several inputs, a masked sequence, a picture."""

import struct
import zlib
from pathlib import Path

import keras
import numpy as np
from keras import layers

SIZE = 12  # pixels of the picture
LENGTHS = (4, 9)


def several_inputs() -> keras.Model:
    """A dict of inputs, of all types, to a dict of outputs."""
    age, taste = keras.Input((1,), name="age"), keras.Input((6,), name="taste")
    tags, item = keras.Input((3,), dtype="bool", name="tags"), keras.Input((), dtype="int32", name="item")
    parts = [age, taste, keras.ops.cast(tags, "float32"), layers.Embedding(20, 5)(item)]
    hidden = layers.Dense(16, activation="tanh")(layers.Concatenate()(parts))
    outputs = {
        "kind": layers.Dense(12, activation="softmax")(hidden),
        "low": layers.Dense(1)(hidden),
        "high": layers.Dense(1)(hidden),
    }
    return keras.Model({"age": age, "taste": taste, "tags": tags, "item": item}, outputs)


def masked_sequence() -> keras.Model:
    """An LSTM over rows of 3 numbers, of any length, and its last state; its filling is -1.0."""
    series = keras.Input((None, 3), name="series")
    hidden = layers.LSTM(8, return_sequences=True)(layers.Masking(mask_value=-1.0)(series))
    outputs = {"levels": layers.Dense(2)(hidden), "last": layers.Dense(1)(layers.LSTM(4)(hidden))}
    return keras.Model(series, outputs)


def picture() -> keras.Model:
    """A small picture to ten classes."""
    pixels = keras.Input((SIZE, SIZE, 3), name="photo")
    hidden = layers.Conv2D(6, 3, strides=2, activation="relu")(layers.Rescaling(1 / 255)(pixels))
    hidden = layers.Flatten()(layers.MaxPooling2D()(hidden))
    return keras.Model(pixels, layers.Dense(10, activation="softmax", name="classes")(hidden))


MODELS = {"inputs": several_inputs, "sequence": masked_sequence, "picture": picture}


def examples(name: str, count: int) -> list[dict[str, np.ndarray]]:
    """Valid inputs of a model by name, without a batch axis; sequences of different lengths."""
    rng = np.random.default_rng(3)
    make = {
        "inputs": lambda i: {
            "age": rng.normal(size=1).astype("float32"),
            "taste": rng.normal(size=6).astype("float32"),
            "tags": rng.integers(0, 2, 3).astype(bool),
            "item": np.array(rng.integers(20), "int32"),
        },
        "sequence": lambda i: {"series": rng.normal(size=(1 + i % LENGTHS[-1], 3)).astype("float32")},
        "picture": lambda i: {"photo": rng.integers(0, 256, (SIZE, SIZE, 3)).astype("float32")},
    }[name]
    return [make(i) for i in range(count)]


def write_png(path: Path, pixels: np.ndarray) -> Path:
    """Write a picture, (height, width, 3) uint8."""
    height, width, _ = pixels.shape

    def chunk(kind: bytes, content: bytes) -> bytes:
        checked = kind + content
        return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = b"".join(b"\0" + row.tobytes() for row in pixels.astype(np.uint8))
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts))
    return path
