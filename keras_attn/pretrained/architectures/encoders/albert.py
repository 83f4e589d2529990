"""ALBERT."""

from collections.abc import Iterator

from keras_attn.models import Albert
from keras_attn.pretrained.architectures.architecture import (
    HEAD_OPTIONS,
    ONLY,
    POOLED,
    Architecture,
    ClassifierHead,
    MaskedLMHead,
)
from keras_attn.pretrained.architectures.encoders.bert import BERT_ARGUMENTS, BERT_DEFAULTS
from keras_attn.pretrained.architectures.layer_tensors import block_tensors, embedding_tensors, linear
from keras_attn.pretrained.checkpoint import Tensor
from keras_attn.pretrained.options import OptionTable

ARGUMENTS = {
    **BERT_ARGUMENTS,
    "embedding_dim": "embedding_size",
    "num_groups": "num_hidden_groups",
    "layers_per_group": "inner_group_num",
}
DEFAULTS = {
    **BERT_DEFAULTS,
    "vocab_size": 30000,
    "embedding_size": 128,
    "hidden_size": 4096,
    "num_attention_heads": 64,
    "intermediate_size": 16384,
    "num_hidden_groups": 1,
    "inner_group_num": 1,
    "hidden_act": "gelu_new",
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "classifier_dropout_prob": 0.1,
}
LAYER = {
    "query": "attention.query",
    "key": "attention.key",
    "value": "attention.value",
    "attention_output": "attention.dense",
    "attention_norm": "attention.LayerNorm",
    "intermediate": "ffn",
    "output": "ffn_output",
    "output_norm": "full_layer_layer_norm",
}
# Options of Google's checkpoints that no version of transformers reads.
UNREAD = frozenset(
    {"down_scale_factor", "gap_size", "layers_to_keep", "net_structure_type", "num_memory_blocks"}
)


def _tensors(model: Albert, prefix: str) -> Iterator[Tensor]:
    yield from embedding_tensors(model, prefix)
    yield from linear(f"{prefix}encoder.embedding_hidden_mapping_in", model.embedding_projection)
    for i, layer in enumerate(model.encoder_layers):
        group, number = divmod(i, model.layers_per_group)
        name = f"{prefix}encoder.albert_layer_groups.{group}.albert_layers.{number}"
        yield from block_tensors(layer, name, LAYER)
    if model.pooler_dense is not None:
        yield from linear(f"{prefix}pooler", model.pooler_dense)


ALBERT = Architecture(
    Albert,
    "albert",
    "AlbertModel",
    OptionTable(ARGUMENTS, DEFAULTS, HEAD_OPTIONS | {"classifier_dropout_prob"}, ONLY, UNREAD),
    "albert.",
    ClassifierHead(dropout="classifier_dropout_prob", fixed=POOLED),
    (
        MaskedLMHead(
            hidden="predictions.dense",
            norm="predictions.LayerNorm",
            output="predictions.decoder",
            bias="predictions.bias",
            unused="sop_classifier",
        ),
    ),
    tokens=ClassifierHead(dropout="classifier_dropout_prob"),
    tensors=_tensors,
    pooler="pooler",
)
