"""Types of the arguments of layers and models, as a type checker and an editor show them."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

# A tensor of the backend, a NumPy array or a `keras.KerasTensor`, and `None` for one that is left out: Keras
# converts whatever it is given.
Tensor: TypeAlias = Any
# What a model reads: arrays by name.
Inputs: TypeAlias = Mapping[str, Any]
# A name, an object, or a configuration of one.
Initializer: TypeAlias = str | Callable[..., Any] | Mapping[str, Any]
Activation: TypeAlias = str | Callable[..., Any]
