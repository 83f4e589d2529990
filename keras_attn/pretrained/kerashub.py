"""KerasHub's backbones of BERT, DistilBERT and GPT-2: their weights, copied to the layers here."""

from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

import keras

from keras_attn.models import GPT2, Bert
from keras_attn.pretrained.checkpoint import CONFIG, read_json
from keras_attn.pretrained.errors import PretrainedError

# Constructor arguments that have the same name there.
SIZES = (
    "vocabulary_size",
    "num_layers",
    "num_heads",
    "hidden_dim",
    "intermediate_dim",
    "dropout",
    "max_sequence_length",
)
# Arguments that change nothing of what a model computes; its type is decided here.
HARMLESS = ("name", "trainable", "dtype")


class HubBackbone(NamedTuple):
    """What distinguishes one of KerasHub's backbones.

    Attributes:
        make: the model's class here.
        arguments: what its configuration there does not say.
        copied: further arguments of the same name.
        layers: ordered table of the layers, or lists of layers, here and there.
    """

    make: type[Bert] | type[GPT2]
    arguments: dict[str, Any]
    copied: tuple[str, ...]
    layers: tuple[tuple[str, str], ...]


BACKBONES = {
    # KerasHub computes BERT's GELU by tanh, and DistilBERT's exactly.
    "BertBackbone": HubBackbone(
        Bert,
        {"activation": "gelu_approximate"},
        ("num_segments",),
        (
            ("token_embedding", "token_embedding"),
            ("position_embedding", "position_embedding"),
            ("segment_embedding", "segment_embedding"),
            ("embedding_norm", "embeddings_layer_norm"),
            ("encoder_layers", "transformer_layers"),
            ("pooler_dense", "pooled_dense"),
        ),
    ),
    "DistilBertBackbone": HubBackbone(
        Bert,
        {"num_segments": 0, "pooler": False},
        (),
        (
            ("token_embedding", "token_embedding"),
            ("position_embedding", "embeddings.position_embedding"),
            ("embedding_norm", "embeddings_layer_norm"),
            ("encoder_layers", "transformer_layers"),
        ),
    ),
    "GPT2Backbone": HubBackbone(
        GPT2,
        {},
        (),
        (
            ("token_embedding", "token_embedding"),
            ("position_embedding", "position_embedding"),
            ("decoder_layers", "transformer_layers"),
            ("layer_norm", "layer_norm"),
        ),
    ),
}


def is_preset(folder: Path) -> bool:
    """Tell whether a folder is a preset of KerasHub's."""
    return (folder / CONFIG).is_file() and "registered_name" in read_json(folder / CONFIG)


def load_preset(folder: Path, **kwargs: Any) -> Bert | GPT2:
    """Make the model of a preset's folder, which KerasHub itself reads.

    Raises:
        PretrainedError: if KerasHub is not installed, cannot read the folder, or the backbone is not known.
    """
    # A configuration may name any class of any module: only what is known is handed on.
    named = str(read_json(folder / CONFIG)["registered_name"])
    if named not in {f"keras_hub>{name}" for name in BACKBONES}:
        raise PretrainedError(f"{folder}: {_unknown(named)}")
    try:
        import keras_hub  # pyright: ignore[reportMissingImports]  # the `hub` extra
    except ImportError:
        raise PretrainedError(
            f"{folder} is a preset of KerasHub's, which is not installed: pip install 'keras-attn[hub]'."
        ) from None
    try:
        backbone = keras_hub.models.Backbone.from_preset(str(folder))
    except (OSError, ValueError, KeyError, TypeError) as error:
        told = str(error).strip().partition("\n")[0]
        raise PretrainedError(
            f"{folder} cannot be read by KerasHub: {type(error).__name__}, {told}"
        ) from error
    return load_backbone(backbone, **kwargs)


def load_backbone(backbone: keras.Model, **kwargs: Any) -> Bert | GPT2:
    """Make a model with the weights of one of KerasHub's `BACKBONES`.

    Args:
        backbone: such as `keras_hub.models.BertBackbone`.
        **kwargs: further arguments of the model, such as `dtype` or `dropout`.

    Raises:
        PretrainedError: if the backbone is not known, or weights do not fit.
    """
    kind = type(backbone)
    if kind.__name__ not in BACKBONES or not kind.__module__.startswith("keras_hub."):
        raise PretrainedError(_unknown(f"{kind.__module__}.{kind.__name__}"))
    found = BACKBONES[kind.__name__]
    arguments = {name: getattr(backbone, name) for name in (*SIZES, *found.copied)}
    model = found.make(**{**arguments, **found.arguments, **kwargs})
    known = {*SIZES, *found.copied, *HARMLESS}
    pairs: list[tuple[Any, Any]] = []
    problems = [
        f"argument {name}={value!r} is not known, so it may change what the model computes"
        for name, value in backbone.get_config().items()
        if name not in known and value is not None
    ]
    for name, ours, theirs in _layers(model, backbone, found):
        shapes = [[tuple(weight.shape) for weight in layer.trainable_weights] for layer in (ours, theirs)]
        pairs += zip(ours.trainable_weights, theirs.trainable_weights, strict=False)
        if shapes[0] != shapes[1]:
            problems.append(f"{name} has weights of the shapes {shapes[1]}, the model wants {shapes[0]}")
    copied = {id(theirs) for _, theirs in pairs}
    problems += [
        f"{weight.path} {tuple(weight.shape)} has no place in the model"
        for weight in backbone.weights
        if weight.trainable and id(weight) not in copied
    ]
    if problems:
        raise PretrainedError("\n  ".join([f"KerasHub's {kind.__name__} cannot be loaded:", *problems]))
    for ours, theirs in pairs:
        ours.assign(keras.ops.cast(theirs, ours.dtype))
    return model


def _layers(model, backbone, found) -> Iterator[tuple[str, Any, Any]]:
    for ours, theirs in found.layers:
        here, there = getattr(model, ours), attrgetter(theirs)(backbone)
        if not isinstance(here, list):
            here, there = [here], [there]
        for i, pair in enumerate(zip(here, there, strict=True)):
            yield f"{theirs}[{i}]", *pair


def _unknown(name: str) -> str:
    return f"{name} is no backbone that is known, only KerasHub's {', '.join(BACKBONES)}."
