"""The exact Gaussian error linear unit, in the form that is cheap on the backend at hand."""

import math

import keras
from keras import ops


def gelu(x):
    """x Φ(x) (Hendrycks and Gimpel, 2016, arXiv:1606.08415), written with erf.

    Args:
        x: float tensor of any shape.

    Returns:
        Tensor like `x`.
    """
    return 0.5 * x * (1 + ops.erf(x / math.sqrt(2)))


def cheapest(activation):
    """Give the same function, in its cheaper form if there is one.

    JAX writes the exact GELU with erfc, which XLA expands into so many operations on a CPU that the function
    and its gradient take a third of a small block's training step. The other backends use erf themselves.
    """
    exact_gelu = activation is keras.activations.gelu
    return gelu if exact_gelu and keras.backend.backend() == "jax" else activation
