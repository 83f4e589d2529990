"""Process-wide state that a training changes while it runs: the dtype policy and the random seeds."""

import contextlib
import random
from collections.abc import Iterator

import keras
import numpy as np
from keras.src.backend.common import global_state
from keras.src.random.seed_generator import GLOBAL_SEED_GENERATOR
from keras.src.utils.rng_utils import GLOBAL_RANDOM_SEED


@contextlib.contextmanager
def process_state(precision: str) -> Iterator[None]:
    """Set the dtype policy within the block; restore it and the seeds afterwards, also after an error.

    TensorFlow's own global seed, which this package does not use, is not restored.

    Args:
        precision: of a training's configuration.
    """
    policy = keras.config.dtype_policy()
    names = (GLOBAL_RANDOM_SEED, GLOBAL_SEED_GENERATOR)
    seeds = {name: global_state.get_global_attribute(name) for name in names}
    python, legacy_numpy = random.getstate(), np.random.get_state()
    keras.config.set_dtype_policy("float32" if precision == "float32" else f"mixed_{precision}")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)
        for name, value in seeds.items():
            global_state.set_global_attribute(name, value)
        random.setstate(python)
        np.random.set_state(legacy_numpy)
