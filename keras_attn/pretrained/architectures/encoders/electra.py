"""ELECTRA: BERT with small embeddings and without a pooler."""

from collections.abc import Mapping
from typing import Any

from keras_attn.models import Bert
from keras_attn.pretrained.architectures.architecture import (
    HEAD_OPTIONS,
    ONLY,
    Architecture,
    ClassifierHead,
    MaskedLMHead,
)
from keras_attn.pretrained.architectures.encoders.bert import BERT_ARGUMENTS, BERT_DEFAULTS
from keras_attn.pretrained.architectures.layer_tensors import bert_tensors, linear
from keras_attn.pretrained.options import OptionTable

DEFAULTS = {
    **BERT_DEFAULTS,
    "embedding_size": 128,
    "hidden_size": 256,
    "num_attention_heads": 4,
    "intermediate_size": 1024,
}
# Belongs to the head of multiple choice.
SUMMARY = frozenset({"summary_last_dropout"})


def _read(config: Mapping[str, Any], arguments: dict[str, Any]) -> list[str]:
    """Read the size of the embeddings; they are projected only if it is not the layers'."""
    size = config.get("embedding_size")
    arguments["embedding_dim"] = None if size == arguments.get("hidden_dim") else size
    return []


def _write(model: Bert, config: dict[str, Any]) -> list[str]:
    config["embedding_size"] = model.embedding_dim or model.hidden_dim
    if model.embedding_dim == model.hidden_dim:
        return [f"a projection of embeddings of the same size (`embedding_dim={model.embedding_dim}`)"]
    return []


def _tensors(model: Bert, prefix: str) -> Any:
    yield from bert_tensors(model, prefix)
    if model.embedding_projection is not None:
        yield from linear(f"{prefix}embeddings_project", model.embedding_projection)


ELECTRA = Architecture(
    Bert,
    "electra",
    "ElectraModel",
    OptionTable(
        BERT_ARGUMENTS,
        DEFAULTS,
        HEAD_OPTIONS | {"classifier_dropout", "embedding_size"},
        ONLY,
        SUMMARY,
    ),
    "electra.",
    ClassifierHead(
        output="classifier.out_proj",
        hidden="classifier.dense",
        fixed={"pooling": "cls", "hidden_activation": "gelu"},
    ),
    (
        MaskedLMHead(
            hidden="generator_predictions.dense",
            norm="generator_predictions.LayerNorm",
            output="generator_lm_head",
            bias="generator_lm_head.bias",
            fixed={"hidden_activation": "gelu"},
        ),
    ),
    tensors=_tensors,
    pooler=None,
    written=frozenset({"embedding_dim"}),
    read=_read,
    write=_write,
)
