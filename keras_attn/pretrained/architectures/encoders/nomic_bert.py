"""NomicBERT."""

from collections.abc import Iterator, Mapping
from typing import Any

from keras_attn.models import NomicBert
from keras_attn.pretrained.architectures.architecture import (
    HEAD_OPTIONS,
    ONLY,
    POOLED,
    Architecture,
    ClassifierHead,
    MaskedLMHead,
)
from keras_attn.pretrained.architectures.encoders.bert import BERT_ARGUMENTS, BERT_DEFAULTS
from keras_attn.pretrained.architectures.layer_tensors import joined, linear, norm
from keras_attn.pretrained.checkpoint import Tensor
from keras_attn.pretrained.options import OptionTable

DEFAULTS = {
    **BERT_DEFAULTS,
    "vocab_size": 30528,
    "hidden_act": "silu",
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "max_position_embeddings": 2048,
}
WAVELENGTH = 1000.0


def _read(config: Mapping[str, Any], arguments: dict[str, Any]) -> list[str]:
    rope = dict(config.get("rope_parameters") or {})
    arguments["max_wavelength"] = rope.pop("rope_theta", None) or config.get("rope_theta") or WAVELENGTH
    problems = []
    if rope.pop("rope_type", "default") != "default" or rope:
        problems.append(f"option rope_parameters={rope!r} is not supported (only the default type)")
    size, heads = arguments.get("hidden_dim", 0), arguments.get("num_heads") or 1
    if config.get("head_dim") not in (None, size // heads):
        problems.append(f"option head_dim={config['head_dim']!r} is not supported (only {size // heads})")
    return problems


def _write(model: NomicBert, config: dict[str, Any]) -> list[str]:
    config["rope_parameters"] = {"rope_type": "default", "rope_theta": model.max_wavelength}
    return []


def _tensors(model: NomicBert, prefix: str) -> Iterator[Tensor]:
    yield Tensor(f"{prefix}embeddings.word_embeddings.weight", model.token_embedding.embeddings)
    if model.segment_embedding is not None:
        yield Tensor(f"{prefix}embeddings.token_type_embeddings.weight", model.segment_embedding.embeddings)
    yield from norm(f"{prefix}emb_ln", model.embedding_norm)
    for i, layer in enumerate(model.encoder_layers):
        name, attention = f"{prefix}encoder.layers.{i}", layer._self_attention_layer
        projections = [attention._query_dense, attention._key_dense, attention._value_dense]
        yield from joined(f"{name}.attn.Wqkv", projections, 2)
        yield from linear(f"{name}.attn.out_proj", attention._output_dense)
        yield from norm(f"{name}.norm1", layer._self_attention_layer_norm)
        network = layer._gated_feedforward
        yield from linear(f"{name}.mlp.fc11", network._gate_dense)
        yield from linear(f"{name}.mlp.fc12", network._intermediate_dense)
        yield from linear(f"{name}.mlp.fc2", network._output_dense)
        yield from norm(f"{name}.norm2", layer._feedforward_layer_norm)
    if model.pooler_dense is not None:
        yield from linear(f"{prefix}pooler.dense", model.pooler_dense)


NOMIC_BERT = Architecture(
    NomicBert,
    "nomic_bert",
    "NomicBertModel",
    OptionTable(
        BERT_ARGUMENTS,
        DEFAULTS,
        HEAD_OPTIONS | {"classifier_dropout", "rope_parameters", "rope_theta", "head_dim"},
        ONLY,
    ),
    "nomic_bert.",
    ClassifierHead(fixed=POOLED),
    (
        MaskedLMHead(
            hidden="cls.predictions.transform.dense",
            norm="cls.predictions.transform.layer_norm",
            output="cls.predictions.decoder",
            bias="cls.predictions.bias",
        ),
    ),
    answers=None,
    tensors=_tensors,
    written=frozenset({"max_wavelength"}),
    read=_read,
    write=_write,
)
