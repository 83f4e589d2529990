"""The model that an export begins with: computing in float32, by weights that are all it multiplies with."""

import contextlib
import json
from collections.abc import Iterator
from typing import Any

from keras_attn.errors import ArgumentError
from keras_attn.sources.tensorflow_sums import exact_sums


def check_not_quantized(model: Any) -> None:
    """Raise an ArgumentError if a layer is quantized: a recipe quantizes the model as it was trained."""
    for layer in model._flatten_layers():
        if getattr(layer, "quantization_mode", None) is not None:
            raise ArgumentError(
                f"layer {layer.path} is quantized to {layer.quantization_mode}: export the model as it was "
                "before `quantize`, and choose a recipe"
            )


def _check_weights_are_plain(model: Any) -> None:
    """Raise an ArgumentError if the weights of a layer are not all that it multiplies with."""
    check_not_quantized(model)
    for layer in model._flatten_layers():
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
    twin = type(model).from_config(_float32_config({**model.get_config(), "dtype": "float32"}))
    twin.set_weights(model.get_weights())
    return twin


def _float32_config(config: Any) -> Any:
    """Return a configuration with every policy replaced, those of models inside it among them."""
    if isinstance(config, list | tuple):
        return type(config)(map(_float32_config, config))
    if not isinstance(config, dict):
        return config
    return {
        name: "float32" if name == "dtype" and _is_policy(value) else _float32_config(value)
        for name, value in config.items()
    }


def _is_policy(value: Any) -> bool:
    if isinstance(value, dict):
        return value.get("class_name") == "DTypePolicy"
    return isinstance(value, str) and ("mixed" in value or "float" in value)


@contextlib.contextmanager
def computing_in_float32(model: Any) -> Iterator[None]:
    """Let every layer of any model compute in float32 until the end of the block, whatever its policy."""
    others = [layer for layer in model._flatten_layers() if layer.compute_dtype != "float32"]
    policies = [layer.dtype_policy for layer in others]
    halves = list(_half_inputs(model))
    types = [each._dtype for each in halves]
    try:
        for layer in others:
            layer.dtype_policy = _float32_over(layer.variable_dtype)
        for each in halves:
            each._dtype = "float32"
        with exact_sums():
            yield
    finally:
        for layer, policy in zip(others, policies, strict=True):
            layer.dtype_policy = policy
        for each, kind in zip(halves, types, strict=True):
            each._dtype = kind


def _half_inputs(model: Any) -> Iterator[Any]:
    """Yield what rounds the inputs of inner models to 16 bits, as Sequential's in mixed precision."""
    for layer in model._flatten_layers():
        functional = getattr(layer, "_functional", None) or layer
        for tensor in getattr(functional, "_inputs", None) or ():
            history = getattr(tensor, "_keras_history", None)
            for each in (tensor, history and history.operation):
                if getattr(each, "_dtype", None) in ("float16", "bfloat16"):
                    yield each


def _float32_over(variable_dtype: str) -> Any:
    """Return the policy of a layer that computes in float32 with weights of another type."""
    from keras import DTypePolicy

    policy = DTypePolicy("float32")
    policy._variable_dtype = variable_dtype
    return policy


def json_config(model: Any) -> dict[str, Any]:
    """Return a model's constructor arguments as JSON has them."""
    return json.loads(json.dumps(model.get_config()))
