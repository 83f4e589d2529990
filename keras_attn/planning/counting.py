"""The FLOPs of a model's mathematics, the denominator of MFU.

Only matrix products are counted, each multiplication and each addition once, as in PaLM (Chowdhery et al.,
2022, arXiv:2204.02311, appendix B): a position attends to all others, causal or not, and a backward pass
needs twice what the forward pass needs. Norms, softmax, dropout and the optimizer are not counted, nor is
anything that is computed a second time.
"""

from typing import Any

FORWARD_AND_BACKWARD = 3
# Nine products for the forward pass' two: splash attention's backward kernels compute seven.
SPLASH = 4.5


def training_flops(model: Any, rows: int, sequence: int, positions: int | None = None) -> int:
    """Compute the FLOPs of a training step.

    Args:
        model: any model of `keras_attn.models` with a loss: a translator, or a task over a backbone.
        rows: int, texts of the batch, B.
        sequence: int, tokens of each text, T; of each source and of each target of a translator.
        positions: int, predicted positions of each row; by default all.
    """
    name = type(model).__name__
    if name == "Transformer":
        forward = _transformer(model, sequence)
    elif hasattr(model, "backbone"):
        forward = _backbone(model.backbone, sequence) + _head(
            model, sequence if positions is None else positions
        )
    else:
        forward = _recurrent(model, sequence)
    return FORWARD_AND_BACKWARD * rows * forward


def splash_flops(model: Any, rows: int, sequence: int) -> float:
    """Compute the FLOPs of splash attention in a training step, which XLA does not count.

    Args:
        model: as for `training_flops`.
        rows: int, B.
        sequence: int, T.
    """
    backbone = getattr(model, "backbone", model)
    if hasattr(backbone, "num_layers"):
        attentions = backbone.num_layers
    else:
        attentions = backbone.num_encoder_layers + 2 * backbone.num_decoder_layers
    return SPLASH * rows * attentions * 2 * _product(sequence, sequence, backbone.hidden_dim)


def _product(tokens: int, inputs: int, outputs: int) -> int:
    return 2 * tokens * inputs * outputs


def _block(model: Any, length: int, keys: int, memory: int = 0) -> int:
    """Compute a block's FLOPs: `length` queries attend to `keys` of their own and `memory` of an encoder."""
    depth, hidden = model.hidden_dim, model.intermediate_dim
    flops = 4 * _product(length, depth, depth) + 2 * _product(length, depth, hidden)
    flops += 2 * _product(length, keys, depth)  # scores, and weighted values
    if memory:
        flops += 2 * _product(length, depth, depth) + 2 * _product(memory, depth, depth)
        flops += 2 * _product(length, memory, depth)
    return flops


def _transformer(model: Any, length: int) -> int:
    encoder = model.num_encoder_layers * _block(model, length, length)
    decoder = model.num_decoder_layers * _block(model, length, length, length)
    return encoder + decoder + _product(length, model.hidden_dim, model.vocabulary_size)


def _backbone(backbone: Any, length: int) -> int:
    keys = length
    # BigBird attends to five blocks and the random ones, if the text has more.
    if getattr(backbone, "block_size", None) is not None:
        keys = min(length, (5 + backbone.num_random_blocks) * backbone.block_size)
    return backbone.num_layers * _block(backbone, length, keys)


def _head(model: Any, positions: int) -> int:
    depth = model.backbone.hidden_dim
    if hasattr(model, "labels"):
        dense = (model.pooling == "pooled") + (model.hidden_activation is not None)
        return dense * _product(1, depth, depth) + _product(1, depth, len(model.labels))
    transform = (
        _product(positions, depth, depth) if hasattr(model, "head") else 0
    )  # of a masked language model
    return transform + _product(positions, depth, model.backbone.vocabulary_size)


def _recurrent(model: Any, length: int) -> int:
    """Compute each matrix once per step, and scores and weighted annotations for each pair of steps."""
    flops = 0
    for variable in model.trainable_variables:
        if len(variable.shape) == 2 and "embedding" not in variable.path:
            flops += _product(length, *variable.shape)
    if hasattr(model, "attention_dim"):
        flops += _product(length, length, model.attention_dim + 2 * model.hidden_dim)
    return flops
