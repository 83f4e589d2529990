"""LoRA: small trained adapters beside frozen matrices."""

from typing import Any

import keras

from keras_attn.training.errors import TrainingError


def add_adapters(model: Any, rank: int) -> None:
    """Freeze a model, and add LoRA adapters to the matrices of its dense layers (Hu et al., 2021,
    arXiv:2106.09685).

    `model.save` writes each matrix with its adapter added.

    Raises:
        TrainingError: if the model has no dense layers.
    """
    kinds = keras.layers.Dense | keras.layers.EinsumDense
    dense = [layer for layer in model._flatten_layers() if isinstance(layer, kinds)]
    if not dense:
        raise TrainingError(f"`lora_rank`: a {type(model).__name__} has no dense layers to adapt.")
    for variable in model.trainable_variables:
        variable.trainable = False
    for layer in dense:
        layer.enable_lora(rank)
