"""Heads of BERT, DistilBERT and BigBird checkpoints: classifiers, masked language models, next sentences."""

from collections.abc import Iterator, Mapping
from typing import Any

from keras_attn.models import MaskedLM, NextSentence, TextClassifier
from keras_attn.pretrained.checkpoint import Checkpoint, Tensor
from keras_attn.pretrained.options import read_labels, shape_problems, write_labels

CLASSIFICATION, MASKED = "ForSequenceClassification", "ForMaskedLM"
# The original checkpoints predict masked words and next sentences.
PRETRAINING, FOLLOWING = "ForPreTraining", "ForNextSentencePrediction"
FOLLOWS = "cls.seq_relationship"

# Names in the heads, by the architecture.
CLASSIFIERS = {
    "bert": {"output": "classifier"},
    "distilbert": {"hidden": "pre_classifier", "output": "classifier"},
    "big_bird": {"hidden": "classifier.dense", "output": "classifier.out_proj"},
}
BERT_WORDS = {
    "hidden": "cls.predictions.transform.dense",
    "norm": "cls.predictions.transform.LayerNorm",
    "output": "cls.predictions.decoder",
    "bias": "cls.predictions.bias",
}
WORDS = {
    "bert": BERT_WORDS,
    "distilbert": {
        "hidden": "vocab_transform",
        "norm": "vocab_layer_norm",
        "output": "vocab_projector",
        "bias": "vocab_projector.bias",
    },
    "big_bird": BERT_WORDS,
}
# The option of the dropout before the output, and the pooling and hidden layer that each classifier has.
CLASSIFIER_DROPOUT = {
    "bert": "classifier_dropout",
    "distilbert": "seq_classif_dropout",
    "big_bird": "classifier_dropout",
}


def head_classes(model_type: str, class_name: str) -> dict[str, str]:
    """Name the classes with a head, each with a tensor that tells it."""
    stem = class_name.removesuffix("Model")
    words = f"{WORDS[model_type]['hidden']}.weight"
    return {
        f"{stem}{CLASSIFICATION}": f"{CLASSIFIERS[model_type]['output']}.weight",
        f"{stem}{MASKED}": words,
        f"{stem}{PRETRAINING}": words,
        f"{stem}{FOLLOWING}": f"{FOLLOWS}.weight",
    }


def task_class(model: Any) -> str:
    """Name what follows "Bert" or the like in the class of a task."""
    if isinstance(model, MaskedLM):
        return PRETRAINING if model.next_sentence else MASKED
    return FOLLOWING if isinstance(model, NextSentence) else CLASSIFICATION


def classifier_shape(model_type: str, activation: str | None) -> dict[str, Any]:
    """Return pooling, hidden layer and bias of an architecture's classifier."""
    pooling, hidden = {
        "bert": ("pooled", None),
        "distilbert": ("cls", "relu"),
        "big_bird": ("cls", activation),
    }[model_type]
    return {"pooling": pooling, "hidden_activation": hidden, "use_bias": True}


def read_classifier(
    checkpoint: Checkpoint, model_type: str, arguments: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """Read the arguments of a `TextClassifier` but its backbone, and list what stands against it."""
    labels, problems = read_labels(checkpoint, f"{CLASSIFIERS[model_type]['output']}.weight")
    if model_type == "bert" and not arguments["pooler"]:
        problems.append("the classifier needs a pooler, but there is none")
    dropout = checkpoint.config.get(CLASSIFIER_DROPOUT[model_type])
    if dropout is None:
        dropout = arguments.get("dropout")
    shape = classifier_shape(model_type, arguments.get("activation"))
    return {"labels": labels, "dropout": dropout, **shape}, problems


def write_classifier(model: TextClassifier, model_type: str) -> tuple[dict[str, Any], list[str]]:
    """Return the options of a classifier, and those that Hugging Face's does not have."""
    problems = shape_problems(model, classifier_shape(model_type, model.backbone.activation))
    return {CLASSIFIER_DROPOUT[model_type]: model.dropout, **write_labels(model.labels)}, problems


def classifier_tensors(model: TextClassifier, model_type: str) -> Iterator[Tensor]:
    """List a classifier's own variables."""
    names = CLASSIFIERS[model_type]
    if isinstance(model, NextSentence):
        names = {"output": FOLLOWS}
    if model.hidden_dense is not None:
        yield from linear(names["hidden"], model.hidden_dense)
    yield from linear(names["output"], model.output_dense)


def word_tensors(model: MaskedLM, model_type: str, bias: str | None = None) -> Iterator[Tensor]:
    """List the variables of a masked language model's heads; `bias` is the name of the output's bias."""
    names, head = WORDS[model_type], model.head
    yield from linear(names["hidden"], head._intermediate_dense)
    yield from norm(names["norm"], head._intermediate_layer_norm)
    if not model.tie_output:
        yield Tensor(f"{names['output']}.weight", head.output_kernel, "linear")
    yield Tensor(bias or names["bias"], head.output_bias)
    if model.next_sentence:
        yield from linear(FOLLOWS, model.next_sentence_dense)


def output_bias_name(model_type: str, tied: bool) -> str:
    """Name the bias of the output; newer versions give an untied output layer one of its own."""
    names = WORDS[model_type]
    return names["bias"] if tied else f"{names['output']}.bias"


def is_spare(name: str, model_type: str) -> bool:
    """Return the tensors of a masked language model that are copies of others, or are left out."""
    names = WORDS[model_type]
    copies = (f"{names['output']}.weight", f"{names['output']}.bias", names["bias"])
    return name in copies or name.startswith(f"{FOLLOWS}.")


def linear(name: str, dense: Any, outputs: int = 1) -> Iterator[Tensor]:
    """List kernel and bias of a dense layer; one that projects to heads has two axes of outputs."""
    yield Tensor(f"{name}.weight", dense.kernel, "linear", outputs)
    yield Tensor(f"{name}.bias", dense.bias, "vector")


def norm(name: str, layer: Any) -> Iterator[Tensor]:
    """List the two vectors of a layer normalization."""
    yield Tensor(f"{name}.weight", layer.gamma)
    yield Tensor(f"{name}.bias", layer.beta)
