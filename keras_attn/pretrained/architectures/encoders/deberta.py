"""DeBERTa-v2 and DeBERTa-v3."""

from collections.abc import Iterator, Mapping
from typing import Any

from keras_attn.models import Deberta
from keras_attn.pretrained.architectures.architecture import (
    HEAD_OPTIONS,
    ONLY,
    Architecture,
    ClassifierHead,
    MaskedLMHead,
)
from keras_attn.pretrained.architectures.encoders.bert import BERT_ARGUMENTS, BERT_DEFAULTS
from keras_attn.pretrained.architectures.layer_tensors import BERT_LAYER, bert_tensors, linear, norm
from keras_attn.pretrained.checkpoint import Tensor
from keras_attn.pretrained.options import ACTIVATIONS, OptionTable, activation_option

ARGUMENTS = {
    **BERT_ARGUMENTS,
    "relative_attention": "relative_attention",
    "share_projections": "share_att_key",
    "absolute_positions": "position_biased_input",
    "convolution": "conv_kernel_size",
    "convolution_groups": "conv_groups",
}
DEFAULTS = {
    **BERT_DEFAULTS,
    "vocab_size": 128100,
    "hidden_size": 1536,
    "num_hidden_layers": 24,
    "num_attention_heads": 24,
    "intermediate_size": 6144,
    "type_vocab_size": 0,
    "layer_norm_eps": 1e-7,
    "relative_attention": False,
    "share_att_key": False,
    "position_biased_input": True,
    "conv_kernel_size": 0,
    "conv_groups": 1,
    "conv_act": "tanh",
    "position_buckets": -1,
    "max_relative_positions": -1,
    "norm_rel_ebd": "none",
    "pooler_hidden_act": "gelu",
}
READ = frozenset(
    {
        "conv_act",
        "position_buckets",
        "max_relative_positions",
        "norm_rel_ebd",
        "pos_att_type",
        "pooler_hidden_act",
        "pooler_hidden_size",
        "cls_dropout",
        "embedding_size",
        "attention_head_size",
        "legacy",
    }
)
TERMS = {"c2p": "content_to_position", "p2c": "position_to_content"}
NORMALIZED = "layer_norm"
LAYER = {
    **BERT_LAYER,
    "query": "attention.self.query_proj",
    "key": "attention.self.key_proj",
    "value": "attention.self.value_proj",
}


def _read(config: Mapping[str, Any], arguments: dict[str, Any]) -> list[str]:
    problems, size = [], arguments["hidden_dim"]
    terms = config.get("pos_att_type") or []
    terms = [part.strip() for part in terms.lower().split("|")] if isinstance(terms, str) else list(terms)
    for term in terms:
        if term not in TERMS:
            problems.append(f"option pos_att_type={terms!r} is not supported (only {', '.join(TERMS)})")
    arguments |= {ours: term in terms for term, ours in TERMS.items()}
    if terms and not arguments["relative_attention"]:
        problems.append(f"option pos_att_type={terms!r} is not supported without relative_attention")
    buckets, longest = config["position_buckets"], config["max_relative_positions"]
    arguments["num_buckets"] = max(buckets, 0)
    arguments["max_distance"] = longest if longest > 0 else arguments["max_sequence_length"]
    normalized = [part.strip() for part in str(config["norm_rel_ebd"]).lower().split("|")]
    arguments["normalize_positions"] = NORMALIZED in normalized
    arguments["convolution_activation"] = ACTIVATIONS.get(str(config["conv_act"]))
    if arguments["convolution_activation"] is None:
        problems.append(
            f"option conv_act={config['conv_act']!r} is not supported (only {', '.join(ACTIVATIONS)})"
        )
    if arguments["convolution"] % 2 == 0 and arguments["convolution"]:
        problems.append(f"option conv_kernel_size={arguments['convolution']} is not supported: it is even")
    sizes = {"embedding_size": size, "pooler_hidden_size": size}
    sizes["attention_head_size"] = size // arguments["num_heads"]
    problems += [
        f"option {name}={config[name]!r} is not supported (only {only})"
        for name, only in sizes.items()
        if config.get(name) not in (None, only)
    ]
    return problems


def _write(model: Deberta, config: dict[str, Any]) -> list[str]:
    config["pos_att_type"] = [term for term, ours in TERMS.items() if getattr(model, ours)]
    if not model.relative_attention:
        config["pos_att_type"] = []
    config["position_buckets"] = model.num_buckets or -1
    config["max_relative_positions"] = model.max_distance
    config["norm_rel_ebd"] = NORMALIZED if model.normalize_positions else "none"
    config["conv_act"] = activation_option(model.convolution_activation)
    return [] if config["conv_act"] else [f"`convolution_activation={model.convolution_activation!r}`"]


def _tensors(model: Deberta, prefix: str) -> Iterator[Tensor]:
    yield from bert_tensors(model, prefix, layer=LAYER)
    for i, layer in enumerate(model.encoder_layers):
        name, attention = f"{prefix}encoder.layer.{i}.attention.self", layer._self_attention_layer
        for part in ("key", "query"):
            own = getattr(attention, f"_position_{part}_dense", None)
            if own is not None and own is not getattr(attention, f"_{part}_dense"):
                yield from linear(f"{name}.pos_{part}_proj", own, 2)
    if model.relative_embedding is not None:
        yield Tensor(f"{prefix}encoder.rel_embeddings.weight", model.relative_embedding.embeddings)
    if model.relative_norm is not None:
        yield from norm(f"{prefix}encoder.LayerNorm", model.relative_norm)
    if model.convolution_layer is not None:
        yield Tensor(f"{prefix}encoder.conv.conv.weight", model.convolution_layer.kernel, "reversed")
        yield Tensor(f"{prefix}encoder.conv.conv.bias", model.convolution_layer.bias)
        yield from norm(f"{prefix}encoder.conv.LayerNorm", model.convolution_norm)


DEBERTA = Architecture(
    Deberta,
    "deberta-v2",
    "DebertaV2Model",
    OptionTable(
        ARGUMENTS,
        DEFAULTS,
        HEAD_OPTIONS | READ,
        ONLY,
        frozenset({"pooler_dropout"}),
    ),
    "deberta.",
    ClassifierHead(
        hidden="pooler.dense",
        dropout="cls_dropout",
        fixed={"pooling": "cls"},
        options={"hidden_activation": "pooler_hidden_act"},
    ),
    (
        MaskedLMHead(
            hidden="cls.predictions.transform.dense",
            norm="cls.predictions.transform.LayerNorm",
            output="cls.predictions.decoder",
            bias="cls.predictions.bias",
        ),
        # The published checkpoints of DeBERTa-v3, and `legacy=False`.
        MaskedLMHead(
            hidden="lm_predictions.lm_head.dense",
            norm="lm_predictions.lm_head.LayerNorm",
            output="lm_predictions.lm_head.decoder",
            bias="lm_predictions.lm_head.bias",
        ),
    ),
    tokens=ClassifierHead(dropout="hidden_dropout_prob"),
    tensors=_tensors,
    pooler=None,
    written=frozenset(
        {*TERMS.values(), "num_buckets", "max_distance", "normalize_positions", "convolution_activation"}
    ),
    read=_read,
    write=_write,
    ignored=("mask_predictions.",),
    needs_segments=False,
)
