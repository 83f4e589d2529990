"""Heads of BERT, DistilBERT and BigBird checkpoints: classification, masked tokens, next sentence."""

from collections.abc import Iterator, Mapping
from typing import Any

from keras_attn.models import MaskedLM, NextSentence, TextClassifier
from keras_attn.pretrained.checkpoint import Checkpoint, Tensor
from keras_attn.pretrained.options import read_labels, shape_problems, write_labels

CLASSIFICATION, MASKED = "ForSequenceClassification", "ForMaskedLM"
# The original checkpoints predict masked tokens and next sentences.
PRETRAINING, NEXT_SENTENCE = "ForPreTraining", "ForNextSentencePrediction"
NEXT_SENTENCE_LAYER = "cls.seq_relationship"

# Names of the heads' layers, by architecture.
CLASSIFIERS = {
    "bert": {"output": "classifier"},
    "distilbert": {"hidden": "pre_classifier", "output": "classifier"},
    "big_bird": {"hidden": "classifier.dense", "output": "classifier.out_proj"},
}
BERT_MASKED_LM_NAMES = {
    "hidden": "cls.predictions.transform.dense",
    "norm": "cls.predictions.transform.LayerNorm",
    "output": "cls.predictions.decoder",
    "bias": "cls.predictions.bias",
}
MASKED_LM_NAMES = {
    "bert": BERT_MASKED_LM_NAMES,
    "distilbert": {
        "hidden": "vocab_transform",
        "norm": "vocab_layer_norm",
        "output": "vocab_projector",
        "bias": "vocab_projector.bias",
    },
    "big_bird": BERT_MASKED_LM_NAMES,
}
# The option of the classifier's dropout, by architecture.
CLASSIFIER_DROPOUT = {
    "bert": "classifier_dropout",
    "distilbert": "seq_classif_dropout",
    "big_bird": "classifier_dropout",
}


def head_classes(model_type: str, class_name: str) -> dict[str, str]:
    """Return the classes with a head, each with a tensor that identifies it."""
    stem = class_name.removesuffix("Model")
    hidden = f"{MASKED_LM_NAMES[model_type]['hidden']}.weight"
    return {
        f"{stem}{CLASSIFICATION}": f"{CLASSIFIERS[model_type]['output']}.weight",
        f"{stem}{MASKED}": hidden,
        f"{stem}{PRETRAINING}": hidden,
        f"{stem}{NEXT_SENTENCE}": f"{NEXT_SENTENCE_LAYER}.weight",
    }


def task_class(model: Any) -> str:
    """Return the suffix of a task's class name, such as "ForMaskedLM"."""
    if isinstance(model, MaskedLM):
        return PRETRAINING if model.next_sentence else MASKED
    return NEXT_SENTENCE if isinstance(model, NextSentence) else CLASSIFICATION


def classifier_shape(model_type: str, activation: str | None) -> dict[str, Any]:
    """Return pooling, hidden activation and bias of an architecture's classifier."""
    pooling, hidden = {
        "bert": ("pooled", None),
        "distilbert": ("cls", "relu"),
        "big_bird": ("cls", activation),
    }[model_type]
    return {"pooling": pooling, "hidden_activation": hidden, "use_bias": True}


def read_classifier(
    checkpoint: Checkpoint, model_type: str, arguments: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """Read the arguments of a `TextClassifier` except its backbone, and list the problems."""
    labels, problems = read_labels(checkpoint, f"{CLASSIFIERS[model_type]['output']}.weight")
    if model_type == "bert" and not arguments["pooler"]:
        problems.append("the classifier needs a pooler, but there is none")
    dropout = checkpoint.config.get(CLASSIFIER_DROPOUT[model_type])
    if dropout is None:
        dropout = arguments.get("dropout")
    shape = classifier_shape(model_type, arguments.get("activation"))
    return {"labels": labels, "dropout": dropout, **shape}, problems


def write_classifier(model: TextClassifier, model_type: str) -> tuple[dict[str, Any], list[str]]:
    """Return the options of a classifier, and list what Hugging Face's classifier does not support."""
    problems = shape_problems(model, classifier_shape(model_type, model.backbone.activation))
    return {CLASSIFIER_DROPOUT[model_type]: model.dropout, **write_labels(model.labels)}, problems


def classifier_tensors(model: TextClassifier, model_type: str) -> Iterator[Tensor]:
    """Yield the variables of a classifier's head."""
    names = CLASSIFIERS[model_type]
    if isinstance(model, NextSentence):
        names = {"output": NEXT_SENTENCE_LAYER}
    if model.hidden_dense is not None:
        yield from linear(names["hidden"], model.hidden_dense)
    yield from linear(names["output"], model.output_dense)


def masked_lm_tensors(model: MaskedLM, model_type: str, bias: str | None = None) -> Iterator[Tensor]:
    """Yield the variables of a masked language model's heads; `bias` is the name of the output bias."""
    names, head = MASKED_LM_NAMES[model_type], model.head
    yield from linear(names["hidden"], head._intermediate_dense)
    yield from norm(names["norm"], head._intermediate_layer_norm)
    if not model.tie_output:
        yield Tensor(f"{names['output']}.weight", head.output_kernel, "linear")
    yield Tensor(bias or names["bias"], head.output_bias)
    if model.next_sentence:
        yield from linear(NEXT_SENTENCE_LAYER, model.next_sentence_dense)


def output_bias_name(model_type: str, tied: bool) -> str:
    """Return the name of the output bias; in newer versions an untied output layer has its own."""
    names = MASKED_LM_NAMES[model_type]
    return names["bias"] if tied else f"{names['output']}.bias"


def is_unused(name: str, model_type: str) -> bool:
    """Return whether a masked language model's tensor is a copy of another, or is not loaded."""
    names = MASKED_LM_NAMES[model_type]
    copies = (f"{names['output']}.weight", f"{names['output']}.bias", names["bias"])
    return name in copies or name.startswith(f"{NEXT_SENTENCE_LAYER}.")


def linear(name: str, dense: Any, outputs: int = 1) -> Iterator[Tensor]:
    """Yield kernel and bias of a dense layer; a projection to heads has two output axes."""
    yield Tensor(f"{name}.weight", dense.kernel, "linear", outputs)
    yield Tensor(f"{name}.bias", dense.bias, "vector")


def norm(name: str, layer: Any) -> Iterator[Tensor]:
    """Yield scale and offset of a layer normalization."""
    yield Tensor(f"{name}.weight", layer.gamma)
    yield Tensor(f"{name}.bias", layer.beta)
