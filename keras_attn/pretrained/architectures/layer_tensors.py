"""Rows of tables for the layers that encoders have: dense layers, normalizations, blocks."""

from collections.abc import Iterator, Mapping
from typing import Any

from keras_attn.models import Bert
from keras_attn.pretrained.checkpoint import Tensor

# Names of a BERT layer's parts: attention and feed-forward network, each followed by its norm.
BERT_LAYER = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "attention_output": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "intermediate": "intermediate.dense",
    "output": "output.dense",
    "output_norm": "output.LayerNorm",
}


def linear(name: str, dense: Any, outputs: int = 1) -> Iterator[Tensor]:
    """Yield kernel and, if there is one, bias of a dense layer; a projection to heads has two output axes."""
    yield Tensor(f"{name}.weight", dense.kernel, "linear", outputs)
    if dense.bias is not None:
        yield Tensor(f"{name}.bias", dense.bias, "vector")


def joined(name: str, layers: list[Any], outputs: int = 1) -> Iterator[Tensor]:
    """Yield kernels and biases of dense layers that a checkpoint keeps as one."""
    yield Tensor(f"{name}.weight", tuple(layer.kernel for layer in layers), "linear", outputs)
    if layers[0].bias is not None:
        yield Tensor(f"{name}.bias", tuple(layer.bias for layer in layers), "vector")


def norm(name: str, layer: Any) -> Iterator[Tensor]:
    """Yield scale and, if there is one, offset of a layer normalization."""
    yield Tensor(f"{name}.weight", layer.gamma)
    if layer.center:
        yield Tensor(f"{name}.bias", layer.beta)


def embedding_tensors(model: Bert, prefix: str, positions: str = "position_embeddings") -> Iterator[Tensor]:
    """Yield the tables of BERT's embeddings and their normalization."""
    embeddings = f"{prefix}embeddings."
    yield Tensor(f"{embeddings}word_embeddings.weight", model.token_embedding.embeddings)
    if model.position_embedding is not None:
        yield Tensor(f"{embeddings}{positions}.weight", model.position_embedding.position_embeddings)
    if model.segment_embedding is not None:
        yield Tensor(f"{embeddings}token_type_embeddings.weight", model.segment_embedding.embeddings)
    yield from norm(f"{embeddings}LayerNorm", model.embedding_norm)


def block_tensors(layer: Any, name: str, names: Mapping[str, str]) -> Iterator[Tensor]:
    """Yield the variables of an encoder block, given the names of its parts."""
    for part, each in block_parts(layer).items():
        full, outputs = f"{name}.{names[part]}", 2 if part in ("query", "key", "value") else 1
        yield from norm(full, each) if part.endswith("norm") else linear(full, each, outputs)


def bert_tensors(
    model: Bert,
    prefix: str,
    stack: str = "encoder.layer",
    layer: Mapping[str, str] = BERT_LAYER,
    pooler: str = "pooler.dense",
) -> Iterator[Tensor]:
    """Yield the variables of a model with BERT's tensor names, in the order of its checkpoints."""
    yield from embedding_tensors(model, prefix)
    for i, each in enumerate(model.encoder_layers):
        yield from block_tensors(each, f"{prefix}{stack}.{i}", layer)
    if model.pooler_dense is not None:
        yield from linear(f"{prefix}{pooler}", model.pooler_dense)


def block_parts(layer: Any) -> dict[str, Any]:
    """Return the sublayers of an encoder block by name."""
    attention = layer._self_attention_layer
    return {
        "query": attention._query_dense,
        "key": attention._key_dense,
        "value": attention._value_dense,
        "attention_output": attention._output_dense,
        "attention_norm": layer._self_attention_layer_norm,
        "intermediate": layer._feedforward_intermediate_dense,
        "output": layer._feedforward_output_dense,
        "output_norm": layer._feedforward_layer_norm,
    }
