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
# Names that the published checkpoints have, of GPT-2's kind.
ALIASES = {
    "n_embd": "hidden_size",
    "n_head": "num_attention_heads",
    "n_layer": "num_hidden_layers",
    "n_inner": "intermediate_size",
    "n_positions": "max_position_embeddings",
    "layer_norm_epsilon": "layer_norm_eps",
    "activation_function": "hidden_act",
    "attn_pdrop": "attention_probs_dropout_prob",
    "resid_pdrop": "hidden_dropout_prob",
    "rotary_emb_base": "rope_theta",
}
# The gate's activation by the name of the whole.
SPELLINGS = {"hidden_act": {"swiglu": "silu", "geglu": "gelu"}}
PUBLISHED = {
    "causal": False,
    "mlp_fc1_bias": False,
    "mlp_fc2_bias": False,
    "parallel_block": False,
    "parallel_block_tied_norm": False,
    "prenorm": False,
    "qkv_proj_bias": False,
    "rotary_emb_fraction": 1.0,
    "rotary_emb_interleaved": False,
    "rotary_emb_scale_base": None,
    "scale_attn_by_inverse_layer_idx": False,
    "scale_attn_weights": True,
    "use_rms_norm": False,
}
# How the same is computed, dropout, what is returned, and how the size of the vocabulary was rounded.
HARMLESS = frozenset(
    {
        "auto_map",
        "dense_seq_output",
        "embd_pdrop",
        "fused_bias_fc",
        "fused_dropout_add_ln",
        "pad_vocab_size_multiple",
        "use_flash_attn",
        "use_xentropy",
    }
)
SCALING = frozenset({"rotary_scaling_factor", "max_trained_positions"})


def _read(config: Mapping[str, Any], arguments: dict[str, Any]) -> list[str]:
    rope = dict(config.get("rope_parameters") or {})
    arguments["max_wavelength"] = rope.pop("rope_theta", None) or config.get("rope_theta") or WAVELENGTH
    problems = []
    if rope.pop("rope_type", "default") != "default" or rope:
        problems.append(f"option rope_parameters={rope!r} is not supported (only the default type)")
    if config.get("rotary_scaling_factor") is not None:
        # Longer texts have other wavelengths, which depend on their lengths.
        longest = config.get("max_trained_positions") or DEFAULTS["max_position_embeddings"]
        arguments["max_sequence_length"] = min(longest, arguments.get("max_sequence_length", longest))
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
        HEAD_OPTIONS | SCALING | {"classifier_dropout", "rope_parameters", "rope_theta", "head_dim"},
        {**ONLY, **PUBLISHED},
        HARMLESS,
        ALIASES,
        SPELLINGS,
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
