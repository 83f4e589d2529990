"""Convert KerasHub's encoders and GPT-2, and tasks over them, by copying their weights."""

from collections.abc import Iterable, Iterator
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

import keras

from keras_attn.models import GPT2, Albert, Bert, CausalLM, Deberta, TextClassifier
from keras_attn.pretrained.checkpoint import CONFIG, read_json
from keras_attn.pretrained.errors import PretrainedError

# Constructor arguments with the same name in KerasHub.
SIZES = (
    "vocabulary_size",
    "num_layers",
    "num_heads",
    "hidden_dim",
    "intermediate_dim",
    "dropout",
    "max_sequence_length",
)
# Arguments that do not change what a model computes; its dtype is chosen here.
HARMLESS = ("name", "trainable", "dtype")


class HubBackbone(NamedTuple):
    """The description of one of KerasHub's backbones.

    Attributes:
        make: the model's class here.
        arguments: constructor arguments that its KerasHub configuration does not have.
        copied: further arguments, by their names here, and KerasHub's.
        layers: ordered pairs of attributes, here and in KerasHub, with layers, lists of layers, or a table's
            variable.
    """

    make: type[keras.Model]
    arguments: dict[str, Any]
    copied: dict[str, str]
    layers: tuple[tuple[str, str], ...]


ENCODER = (
    ("token_embedding", "token_embedding"),
    ("embedding_norm", "embeddings_layer_norm"),
    ("encoder_layers", "transformer_layers"),
)
# Positions begin with the first row: KerasHub leaves out those before.
ROBERTA = HubBackbone(
    Bert,
    {"num_segments": 0, "pooler": False, "layer_norm_epsilon": 1e-5, "pad_id": 1},
    {},
    (*ENCODER, ("position_embedding", "embeddings.position_embedding")),
)
SMALL_EMBEDDINGS = (
    *ENCODER,
    ("position_embedding", "position_embedding"),
    ("segment_embedding", "segment_embedding"),
    ("embedding_projection", "embeddings_projection"),
    ("pooler_dense", "pooled_dense"),
)
BACKBONES = {
    "RobertaBackbone": ROBERTA,
    "XLMRobertaBackbone": ROBERTA,
    "AlbertBackbone": HubBackbone(
        Albert,
        {},
        {
            "num_segments": "num_segments",
            "embedding_dim": "embedding_dim",
            "num_groups": "num_groups",
            "layers_per_group": "num_inner_repetitions",
        },
        SMALL_EMBEDDINGS,
    ),
    "ElectraBackbone": HubBackbone(
        Bert,
        {"activation": "gelu_approximate"},
        {"vocabulary_size": "vocab_size", "num_segments": "num_segments", "embedding_dim": "embedding_dim"},
        SMALL_EMBEDDINGS,
    ),
    "DebertaV3Backbone": HubBackbone(
        Deberta,
        {},
        {"num_buckets": "bucket_size", "max_distance": "max_sequence_length"},
        (
            *ENCODER,
            ("relative_embedding", "relative_embeddings.rel_embeddings"),
            ("relative_norm", "relative_embeddings.layer_norm"),
        ),
    ),
    # KerasHub computes BERT's GELU by tanh, and DistilBERT's exactly.
    "BertBackbone": HubBackbone(
        Bert,
        {"activation": "gelu_approximate"},
        {"num_segments": "num_segments"},
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
        {},
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
        {},
        (
            ("token_embedding", "token_embedding"),
            ("position_embedding", "position_embedding"),
            ("decoder_layers", "transformer_layers"),
            ("layer_norm", "layer_norm"),
        ),
    ),
}


TASK_CONFIG = "task.json"


class HubTask(NamedTuple):
    """The description of a task over one of KerasHub's backbones.

    Attributes:
        make: the model's class here.
        arguments: its arguments.
        layers: pairs of attributes, here and in KerasHub, with the layers of its head.
    """

    make: type[TextClassifier] | type[CausalLM]
    arguments: dict[str, Any]
    layers: tuple[tuple[str, str], ...] = ()


# RoBERTa's classifier has a hidden layer over the first token.
ROBERTA_CLASSIFIER = HubTask(
    TextClassifier,
    {"pooling": "cls", "hidden_activation": "tanh"},
    (("hidden_dense", "pooled_dense"), ("output_dense", "output_dense")),
)
TASKS = {
    "RobertaTextClassifier": ROBERTA_CLASSIFIER,
    "XLMRobertaTextClassifier": ROBERTA_CLASSIFIER,
    "AlbertTextClassifier": HubTask(
        TextClassifier, {"pooling": "pooled"}, (("output_dense", "output_dense"),)
    ),
    "DebertaV3TextClassifier": ROBERTA_CLASSIFIER._replace(
        arguments={"pooling": "cls", "hidden_activation": "gelu"}
    ),
    "BertTextClassifier": HubTask(TextClassifier, {"pooling": "pooled"}, (("output_dense", "output_dense"),)),
    "DistilBertTextClassifier": HubTask(
        TextClassifier,
        {"pooling": "cls", "hidden_activation": "relu"},
        (("hidden_dense", "pooled_dense"), ("output_dense", "output_dense")),
    ),
    "GPT2CausalLM": HubTask(CausalLM, {}),
}


def is_preset(folder: Path) -> bool:
    """Return whether a folder is a KerasHub preset."""
    return (folder / CONFIG).is_file() and "registered_name" in read_json(folder / CONFIG)


def preset_vocabulary_size(folder: Path) -> int | None:
    """Return the vocabulary size of a preset's backbone."""
    return read_json(folder / CONFIG).get("config", {}).get("vocabulary_size")


def load_preset(folder: Path, without_head: bool = False, **kwargs: Any) -> keras.Model:
    """Load a preset's folder by way of KerasHub.

    Args:
        folder: the folder; with a task.json, its task is loaded.
        without_head: whether to load only the backbone.
        **kwargs: further arguments of the backbone here.

    Raises:
        PretrainedError: if KerasHub is not installed, cannot read the folder, or the model is not known.
    """
    # A configuration may name any class of any module: only known ones reach KerasHub.
    named = str(read_json(folder / CONFIG)["registered_name"])
    if named not in {f"keras_hub>{name}" for name in BACKBONES}:
        raise PretrainedError(f"{folder}: {_unknown(named)}")
    task = None
    if (folder / TASK_CONFIG).is_file() and not without_head:
        task = str(read_json(folder / TASK_CONFIG).get("registered_name")).removeprefix("keras_hub>")
        if task not in TASKS:
            raise PretrainedError(f"{folder}: {_unknown_task(task)}")
    try:
        import keras_hub  # pyright: ignore[reportMissingImports]  # the `hub` extra
    except ImportError:
        raise PretrainedError(
            f"{folder} is a KerasHub preset, but KerasHub is not installed: pip install 'keras-attn[hub]'."
        ) from None
    try:
        if task is None:
            found = keras_hub.models.Backbone.from_preset(str(folder))
        else:
            found = getattr(keras_hub.models, task).from_preset(str(folder), preprocessor=None)
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = str(error).strip().partition("\n")[0]
        raise PretrainedError(
            f"{folder} cannot be read by KerasHub: {type(error).__name__}, {message}"
        ) from error
    return load_hub_model(found, **kwargs)


def load_hub_model(model: keras.Model, without_head: bool = False, **kwargs: Any) -> keras.Model:
    """Convert one of KerasHub's `BACKBONES`, or one of the `TASKS` over them.

    Raises:
        PretrainedError: if the model is not known, or weights do not fit.
    """
    name = type(model).__name__
    if not _is_kerashub_model(model) or not hasattr(model, "backbone"):
        return load_backbone(model, **kwargs)
    backbone = load_backbone(model.backbone, **kwargs)
    if without_head:
        return backbone
    if name not in TASKS:
        raise PretrainedError(_unknown_task(name))
    task, arguments = TASKS[name], {}
    if task.make is TextClassifier:
        # A preset has no class names, and scores are computed from logits either way.
        if model.activation not in (keras.activations.linear, keras.activations.softmax):
            raise PretrainedError(
                f"KerasHub's {name} with the activation {keras.activations.serialize(model.activation)} is "
                "not supported, only linear and softmax."
            )
        if model.num_classes < 2:
            raise PretrainedError(f"KerasHub's {name} with a single output is not supported.")
        arguments = {
            "labels": [f"LABEL_{number}" for number in range(model.num_classes)],
            "dropout": model.dropout,
        }
    made = task.make(backbone, **task.arguments, **arguments)
    _copy(name, [(theirs, getattr(made, ours), getattr(model, theirs)) for ours, theirs in task.layers])
    return made


def load_backbone(backbone: keras.Model, **kwargs: Any) -> keras.Model:
    """Convert one of KerasHub's `BACKBONES`.

    Args:
        backbone: such as `keras_hub.models.BertBackbone`.
        **kwargs: further arguments of the model, such as `dtype` or `dropout`.

    Raises:
        PretrainedError: if the backbone is not known, or weights do not fit.
    """
    kind = type(backbone)
    if kind.__name__ not in BACKBONES or not _is_kerashub_model(backbone):
        raise PretrainedError(_unknown(f"{kind.__module__}.{kind.__name__}"))
    found = BACKBONES[kind.__name__]
    names = {name: name for name in SIZES} | found.copied
    arguments = {ours: getattr(backbone, theirs) for ours, theirs in names.items()}
    if found.make is Bert and arguments.get("embedding_dim") == arguments["hidden_dim"]:
        arguments["embedding_dim"] = None  # not projected
    model = found.make(**{**arguments, **found.arguments, **kwargs})
    known = {*names.values(), *HARMLESS}
    unknown = [
        f"argument {name}={value!r} is not known, so it may change what the model computes"
        for name, value in backbone.get_config().items()
        if name not in known and value is not None
    ]
    _copy(kind.__name__, list(_layers(model, backbone, found)), backbone.weights, unknown)
    return model


def _is_kerashub_model(model: keras.Model) -> bool:
    return type(model).__module__.startswith("keras_hub.")


def _copy(
    name: str, layers: list[tuple[str, Any, Any]], weights: Iterable[Any] = (), found: Iterable[str] = ()
) -> None:
    """Copy the weights of layers, which must include all `weights`, unless there are problems.

    Raises:
        PretrainedError: if some do not fit; nothing is copied then.
    """
    pairs, problems = [], list(found)
    for layer, ours, theirs in layers:
        both = [getattr(each, "trainable_weights", [each]) for each in (ours, theirs)]
        shapes = [[tuple(weight.shape) for weight in each] for each in both]
        pairs += zip(*both, strict=False)
        if len(shapes[0]) != len(shapes[1]) or not all(map(_fits, *shapes)):
            problems.append(f"{layer} has weights of the shapes {shapes[1]}, the model expects {shapes[0]}")
    copied = {id(theirs) for _, theirs in pairs}
    problems += [
        f"{weight.path} {tuple(weight.shape)} has no place in the model"
        for weight in weights
        if weight.trainable and id(weight) not in copied
    ]
    if problems:
        raise PretrainedError("\n  ".join([f"KerasHub's {name} cannot be loaded:", *problems]))
    for ours, theirs in pairs:
        ours.assign(keras.ops.reshape(keras.ops.cast(theirs, ours.dtype), ours.shape))


def _fits(ours: tuple[int, ...], theirs: tuple[int, ...]) -> bool:
    """Return whether shapes are equal, or the first two axes, heads and their size, are one in KerasHub."""
    return ours == theirs or (len(ours) == 3 and theirs == (ours[0] * ours[1], ours[2]))


def _layers(model, backbone, found) -> Iterator[tuple[str, Any, Any]]:
    for ours, theirs in found.layers:
        here = getattr(model, ours)
        if here is None:
            continue
        there = attrgetter(theirs)(backbone)
        if not isinstance(here, list):
            here, there = [here], [there]
        elif there and isinstance(there[0], list):  # groups of layers
            there = [layer for group in there for layer in group]
        for i, pair in enumerate(zip(here, there, strict=True)):
            yield f"{theirs}[{i}]", *pair


def _unknown(name: str) -> str:
    return f"{name} is not a supported backbone; supported are KerasHub's {', '.join(BACKBONES)}."


def _unknown_task(name: str) -> str:
    return (
        f"the head of KerasHub's {name} is not known, only those of {', '.join(TASKS)}; `without_head=True` "
        "loads the model below it"
    )
