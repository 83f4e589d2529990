"""Options of Hugging Face's configurations, read and written by tables."""

from collections.abc import Mapping, Sequence
from typing import Any

from keras_attn.pretrained.checkpoint import Checkpoint
from keras_attn.pretrained.errors import PretrainedError

# Activations by Hugging Face's names.
ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_new": "gelu_approximate",
    "gelu_pytorch_tanh": "gelu_approximate",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
    "tanh": "tanh",
}


def read_options(
    config: Mapping[str, Any], options: Mapping[str, str], only: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """Read a model's arguments, and list what stands against it.

    Args:
        config: what config.json holds.
        options: constructor arguments by the options that decide them, `activation` among them.
        only: options that change what is computed, and the only value of each that the model here computes.

    Returns:
        `(arguments, problems)`.
    """
    problems = [
        f"option {name}={config[name]!r} is not supported (only {value!r})"
        for name, value in only.items()
        if config.get(name, value) not in (value, None)
    ]
    problems += [f"option {name} is missing" for name in options.values() if name not in config]
    arguments = {ours: config[theirs] for ours, theirs in options.items() if theirs in config}
    name = options["activation"]
    if name in config:
        arguments["activation"] = ACTIVATIONS.get(str(config[name]))
        if arguments["activation"] is None:
            problems.append(f"option {name}={config[name]!r} is not supported")
    return arguments, problems


def write_options(given: Mapping[str, Any], options: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    """Write a model's arguments as `read_options` reads them.

    Args:
        given: the model's `get_config()`.
        options: constructor arguments by the options that decide them.

    Returns:
        `(config, problems)`.
    """
    values, problems = dict(given), []
    theirs = {ours: name for name, ours in reversed(ACTIVATIONS.items())}
    # Keras knows the same function by two names.
    activation = "silu" if values["activation"] == "swish" else values["activation"]
    if activation in theirs:
        values["activation"] = theirs[activation]
    else:
        problems.append(f"`activation={activation!r}`")
    if values["attention_dropout"] is None:
        values["attention_dropout"] = values["dropout"]
    return {name: values[ours] for ours, name in options.items()}, problems


def refuse_to_save(problems: list[str]) -> None:
    """Raise a PretrainedError of all problems, if there are any."""
    if problems:
        raise PretrainedError(f"Hugging Face's models do not have {' and '.join(problems)}.")


def read_labels(checkpoint: Checkpoint, output: str) -> tuple[list[str], list[str]]:
    """Read the labels of a classifier, and list what stands against it.

    Args:
        checkpoint: the folder.
        output: the name of the output layer's kernel, which tells how many there are.

    Returns:
        `(labels, problems)`.
    """
    config, problems = checkpoint.config, []
    if config.get("problem_type") not in (None, "single_label_classification"):
        problems.append(f"option problem_type={config['problem_type']!r} is not supported")
    number = checkpoint.shape(output)[0] if output in checkpoint.names else config.get("num_labels", 2)
    names = config.get("id2label") or {i: f"LABEL_{i}" for i in range(number)}
    names = {str(i): str(name) for i, name in names.items()}
    labels = [names.get(str(i), "") for i in range(number)]
    if len(names) != number or "" in labels or len(set(labels)) < max(2, number):
        problems.append(
            f"option id2label must name two or more different labels by the numbers 0 to {number - 1}, got "
            f"{names}"
        )
    return labels, problems


def write_labels(labels: Sequence[str]) -> dict[str, Any]:
    """Write labels as `read_labels` reads them."""
    return {
        "id2label": {str(i): label for i, label in enumerate(labels)},
        "label2id": {label: i for i, label in enumerate(labels)},
        "problem_type": "single_label_classification",
    }


def shape_problems(model: Any, shape: Mapping[str, Any]) -> list[str]:
    """List the arguments of a classifier that differ from the only ones that Hugging Face has."""
    return [
        f"`{name}={getattr(model, name)!r}` in a classifier over this backbone, only {value!r}"
        for name, value in shape.items()
        if getattr(model, name) != value
    ]


def find_head(checkpoint: Checkpoint, heads: Mapping[str, str], bare: str) -> tuple[str | None, list[str]]:
    """Tell which head a checkpoint has: by the class that its configuration names, or else by its tensors.

    Args:
        checkpoint: the folder.
        heads: the classes that are known, each with a tensor that no other has.
        bare: the class without a head.

    Returns:
        `(class name or None, problems)`.
    """
    named = [name for name in checkpoint.config.get("architectures") or [] if name != bare]
    for name in named:
        if name in heads:
            return name, []
    if named:
        known = ", ".join(heads)
        hint = "`without_head=True` loads the model below it"
        return None, [f"the head of {named[0]} is not known, only those of {known}; {hint}"]
    return next((name for name, tensor in heads.items() if tensor in checkpoint.names), None), []
