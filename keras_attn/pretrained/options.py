"""Options of Hugging Face's configurations, read and written by tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from keras_attn.pretrained.checkpoint import Checkpoint
from keras_attn.pretrained.errors import PretrainedError
from keras_attn.pretrained.ignored_options import HARMLESS

# Activations by Hugging Face's names; of several names for one, the first is written.
ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_new": "gelu_approximate",
    "gelu_pytorch_tanh": "gelu_approximate",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
    "tanh": "tanh",
    "gelu_python": "gelu",
    "gelu_accurate": "gelu_approximate",
    "gelu_fast": "gelu_approximate",
    "gelu_python_tanh": "gelu_approximate",
}
# Options that select the table.
KIND = ("model_type", "architectures")


@dataclass(frozen=True)
class OptionTable:
    """The options of one architecture; any other option is refused.

    Attributes:
        arguments: constructor arguments and the options that they are read from, including `activation`.
        defaults: transformers' defaults for options that config.json lacks.
        read: further options, which are read elsewhere.
        only: options that change the computation, each with the only supported value.
        harmless: options that change nothing, besides those of `ignored_options.HARMLESS`.
        aliases: other names of options.
    """

    arguments: Mapping[str, str]
    defaults: Mapping[str, Any]
    read: frozenset[str]
    only: Mapping[str, Any]
    harmless: frozenset[str] = frozenset()
    aliases: Mapping[str, str] = field(default_factory=dict)

    @property
    def computed(self) -> frozenset[str]:
        """Options that are read."""
        return frozenset({*self.arguments.values(), *self.read, *self.aliases, *KIND})

    @property
    def ignored(self) -> frozenset[str]:
        """Options whose value changes nothing."""
        return (HARMLESS | self.harmless) - self.computed - set(self.only)

    def completed(self, config: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """Resolve aliases and fill in defaults; return the options, and list the problems."""
        found, problems = dict(config), []
        for alias, name in self.aliases.items():
            value = found.pop(alias, None)
            if value is None or found.setdefault(name, value) == value:
                continue
            problems.append(f"options {alias}={value!r} and {name}={found[name]!r} differ")
        missing = {name: value for name, value in self.defaults.items() if found.get(name) is None}
        return found | missing, problems


def read_options(config: Mapping[str, Any], table: OptionTable) -> tuple[dict[str, Any], list[str]]:
    """Read a model's arguments, and list the problems.

    Args:
        config: content of config.json.
        table: its options.

    Returns:
        `(arguments, problems)`.
    """
    config, problems = table.completed(config)
    problems += [
        f"option {name}={config[name]!r} is not supported (only {value!r})"
        for name, value in table.only.items()
        if config.get(name, value) not in (value, None)
    ]
    known = table.computed | table.ignored | set(table.only)
    problems += [
        f"option {name}={value!r} is not known, so it may change what the model computes"
        for name, value in config.items()
        if name not in known and value is not None
    ]
    problems += [f"option {name} is missing" for name in table.arguments.values() if name not in config]
    arguments = {ours: config[theirs] for ours, theirs in table.arguments.items() if theirs in config}
    name = table.arguments["activation"]
    arguments["activation"] = ACTIVATIONS.get(str(config[name]))
    if arguments["activation"] is None:
        problems.append(f"option {name}={config[name]!r} is not supported (only {', '.join(ACTIVATIONS)})")
    return arguments, problems


def write_options(given: Mapping[str, Any], options: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    """Write a model's arguments as `read_options` reads them.

    Args:
        given: the model's `get_config()`.
        options: constructor arguments and the options that they are read from.

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
    """Raise a PretrainedError that lists all problems, if there are any."""
    if problems:
        raise PretrainedError(f"Hugging Face's models do not have {' and '.join(problems)}.")


def read_labels(checkpoint: Checkpoint, output: str) -> tuple[list[str], list[str]]:
    """Read the labels of a classifier, and list the problems.

    Args:
        checkpoint: the folder.
        output: the name of the output layer's kernel, whose shape decides their number.

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
    """List the arguments of a classifier that Hugging Face does not support."""
    return [
        f"`{name}={getattr(model, name)!r}` in a classifier over this backbone, only {value!r}"
        for name, value in shape.items()
        if getattr(model, name) != value
    ]


def find_head(checkpoint: Checkpoint, heads: Mapping[str, str], bare: str) -> tuple[str | None, list[str]]:
    """Determine the head of a checkpoint, from the class that config.json names or else from its tensors.

    Args:
        checkpoint: the folder.
        heads: the supported classes, each with a tensor that identifies it.
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
