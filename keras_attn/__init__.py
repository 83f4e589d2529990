"""Attention models written in Keras, trained anywhere Keras trains, proven equal on the phone.

Importing this package imports nothing else, so that ``keras_attn.device`` works where only NumPy, tokenizers
and an interpreter are installed. Its subpackages are loaded when they are first touched.
"""

import importlib

__version__ = "0.1.0"

__all__ = [
    "__version__",
    "data",
    "device",
    "generation",
    "layers",
    "models",
    "pictures",
    "pretrained",
    "training",
]


def __getattr__(name: str):
    if name in __all__:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
