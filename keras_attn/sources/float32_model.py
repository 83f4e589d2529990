"""The model that an export begins with: computing in float32, by weights that are all it multiplies with."""

from typing import Any

from keras_attn.errors import ArgumentError


def _check_weights_are_plain(model: Any) -> None:
    """Raise a ValueError if the weights of a layer are not all that it multiplies with."""
    for layer in model._flatten_layers():
        if getattr(layer, "quantization_mode", None) is not None:
            raise ArgumentError(
                f"layer {layer.path} is quantized to {layer.quantization_mode}: export the model as it was "
                "before `quantize`, and choose a recipe"
            )
        if getattr(layer, "lora_enabled", False):
            raise ArgumentError(
                f"layer {layer.path} has a LoRA adapter: save the model and load it again, which adds the "
                "adapter to the weights, and export that"
            )


def in_float32(model: Any) -> Any:
    """Return the model computing in float32; one trained in mixed precision is rebuilt with its weights.

    The reference of the proof must not have rounding errors of its own.

    Raises:
        ArgumentError: if layers are quantized or have LoRA adapters.
    """
    _check_weights_are_plain(model)
    if model.compute_dtype == "float32":
        return model
    twin = type(model).from_config({**model.get_config(), "dtype": "float32"})
    twin.set_weights(model.get_weights())
    return twin
