"""ModernBERT."""

from collections.abc import Iterator, Mapping
from typing import Any

from keras_attn.models import ModernBert
from keras_attn.pretrained.architectures.architecture import (
    HEAD_OPTIONS,
    ONLY,
    AnswerHead,
    Architecture,
    ClassifierHead,
    MaskedLMHead,
)
from keras_attn.pretrained.architectures.layer_tensors import joined, linear, norm
from keras_attn.pretrained.checkpoint import Tensor
from keras_attn.pretrained.options import OptionTable

ARGUMENTS = {
    "vocabulary_size": "vocab_size",
    "num_layers": "num_hidden_layers",
    "num_heads": "num_attention_heads",
    "hidden_dim": "hidden_size",
    "intermediate_dim": "intermediate_size",
    "dropout": "mlp_dropout",
    "attention_dropout": "attention_dropout",
    "max_sequence_length": "max_position_embeddings",
    "layer_norm_epsilon": "norm_eps",
    "activation": "hidden_activation",
    "pad_id": "pad_token_id",
    "local_attention": "local_attention",
    "attention_bias": "attention_bias",
    "feedforward_bias": "mlp_bias",
    "norm_bias": "norm_bias",
}
DEFAULTS = {
    "vocab_size": 50368,
    "num_hidden_layers": 22,
    "num_attention_heads": 12,
    "hidden_size": 768,
    "intermediate_size": 1152,
    "mlp_dropout": 0.0,
    "attention_dropout": 0.0,
    "max_position_embeddings": 8192,
    "norm_eps": 1e-5,
    "hidden_activation": "gelu",
    "pad_token_id": 50283,
    "local_attention": 128,
    "attention_bias": False,
    "mlp_bias": False,
    "norm_bias": False,
    "classifier_pooling": "cls",
    "classifier_activation": "gelu",
    "classifier_bias": False,
    "classifier_dropout": 0.0,
}
POSITIONS = frozenset(
    {"global_attn_every_n_layers", "layer_types", "rope_parameters", "global_rope_theta", "local_rope_theta"}
)
# Dropout and initialization, sparse training, kernels, and which layers a compiler sees.
HARMLESS = frozenset(
    {
        "embedding_dropout",
        "initializer_cutoff_factor",
        "sparse_prediction",
        "sparse_pred_ignore_index",
        "deterministic_flash_attn",
        "reference_compile",
        "repad_logits_with_grad",
        "layer_norm_eps",  # of the published checkpoints, where `norm_eps` is read
    }
)
GLOBAL, LOCAL = "full_attention", "sliding_attention"
# Kinds of layers: our argument of its wavelength, and transformers' older option with its default.
WAVELENGTHS = {
    GLOBAL: ("global_wavelength", "global_rope_theta", 160000.0),
    LOCAL: ("local_wavelength", "local_rope_theta", 10000.0),
}
HEAD = {"hidden_activation": "classifier_activation", "hidden_use_bias": "classifier_bias"}


def _read(config: Mapping[str, Any], arguments: dict[str, Any]) -> list[str]:
    """Read which layers see all tokens, and the wavelengths of both kinds."""
    layers, every = arguments.get("num_layers", 0), config.get("global_attn_every_n_layers") or 3
    kinds = config.get("layer_types") or [LOCAL if i % every else GLOBAL for i in range(layers)]
    problems = []
    if len(kinds) != layers or not set(kinds) <= set(WAVELENGTHS):
        problems.append(f"option layer_types={kinds!r} must name one of {', '.join(WAVELENGTHS)} a layer")
    arguments["global_layers"] = [i for i, kind in enumerate(kinds) if kind == GLOBAL]
    given = config.get("rope_parameters") or {}
    for kind, (argument, option, usual) in WAVELENGTHS.items():
        rope = dict(given.get(kind) or {})
        arguments[argument] = rope.pop("rope_theta", None) or config.get(option) or usual
        if rope.pop("rope_type", "default") != "default" or rope:
            problems.append(f"option rope_parameters={given!r} is not supported (only the default type)")
    return problems


def _write(model: ModernBert, config: dict[str, Any]) -> list[str]:
    config["layer_types"] = [GLOBAL if i in model.global_layers else LOCAL for i in range(model.num_layers)]
    config["rope_parameters"] = {
        kind: {"rope_type": "default", "rope_theta": getattr(model, argument)}
        for kind, (argument, _, _) in WAVELENGTHS.items()
    }
    return []


def _tensors(model: ModernBert, prefix: str) -> Iterator[Tensor]:
    yield Tensor(f"{prefix}embeddings.tok_embeddings.weight", model.token_embedding.embeddings)
    yield from norm(f"{prefix}embeddings.norm", model.embedding_norm)
    for i, layer in enumerate(model.encoder_layers):
        name, attention = f"{prefix}layers.{i}", layer._self_attention_layer
        if layer.attention_norm:
            yield from norm(f"{name}.attn_norm", layer._self_attention_layer_norm)
        projections = [attention._query_dense, attention._key_dense, attention._value_dense]
        yield from joined(f"{name}.attn.Wqkv", projections, 2)
        yield from linear(f"{name}.attn.Wo", attention._output_dense)
        yield from norm(f"{name}.mlp_norm", layer._feedforward_layer_norm)
        network = layer._gated_feedforward
        halves = [network._intermediate_dense, network._gate_dense]
        yield from joined(f"{name}.mlp.Wi", halves)
        yield from linear(f"{name}.mlp.Wo", network._output_dense)
    yield from norm(f"{prefix}final_norm", model.final_norm)


MODERNBERT = Architecture(
    ModernBert,
    "modernbert",
    "ModernBertModel",
    OptionTable(
        ARGUMENTS,
        DEFAULTS,
        HEAD_OPTIONS
        | POSITIONS
        | {"classifier_pooling", "classifier_dropout", "classifier_activation", "classifier_bias"},
        {**ONLY, "decoder_bias": True},
        HARMLESS,
    ),
    "model.",
    ClassifierHead(
        hidden="head.dense",
        norm="head.norm",
        fixed={"hidden_norm": True},
        options={"pooling": "classifier_pooling", **HEAD},
    ),
    (
        MaskedLMHead(
            hidden="head.dense", norm="head.norm", output="decoder", bias="decoder.bias", options=HEAD
        ),
    ),
    tokens=ClassifierHead(hidden="head.dense", norm="head.norm", fixed={"hidden_norm": True}, options=HEAD),
    answers=AnswerHead(
        output="classifier",
        dense="head.dense",
        dense_norm="head.norm",
        dropout="classifier_dropout",
        options={"head_activation": "classifier_activation", "head_use_bias": "classifier_bias"},
    ),
    tensors=_tensors,
    pooler=None,
    fixed={"num_segments": 0},
    written=frozenset({"global_layers", *(argument for argument, _, _ in WAVELENGTHS.values())}),
    read=_read,
    write=_write,
    needs_segments=False,
)
