"""The Gaussian error linear unit: exact, in the form that is cheap on the backend, and by tanh."""

import math

import keras
from keras import ops


def gelu(x):
    """Compute x Φ(x) (Hendrycks and Gimpel, 2016, arXiv:1606.08415), written with erf.

    Args:
        x: float tensor of any shape.

    Returns:
        Tensor like `x`.
    """
    if keras.backend.backend() == "jax" and not all(isinstance(size, int) for size in x.shape):
        # Traced for export: not every TensorFlow can read the operation that JAX writes for erf.
        return keras.activations.gelu(x)
    return 0.5 * x * (1 + ops.erf(x / math.sqrt(2)))


@keras.saving.register_keras_serializable("keras_attn")
def gelu_approximate(x):
    """Compute GELU by its tanh formula (Hendrycks and Gimpel, 2016, section 2), as GPT-2 does.

    Args:
        x: float tensor of any shape.

    Returns:
        Tensor like `x`.
    """
    return keras.activations.gelu(x, approximate=True)


def activation_named(activation):
    """Return an activation by Keras' name or `"gelu_approximate"`, or from a function or configuration."""
    return gelu_approximate if activation == "gelu_approximate" else keras.activations.get(activation)


def fast_equivalent(activation):
    """Return the same function, in a cheaper form if there is one.

    JAX and TensorFlow write the exact GELU with erfc, which XLA expands into so many operations on a CPU that
    the function and its gradient take a third of a small block's training step. Torch uses erf itself.
    """
    exact_gelu = activation is keras.activations.gelu
    return gelu if exact_gelu and keras.backend.backend() in ("jax", "tensorflow") else activation
