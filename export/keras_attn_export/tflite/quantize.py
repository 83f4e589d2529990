"""Quantize a .tflite file by a recipe, with the AI Edge Quantizer."""

from __future__ import annotations

import contextlib
import io
import logging
import re
from collections.abc import Collection, Iterator

from ai_edge_quantizer import algorithm_manager, qtyping, quantizer, recipe_manager

from keras_attn.errors import ArgumentError

_WITH_WEIGHTS = (qtyping.TFLOperationName.FULLY_CONNECTED, qtyping.TFLOperationName.EMBEDDING_LOOKUP)


def quantize(content: bytes, weights: str, activations: str, int4: Collection[str] = ()) -> bytes:
    """Quantize the weights of every operator that has any.

    Args:
        content: an fp32 .tflite file.
        weights: "float16" or "int8" (symmetric, one scale per row).
        activations: "float32", or "int8" to quantize them row by row while running.
        int4: names of the outputs of operators whose 8-bit weights get 4 bits instead.

    Returns:
        The quantized .tflite file.

    Raises:
        ArgumentError: for a combination no kernel computes.
    """
    every = qtyping.TFLOperationName.ALL_SUPPORTED
    manager = recipe_manager.RecipeManager()
    match weights, activations:
        case "float16", "float32":
            casting = algorithm_manager.AlgorithmName.FLOAT_CASTING
            manager.add_weight_only_config(
                regex=".*", operation_name=every, num_bits=16, algorithm_key=casting
            )
        case "int8", "float32":
            manager.add_weight_only_config(regex=".*", operation_name=every, num_bits=8)
        case "int8", "int8":
            manager.add_dynamic_config(regex=".*", operation_name=every, num_bits=8)
            # Its kernel takes 8 bits on one side only, and then rounds the other: constants stay floats.
            manager.add_quantization_config(
                regex=".*",
                operation_name=qtyping.TFLOperationName.BATCH_MATMUL,
                algorithm_key=algorithm_manager.AlgorithmName.NO_QUANTIZE,
            )
            if int4:
                these = f"^({'|'.join(map(re.escape, int4))});$"
                for operation in _WITH_WEIGHTS:
                    manager.add_dynamic_config(regex=these, operation_name=operation, num_bits=4)
        case _:
            raise ArgumentError(f"no kernel computes {weights} weights with {activations} activations")
    with _quiet():
        worker = quantizer.Quantizer(bytearray(content), manager.get_quantization_recipe())
        result = worker.quantize(enable_progress_bar=False, enable_progress_report=False)
    if result.quantized_model is None:
        raise ArgumentError("the quantizer returned no model")
    return bytes(result.quantized_model)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the quantizer, which warns once per tensor that signatures share weights, as they should."""
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)
