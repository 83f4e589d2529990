"""Options of Hugging Face's configurations, read and written by tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from keras_attn.models import TextClassifier, TextScorer
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
# Values of `problem_type`.
SINGLE_LABEL, MULTI_LABEL = "single_label_classification", "multi_label_classification"
REGRESSION = "regression"
# Activations of scores by the last part of PyTorch's names.
SCORE_ACTIVATIONS = {"Sigmoid": "sigmoid", "Identity": "linear"}
PYTORCH_NAMES = {
    "sigmoid": "torch.nn.modules.activation.Sigmoid",
    "linear": "torch.nn.modules.linear.Identity",
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
        spellings: other names of an option's values.
    """

    arguments: Mapping[str, str]
    defaults: Mapping[str, Any]
    read: frozenset[str]
    only: Mapping[str, Any]
    harmless: frozenset[str] = frozenset()
    aliases: Mapping[str, str] = field(default_factory=dict)
    spellings: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

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
        for name, values in self.spellings.items():
            found |= {name: values[found[name]]} if found.get(name) in values else {}
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
    values["activation"] = activation_option(given["activation"])
    if values["activation"] is None:
        problems.append(f"`activation={given['activation']!r}`")
    if values["attention_dropout"] is None:
        values["attention_dropout"] = values["dropout"]
    return {name: values[ours] for ours, name in options.items()}, problems


def activation_option(activation: Any) -> str | None:
    """Return Hugging Face's name of an activation; `None` if it has none."""
    # Keras knows the same function by two names.
    activation = "silu" if activation == "swish" else activation
    return next((name for name, ours in ACTIVATIONS.items() if ours == activation), None)


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
    kind = config.get("problem_type")
    if kind not in (None, SINGLE_LABEL, MULTI_LABEL):
        problems.append(f"option problem_type={kind!r} is not supported for several labels")
    number = _width(checkpoint, output)
    names = config.get("id2label") or {i: f"LABEL_{i}" for i in range(number)}
    names = {str(i): str(name) for i, name in names.items()}
    labels = [names.get(str(i), "") for i in range(number)]
    least, words = (1, "one") if kind == MULTI_LABEL else (2, "two")
    if len(names) != number or "" in labels or len(set(labels)) < max(least, number):
        problems.append(
            f"option id2label must name {words} or more different labels by the numbers 0 to {number - 1}, "
            f"got {names}"
        )
    return labels, problems


def _width(checkpoint: Checkpoint, output: str) -> int:
    """Return the number of outputs of a head's last layer, from its kernel or else from the options."""
    config = checkpoint.config
    return checkpoint.shape(output)[0] if output in checkpoint.names else config.get("num_labels", 2)


def read_classes(
    checkpoint: Checkpoint, output: str
) -> tuple[type[TextClassifier] | type[TextScorer], dict[str, Any], list[str]]:
    """Read the labels of a classifier or, if its output layer has one unit, the activation of a scorer.

    A score is the sigmoid of the logit, as in transformers and sentence-transformers, if the folder is not of
    a regression and names no other activation.

    Args:
        checkpoint: the folder.
        output: the name of the output layer's kernel.

    Returns:
        `(class, arguments, problems)`.
    """
    config = checkpoint.config
    kind, width = config.get("problem_type"), _width(checkpoint, output)
    if width != 1 or kind == MULTI_LABEL:
        labels, problems = read_labels(checkpoint, output)
        more = {"multi_label": True} if kind == MULTI_LABEL else {}
        return TextClassifier, {"labels": labels, **more}, problems
    activation, problems = "linear" if kind == REGRESSION else "sigmoid", []
    named = (config.get("sentence_transformers") or {}).get("activation_fn")
    named = named or config.get("sbert_ce_default_activation_function")
    if named is not None:
        activation = SCORE_ACTIVATIONS.get(str(named).rpartition(".")[2], "")
        if not activation:
            known = ", ".join(SCORE_ACTIVATIONS)
            problems.append(f"the scores' activation {named!r} is not supported (only {known})")
    return TextScorer, {"activation": activation}, problems


def write_classes(model: TextClassifier | TextScorer) -> dict[str, Any]:
    """Write what `read_classes` reads."""
    if isinstance(model, TextClassifier):
        kind = MULTI_LABEL if model.multi_label else SINGLE_LABEL
        return {**write_labels(model.labels), "problem_type": kind}
    return {
        **write_labels(["LABEL_0"]),
        "problem_type": REGRESSION if model.activation == "linear" else None,
        "sentence_transformers": {"activation_fn": PYTORCH_NAMES[model.activation]},
    }


def write_labels(labels: Sequence[str]) -> dict[str, Any]:
    """Write labels as `read_labels` reads them."""
    return {
        "id2label": {str(i): label for i, label in enumerate(labels)},
        "label2id": {label: i for i, label in enumerate(labels)},
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
