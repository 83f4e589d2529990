"""Heads of the encoders' checkpoints: classes, scores, token labels, answers, words."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from keras_attn.models import (
    MaskedLM,
    NextSentence,
    QuestionAnswerer,
    TextClassifier,
    TextScorer,
    TokenClassifier,
)
from keras_attn.pretrained.architectures.architecture import (
    AnswerHead,
    Architecture,
    ClassifierHead,
    MaskedLMHead,
)
from keras_attn.pretrained.architectures.layer_tensors import linear, norm
from keras_attn.pretrained.checkpoint import Checkpoint, Tensor
from keras_attn.pretrained.options import (
    ACTIVATIONS,
    activation_option,
    read_classes,
    read_labels,
    shape_problems,
    write_classes,
    write_labels,
)

CLASSIFICATION, MASKED = "ForSequenceClassification", "ForMaskedLM"
TOKENS, ANSWERS = "ForTokenClassification", "ForQuestionAnswering"
# The original checkpoints predict masked tokens and next sentences.
PRETRAINING, NEXT_SENTENCE = "ForPreTraining", "ForNextSentencePrediction"
# What classifiers compute where the architecture does not say otherwise.
USUAL = {"use_bias": True, "hidden_activation": None, "hidden_use_bias": True, "hidden_norm": False}


def head_classes(names: Collection[str], found: Architecture) -> dict[str, str]:
    """Return the classes with a head, each with a tensor that identifies it.

    Args:
        names: of the checkpoint's tensors.
        found: the architecture.
    """
    stem = found.class_name.removesuffix("Model")
    masked = masked_lm_names(names, found)
    hidden, second = f"{masked.hidden}.weight", masked.next_sentence
    classes = {f"{stem}{CLASSIFICATION}": f"{found.classifier.output}.weight"}
    if found.tokens is not None:
        classes[f"{stem}{TOKENS}"] = f"{found.tokens.output}.weight"
    if found.answers is not None:
        classes[f"{stem}{ANSWERS}"] = f"{found.answers.output}.weight"
    classes[f"{stem}{MASKED}"] = hidden
    if second is not None:
        classes |= {f"{stem}{PRETRAINING}": hidden, f"{stem}{NEXT_SENTENCE}": f"{second}.weight"}
    if masked.unused is not None:
        classes[f"{stem}{PRETRAINING}"] = hidden
    return classes


def task_class(model: Any) -> str:
    """Return the suffix of a task's class name, such as "ForMaskedLM"."""
    if isinstance(model, MaskedLM):
        return PRETRAINING if model.next_sentence else MASKED
    if isinstance(model, TokenClassifier):
        return TOKENS
    if isinstance(model, QuestionAnswerer):
        return ANSWERS
    return NEXT_SENTENCE if isinstance(model, NextSentence) else CLASSIFICATION


def read_classifier(
    checkpoint: Checkpoint, found: Architecture, arguments: Mapping[str, Any]
) -> tuple[type[TextClassifier] | type[TextScorer], dict[str, Any], list[str]]:
    """Read the class of a classifier or scorer and its arguments except its backbone; list the problems."""
    head = found.classifier
    task, options, problems = read_classes(checkpoint, f"{head.output}.weight")
    if head.fixed.get("pooling") == "pooled" and not arguments["pooler"]:
        problems.append("the classifier needs a pooler, but there is none")
    shape, more = _read_shape(checkpoint, found, head)
    return (
        task,
        {**options, **shape, "dropout": _dropout(checkpoint, found, head, arguments)},
        problems + more,
    )


def read_token_classifier(
    checkpoint: Checkpoint, found: Architecture, arguments: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """Read the arguments of a `TokenClassifier` except its backbone, and list the problems."""
    head = found.tokens or ClassifierHead()
    labels, problems = read_labels(checkpoint, f"{head.output}.weight")
    shape, more = _read_shape(checkpoint, found, head)
    dropout = _dropout(checkpoint, found, head, arguments)
    return {"labels": labels, "dropout": dropout, **shape}, problems + more


def read_answerer(
    checkpoint: Checkpoint, found: Architecture, arguments: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """Read the arguments of a `QuestionAnswerer` except its backbone, and list the problems."""
    head, problems = found.answers, []
    assert head is not None
    output = f"{head.output}.weight"
    if output in checkpoint.names and checkpoint.shape(output)[0] != 2:
        problems.append(f"tensor {output} is {checkpoint.shape(output)}; only start and end are scored")
    intermediate = arguments.get("intermediate_dim") if head.intermediate is not None else None
    config = found.options.completed(checkpoint.config)[0]
    dropout = 0.0 if head.dropout is None else config[head.dropout]
    shape, more = _read_shape(checkpoint, found, head)
    return {"intermediate_dim": intermediate, "dropout": dropout, **shape}, problems + more


def _dropout(
    checkpoint: Checkpoint, found: Architecture, head: ClassifierHead, arguments: Mapping[str, Any]
) -> float | None:
    """Return the dropout of a head: its own option, or else the encoder's."""
    config = found.options.completed(checkpoint.config)[0]
    own = None if head.dropout is None else config.get(head.dropout)
    return arguments.get("dropout") if own is None else own


def read_masked_lm(checkpoint: Checkpoint, found: Architecture) -> tuple[dict[str, Any], list[str]]:
    """Read how a `MaskedLM` computes its head, and list the problems."""
    return _read_shape(checkpoint, found, masked_lm_names(checkpoint.names, found))


def write_head(model: Any, found: Architecture, config: dict[str, Any]) -> list[str]:
    """Write the options of a task, and list what Hugging Face's head does not support."""
    if isinstance(model, MaskedLM):
        return _write_masked_lm(model, found, config)
    if isinstance(model, QuestionAnswerer):
        if found.answers is None:
            return [f"answers over a {found.class_name}"]
        hidden = model.backbone.intermediate_dim if found.answers.intermediate is not None else None
        if found.answers.dropout is not None:
            config.setdefault(found.answers.dropout, model.dropout)
        usual = {"intermediate_dim": hidden, "head_activation": None, "head_use_bias": True}
        wanted = {name: value for name, value in usual.items() if name not in found.answers.options}
        return shape_problems(model, wanted) + _write_shape(model, found.answers.options, config)
    tokens = isinstance(model, TokenClassifier)
    head = found.tokens if tokens else found.classifier
    if head is None:
        return [f"labels of tokens over a {found.class_name}"]
    wanted = {name: value for name, value in {**USUAL, **head.fixed}.items() if name not in head.options}
    problems = shape_problems(model, wanted) + _write_shape(model, head.options, config)
    if head.dropout is not None:
        config.setdefault(head.dropout, model.dropout)
    config |= write_labels(model.labels) if tokens else write_classes(model)
    return problems


def head_tensors(model: Any, found: Architecture) -> Iterator[Tensor]:
    """Yield the variables of a head that is not of words."""
    if isinstance(model, QuestionAnswerer):
        head = found.answers
        assert head is not None
        if model.intermediate_dense is not None:
            yield from linear(head.intermediate or "", model.intermediate_dense)
            yield from linear(head.hidden or "", model.hidden_dense)
            yield from norm(head.norm or "", model.hidden_norm)
        if model.head_dense is not None:
            yield from linear(head.dense or "", model.head_dense)
            yield from norm(head.dense_norm or "", model.head_layer_norm)
        yield from linear(head.output, model.output_dense)
        return
    head = (found.tokens if isinstance(model, TokenClassifier) else found.classifier) or ClassifierHead()
    output = head.output
    if isinstance(model, NextSentence):
        output = found.masked_lm[0].next_sentence or output
    if model.hidden_dense is not None:
        yield from linear(head.hidden or "", model.hidden_dense)
    if model.hidden_layer_norm is not None:
        yield from norm(head.norm or "", model.hidden_layer_norm)
    yield from linear(output, model.output_dense)


def masked_lm_names(names: Collection[str], found: Architecture) -> MaskedLMHead:
    """Return the names of the head for masked tokens that a checkpoint has; the usual ones if it has none."""
    known = found.masked_lm
    return next((each for each in known if f"{each.hidden}.weight" in names), known[0])


def _write_masked_lm(model: MaskedLM, found: Architecture, config: dict[str, Any]) -> list[str]:
    head, usual = found.masked_lm[0], model.backbone.activation
    config["tie_word_embeddings"] = model.tie_output
    wanted = {"hidden_activation": usual, "hidden_use_bias": True, **head.fixed}
    given = {
        "hidden_activation": model.hidden_activation or usual,
        "hidden_use_bias": model.hidden_use_bias,
    }
    problems = [
        f"`{name}={value!r}` in a masked language model over this backbone, only {wanted[name]!r}"
        for name, value in given.items()
        if name not in head.options and value != wanted[name]
    ]
    if model.next_sentence and head.next_sentence is None:
        problems.append(f"a second head over a {found.class_name}")
    return problems + _write_shape(model, head.options, config)


def masked_lm_tensors(
    model: MaskedLM, names: MaskedLMHead, stored: Collection[str] | None = None
) -> Iterator[Tensor]:
    """Yield the variables of a masked language model's heads.

    Args:
        model: the model.
        names: of its layers.
        stored: names of a checkpoint's tensors, of which an untied output layer's bias may be one.
    """
    head, own = model.head, f"{names.output}.bias"
    yield from linear(names.hidden, head._intermediate_dense)
    yield from norm(names.norm, head._intermediate_layer_norm)
    if not model.tie_output:
        yield Tensor(f"{names.output}.weight", head.output_kernel, "linear")
    yield Tensor(own if stored is not None and own in stored else names.bias, head.output_bias)
    if model.next_sentence:
        yield from linear(names.next_sentence or "", model.next_sentence_dense)


def unused_names(names: MaskedLMHead) -> tuple[str, ...]:
    """Return the tensors of a masked language model that are copies of others, or are not loaded."""
    second = tuple(f"{name}." for name in (names.next_sentence, names.unused) if name is not None)
    return (f"{names.output}.weight", f"{names.output}.bias", names.bias, *second)


def _read_shape(
    checkpoint: Checkpoint, found: Architecture, head: ClassifierHead | AnswerHead | MaskedLMHead
) -> tuple[dict[str, Any], list[str]]:
    """Read how a head is computed, and list the problems."""
    config = found.options.completed(checkpoint.config)[0]
    fixed = {} if isinstance(head, AnswerHead) else head.fixed
    shape, problems = dict(fixed), []
    for name, option in head.options.items():
        shape[name] = config.get(option)
        if name.endswith("activation"):
            shape[name] = ACTIVATIONS.get(str(config.get(option)))
            if shape[name] is None:
                known = ", ".join(ACTIVATIONS)
                problems.append(f"option {option}={config.get(option)!r} is not supported (only {known})")
    return shape, problems


def _write_shape(model: Any, options: Mapping[str, str], config: dict[str, Any]) -> list[str]:
    """Write how a head is computed, and list the problems."""
    problems = []
    for name, option in options.items():
        value = getattr(model, name)
        if name.endswith("activation"):
            value = activation_option(value or model.backbone.activation)
        if value is None or config.get(option, value) != value:
            problems.append(f"`{name}={getattr(model, name)!r}` over this backbone")
        config[option] = value
    return problems
