"""Attention models written in Keras, trained anywhere Keras trains, proven equal on the phone.

    export      a trained model, a run or a checkpoint -> a proven bundle for the device
    prove       a .tflite file that something else made, against the Keras model that it should be
    load        a bundle, a run or a checkpoint -> the object of its task
    train       from data to a run: `train.translation(...)`, `train.classification(...)`, ...
    device      bundles on LiteRT, without Keras
    evaluation  scores of a model on held-out text: `evaluation.evaluate(...)`

    layers, models, pretrained, data, training, pictures    what these are made of

Importing this package imports neither Keras nor a backend, so that `keras_attn.device` works where only
NumPy, tokenizers and an interpreter are installed. `keras.saving.load_model` finds its classes from then on.
"""

from typing import TYPE_CHECKING

from keras_attn.lazy_names import lazy_names
from keras_attn.registration import register_lazily

if TYPE_CHECKING:
    from keras_attn_export import export, prove

    from keras_attn import data, device, evaluation, layers, models, pictures, pretrained, train, training
    from keras_attn.errors import KerasAttnError
    from keras_attn.loading import load

__version__ = "0.2.0"

__all__ = [
    "KerasAttnError",
    "data",
    "device",
    "evaluation",
    "export",
    "layers",
    "load",
    "models",
    "pictures",
    "pretrained",
    "prove",
    "train",
    "training",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "KerasAttnError": ".errors",
        "data": ".data",
        "device": ".device",
        "evaluation": ".evaluation",
        "export": "keras_attn_export",
        "layers": ".layers",
        "load": ".loading",
        "models": ".models",
        "pictures": ".pictures",
        "pretrained": ".pretrained",
        "prove": "keras_attn_export",
        "train": ".train",
        "training": ".training",
    },
)

register_lazily()
