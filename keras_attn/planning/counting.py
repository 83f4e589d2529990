"""The FLOPs that a model's mathematics needs, whoever computes it: the denominator of MFU.

Counted are matrix products alone, each multiplication and each addition once, as in PaLM (Chowdhery et al.,
2022, arXiv:2204.02311, appendix B): a position attends to all others, causal or not, and a backward pass
needs twice what the forward pass needs. Norms, softmax, dropout and the optimizer are not counted, nor is
anything that is computed a second time.
"""

from typing import Any

FORWARD_AND_BACKWARD = 3
# Of its two products splash attention's backward kernels compute five and two of them once more.
SPLASH = 4.5


def training_flops(model: Any, rows: int, sequence: int, places: int | None = None) -> int:
    """Count a training step's FLOPs.

    Args:
        model: any model of `keras_attn.models` with a loss: a translator, or a task over a backbone.
        rows: int, texts of the batch, B.
        sequence: int, tokens of each text, T; of each source and of each target of a translator.
        places: int, positions of each row that are predicted; by default all.
    """
    name = type(model).__name__
    if name == "Transformer":
        forward = _transformer(model, sequence)
    elif hasattr(model, "backbone"):
        forward = _backbone(model.backbone, sequence) + _head(model, sequence if places is None else places)
    else:
        forward = _recurrent(model, sequence)
    return FORWARD_AND_BACKWARD * rows * forward


def splash_flops(model: Any, rows: int, sequence: int) -> float:
    """Count what splash attention computes in a training step; XLA knows nothing of it.

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
    """Count a block of `length` queries that see `keys` of their own and `memory` of an encoder."""
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
    # BigBird sees five blocks and the random ones, if there are more.
    if getattr(backbone, "block_size", None) is not None:
        keys = min(length, (5 + backbone.num_random_blocks) * backbone.block_size)
    return backbone.num_layers * _block(backbone, length, keys)


def _head(model: Any, places: int) -> int:
    depth = model.backbone.hidden_dim
    if hasattr(model, "labels"):
        dense = (model.pooling == "pooled") + (model.hidden_activation is not None)
        return dense * _product(1, depth, depth) + _product(1, depth, len(model.labels))
    transform = _product(places, depth, depth) if hasattr(model, "head") else 0  # of a masked language model
    return transform + _product(places, depth, model.backbone.vocabulary_size)


def _recurrent(model: Any, length: int) -> int:
    """Count each matrix once per step, and for each pair of steps the scores and the weighted annotations."""
    flops = 0
    for variable in model.trainable_variables:
        if len(variable.shape) == 2 and "embedding" not in variable.path:
            flops += _product(length, *variable.shape)
    if hasattr(model, "attention_dim"):
        flops += _product(length, length, model.attention_dim + 2 * model.hidden_dim)
    return flops
