"""Rematerialization: the activations of blocks are recomputed in the backward pass instead of kept.

Chen et al., 2016, "Training Deep Nets with Sublinear Memory Cost" (arXiv:1604.06174). Keras' own
`RematScope` loses the state of dropout inside a block; here it is an input and an output.
"""

from typing import Any

import keras

from keras_attn.layers.transformer.transformer_block import TransformerBlock
from keras_attn.training.errors import TrainingError


def rematerialize(model: Any) -> int:
    """Make every Transformer block of a model recompute its activations in training.

    Args:
        model: any model; it is changed.

    Returns:
        The number of blocks.

    Raises:
        TrainingError: if the backend is not JAX, or the model has no such block.
    """
    if keras.backend.backend() != "jax":
        raise TrainingError("`remat` needs the JAX backend: --backend jax.")
    blocks = [layer for layer in model._flatten_layers() if isinstance(layer, TransformerBlock)]
    if not blocks:
        raise TrainingError(
            f"`remat` needs a model of Transformer blocks, and {type(model).__name__} has none."
        )
    for block in blocks:
        block.call = _rematerialized(block)
    return len(blocks)


def _rematerialized(block: TransformerBlock) -> Any:
    import functools

    import jax

    call = block.call

    @functools.wraps(call)
    def rematerialized(*arguments, training=None, **options):
        if not training:
            return call(*arguments, training=training, **options)
        variables = block.variables
        seeds = block.non_trainable_variables

        def pure(values):
            with keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True))) as scope:
                result = call(*arguments, training=training, **options)
            return result, [scope.get_current_value(seed) for seed in seeds]

        result, advanced = jax.checkpoint(pure)([variable.value for variable in variables])
        for seed, value in zip(seeds, advanced, strict=True):
            if value is not None:
                seed.assign(value)
        return result

    return rematerialized
