"""Pictures by patches: a small vision transformer tells drawn shapes apart.

python demos/patches.py                     draws circles, squares, triangles and crosses; under a minute
"""

from pathlib import Path
from typing import Annotated

import keras
import numpy as np
import typer

import keras_attn
from keras_attn.cli import run_script
from keras_attn.layers import PositionEmbedding, TransformerEncoder

SHAPES = ["circle", "square", "triangle", "cross"]
SIZE, PATCH = 24, 4  # pixels


def draw(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw shapes of any size, place and angle, in two colours, under noise.

    Returns:
        The pictures, (B, 24, 24, 3) from 0 to 1, and their shapes' numbers, (B,).
    """
    rng = np.random.default_rng(seed)
    shapes = rng.integers(len(SHAPES), size=count)
    radius = rng.uniform(5, 9, (count, 1, 1))
    centre = rng.uniform(9, SIZE - 9, (2, count, 1, 1))
    angle = rng.uniform(0, 2 * np.pi, (count, 1, 1))
    rows, columns = np.mgrid[:SIZE, :SIZE]
    y, x = (rows - centre[0]) / radius, (columns - centre[1]) / radius  # (B, 24, 24)
    x, y = x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)
    furthest, nearest = np.maximum(abs(x), abs(y)), np.minimum(abs(x), abs(y))
    inside = [
        x**2 + y**2 < 0.8,
        furthest < 0.75,
        (y < 0.5) & (y > np.sqrt(3) * abs(x) - 1),
        (nearest < 0.25) & (furthest < 0.95),
    ]
    drawn = np.choose(shapes[:, None, None], inside)[..., None]  # (B, 24, 24, 1)
    background, colour = rng.uniform(0, 0.4, (count, 1, 1, 3)), rng.uniform(0.6, 1, (count, 1, 1, 3))
    pictures = np.where(drawn, colour, background) + rng.normal(0, 0.1, (count, SIZE, SIZE, 3))
    return pictures.clip(0, 1).astype("float32"), shapes.astype("int32")


def build(depth: int, blocks: int) -> keras.Model:
    """Build the classifier: patches, their positions, transformer blocks, their average."""
    patches = (SIZE // PATCH) ** 2
    picture = keras.Input((SIZE, SIZE, 3), name="picture")
    x = keras.layers.Conv2D(depth, PATCH, strides=PATCH)(picture)  # (B, 6, 6, D)
    x = keras.layers.Reshape((patches, depth))(x)  # (B, 36, D)
    x = keras.layers.Add()([x, PositionEmbedding(patches)(x)])
    for _ in range(blocks):
        x = TransformerEncoder(2 * depth, num_heads=4, normalize_first=True)(x)
    x = keras.layers.GlobalAveragePooling1D()(x)
    return keras.Model(picture, keras.layers.Dense(len(SHAPES), activation="softmax", name="shape")(x))


def main(
    output: Annotated[Path, typer.Option(help="Bundle to write.")] = Path("runs/patches-int8"),
    pictures: Annotated[int, typer.Option(min=2, help="Pictures to learn from.")] = 6000,
    epochs: Annotated[int, typer.Option(min=1)] = 8,
    depth: Annotated[int, typer.Option(min=4)] = 64,
    blocks: Annotated[int, typer.Option(min=1)] = 2,
) -> None:
    """Train a classifier of pictures, export it, and say how often both are right."""
    keras.utils.set_random_seed(1)
    train, shapes = draw(pictures, seed=0)
    test, test_shapes = draw(500, seed=1)
    model = build(depth, blocks)
    model.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(train, shapes, batch_size=64, epochs=epochs, validation_split=0.05, verbose=2)
    _, accuracy = model.evaluate(test, test_shapes, verbose=0)

    keras_attn.export(model, output, examples=test[:64], batch=[16], progress=print)
    predictor = keras_attn.device.load(output, task="prediction")
    found = predictor.predict(test)  # (B, 4)
    print(f"Keras:               {accuracy:.1%} of {len(test)} test pictures are right.")
    print(f"On the device, int8: {(found.argmax(-1) == test_shapes).mean():.1%} of them are right.")
    for scores, shape in zip(found[:5], test_shapes, strict=False):
        print(f"  {scores.max():6.1%}  {SHAPES[scores.argmax()]:9} (a {SHAPES[shape]})")
    print(f"On a phone: keras-attn web {output} --output FOLDER")


if __name__ == "__main__":
    run_script(main)
