"""Heads of BERT, DistilBERT and BigBird checkpoints: classes, scores, token labels, answers, words."""

from collections.abc import Iterator, Mapping
from typing import Any

from keras_attn.models import (
    MaskedLM,
    NextSentence,
    QuestionAnswerer,
    TextClassifier,
    TextScorer,
    TokenClassifier,
)
from keras_attn.pretrained.checkpoint import Checkpoint, Tensor
from keras_attn.pretrained.options import (
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
NEXT_SENTENCE_LAYER = "cls.seq_relationship"

# Names of the heads' layers, by architecture.
CLASSIFIERS = {
    "bert": {"output": "classifier"},
    "distilbert": {"hidden": "pre_classifier", "output": "classifier"},
    "big_bird": {"hidden": "classifier.dense", "output": "classifier.out_proj"},
}
TOKEN_CLASSIFIERS = {
    "bert": {"output": "classifier"},
    "distilbert": {"output": "classifier"},
    "big_bird": {"output": "classifier"},
}
# BigBird's has a feed-forward network before the output layer.
ANSWERERS = {
    "bert": {"output": "qa_outputs"},
    "distilbert": {"output": "qa_outputs"},
    "big_bird": {
        "intermediate": "qa_classifier.intermediate.dense",
        "hidden": "qa_classifier.output.dense",
        "norm": "qa_classifier.output.LayerNorm",
        "output": "qa_classifier.qa_outputs",
    },
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
# The option of a head's dropout, by architecture; where it is missing, the encoder's is meant.
CLASSIFIER_DROPOUT = {
    "bert": "classifier_dropout",
    "distilbert": "seq_classif_dropout",
    "big_bird": "classifier_dropout",
}
TOKEN_DROPOUT = {"bert": "classifier_dropout", "distilbert": "dropout", "big_bird": "classifier_dropout"}
# BERT has none before its answers; BigBird's is the encoder's.
ANSWER_DROPOUT = {"distilbert": "qa_dropout", "big_bird": "hidden_dropout_prob"}
QA_DROPOUT = 0.1  # transformers' default


def head_classes(model_type: str, class_name: str) -> dict[str, str]:
    """Return the classes with a head, each with a tensor that identifies it."""
    stem = class_name.removesuffix("Model")
    hidden = f"{MASKED_LM_NAMES[model_type]['hidden']}.weight"
    return {
        f"{stem}{CLASSIFICATION}": f"{CLASSIFIERS[model_type]['output']}.weight",
        f"{stem}{TOKENS}": f"{TOKEN_CLASSIFIERS[model_type]['output']}.weight",
        f"{stem}{ANSWERS}": f"{ANSWERERS[model_type]['output']}.weight",
        f"{stem}{MASKED}": hidden,
        f"{stem}{PRETRAINING}": hidden,
        f"{stem}{NEXT_SENTENCE}": f"{NEXT_SENTENCE_LAYER}.weight",
    }


def task_class(model: Any) -> str:
    """Return the suffix of a task's class name, such as "ForMaskedLM"."""
    if isinstance(model, MaskedLM):
        return PRETRAINING if model.next_sentence else MASKED
    if isinstance(model, TokenClassifier):
        return TOKENS
    if isinstance(model, QuestionAnswerer):
        return ANSWERS
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
) -> tuple[type[TextClassifier] | type[TextScorer], dict[str, Any], list[str]]:
    """Read the class of a classifier or scorer and its arguments except its backbone; list the problems."""
    task, options, problems = read_classes(checkpoint, f"{CLASSIFIERS[model_type]['output']}.weight")
    if model_type == "bert" and not arguments["pooler"]:
        problems.append("the classifier needs a pooler, but there is none")
    options |= classifier_shape(model_type, arguments.get("activation"))
    options["dropout"] = _dropout(checkpoint, CLASSIFIER_DROPOUT[model_type], arguments)
    return task, options, problems


def read_token_classifier(
    checkpoint: Checkpoint, model_type: str, arguments: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """Read the arguments of a `TokenClassifier` except its backbone, and list the problems."""
    labels, problems = read_labels(checkpoint, f"{TOKEN_CLASSIFIERS[model_type]['output']}.weight")
    dropout = _dropout(checkpoint, TOKEN_DROPOUT[model_type], arguments)
    return {"labels": labels, "dropout": dropout}, problems


def read_answerer(
    checkpoint: Checkpoint, model_type: str, arguments: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """Read the arguments of a `QuestionAnswerer` except its backbone, and list the problems."""
    names = ANSWERERS[model_type]
    output, problems = f"{names['output']}.weight", []
    if output in checkpoint.names and checkpoint.shape(output)[0] != 2:
        problems.append(f"tensor {output} is {checkpoint.shape(output)}; only start and end are scored")
    intermediate = arguments.get("intermediate_dim") if "intermediate" in names else None
    dropout = 0.0
    if model_type in ANSWER_DROPOUT:
        dropout = checkpoint.config.get(ANSWER_DROPOUT[model_type], QA_DROPOUT)
    return {"intermediate_dim": intermediate, "dropout": dropout}, problems


def _dropout(checkpoint: Checkpoint, option: str, arguments: Mapping[str, Any]) -> float | None:
    """Return the dropout of a head: its own option, or else the encoder's."""
    own = checkpoint.config.get(option)
    return arguments.get("dropout") if own is None else own


def write_head(model: Any, model_type: str) -> tuple[dict[str, Any], list[str]]:
    """Return the options of a task, and list what Hugging Face's head does not support."""
    if isinstance(model, TextClassifier | TextScorer):
        problems = shape_problems(model, classifier_shape(model_type, model.backbone.activation))
        return {CLASSIFIER_DROPOUT[model_type]: model.dropout, **write_classes(model)}, problems
    if isinstance(model, TokenClassifier):
        problems = shape_problems(model, {"use_bias": True})
        # DistilBERT has one option for this dropout and the encoder's, which is written with the encoder.
        dropout = {} if model_type == "distilbert" else {TOKEN_DROPOUT[model_type]: model.dropout}
        return {**dropout, **write_labels(model.labels)}, problems
    if isinstance(model, QuestionAnswerer):
        hidden = model.backbone.intermediate_dim if "intermediate" in ANSWERERS[model_type] else None
        problems = shape_problems(model, {"intermediate_dim": hidden})
        own = {"qa_dropout": model.dropout} if model_type == "distilbert" else {}
        return own, problems
    return {"tie_word_embeddings": model.tie_output}, []


def head_tensors(model: Any, model_type: str) -> Iterator[Tensor]:
    """Yield the variables of a head that is not of words."""
    if isinstance(model, TokenClassifier):
        names = TOKEN_CLASSIFIERS[model_type]
    elif isinstance(model, QuestionAnswerer):
        names = ANSWERERS[model_type]
    else:
        names = (
            {"output": NEXT_SENTENCE_LAYER} if isinstance(model, NextSentence) else CLASSIFIERS[model_type]
        )
    if getattr(model, "intermediate_dense", None) is not None:
        yield from linear(names["intermediate"], model.intermediate_dense)
    if getattr(model, "hidden_dense", None) is not None:
        yield from linear(names["hidden"], model.hidden_dense)
    if getattr(model, "hidden_norm", None) is not None:
        yield from norm(names["norm"], model.hidden_norm)
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
