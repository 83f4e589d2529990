"""The next twelve months of a series, by a recurrent layer and attention over what it read.

python demos/forecast.py                    trains on generated sales with a trend and seasons; under a minute
"""

from pathlib import Path
from typing import Annotated

import keras
import numpy as np
import typer

import keras_attn
from keras_attn.cli import run_script
from keras_attn.layers import BahdanauAttention

PAST, FUTURE = 48, 12  # months


def sales(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Generate series of monthly sales: a level, a trend, a year's and a half year's waves, and noise.

    Returns:
        What is known, (B, 48, 1), and what comes next, (B, 12).
    """
    rng = np.random.default_rng(seed)
    months = np.arange(PAST + FUTURE)
    level, trend = rng.normal(0, 1, (count, 1)), rng.normal(0, 0.02, (count, 1))
    series = level + trend * months + rng.normal(0, 0.1, (count, PAST + FUTURE))
    for period in (12, 6):
        height, shift = rng.uniform(0.2, 1, (count, 1)), rng.uniform(0, 2 * np.pi, (count, 1))
        series += height * np.sin(2 * np.pi * months / period + shift)
    series = series.astype("float32")
    return series[:, :PAST, None], series[:, PAST:]


def build(units: int) -> keras.Model:
    """Build the forecaster: what it says is added to the last year's months."""
    past = keras.Input((PAST, 1), name="past")
    states = keras.layers.GRU(units, return_sequences=True)(past)  # (B, 48, D)
    last = keras.layers.Cropping1D((PAST - 1, 0))(states)  # (B, 1, D)
    context = BahdanauAttention(units)([last, states])  # (B, 1, D)
    x = keras.layers.Flatten()(keras.layers.Concatenate()([last, context]))
    x = keras.layers.Dense(units, activation="relu")(x)
    last_year = keras.layers.Flatten()(keras.layers.Cropping1D((PAST - FUTURE, 0))(past))  # (B, 12)
    future = keras.layers.Add(name="future")([last_year, keras.layers.Dense(FUTURE)(x)])
    return keras.Model(past, future, name="forecaster")


def mean_error(found: np.ndarray, wanted: np.ndarray) -> float:
    """Return the mean absolute error."""
    return float(np.abs(found - wanted).mean())


def main(
    output: Annotated[Path, typer.Option(help="Bundle to write.")] = Path("runs/forecast-int8"),
    series: Annotated[int, typer.Option(min=2, help="Series to learn from.")] = 4000,
    epochs: Annotated[int, typer.Option(min=1)] = 12,
    units: Annotated[int, typer.Option(min=1)] = 32,
) -> None:
    """Train a forecaster, export it, and print its errors and one forecast."""
    keras.utils.set_random_seed(1)
    past, future = sales(series, seed=0)
    test_past, test_future = sales(500, seed=1)
    model = build(units)
    model.compile(keras.optimizers.Adam(3e-3), "mse")
    model.fit(past, future, batch_size=64, epochs=epochs, validation_split=0.05, verbose=2)

    keras_attn.export(model, output, examples=test_past[:64], batch=[16], progress=print)
    predictor = keras_attn.device.load(output, task="prediction")
    found = predictor.predict(test_past)
    wanted, by_keras = test_future, model.predict(test_past, verbose=0)
    print(f"Mean error of last year's months: {mean_error(test_past[:, -FUTURE:, 0], wanted):.3f}")
    print(f"Mean error of Keras:              {mean_error(by_keras, wanted):.3f}")
    print(f"Mean error on the device, int8:   {mean_error(found, wanted):.3f} (the noise alone: 0.080)")
    print("forecast", *(f"{value:6.2f}" for value in found[0]))
    print("true    ", *(f"{value:6.2f}" for value in test_future[0]))
    print(f"On a phone: keras-attn web {output} --output FOLDER")


if __name__ == "__main__":
    run_script(main)
