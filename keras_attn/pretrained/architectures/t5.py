"""Checkpoints of T5, mT5 and UMT5 (also T5 1.1, Flan-T5 and ByT5), whole or only the encoder."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from keras_attn.models import T5, T5Encoder
from keras_attn.pretrained.architectures.layer_tensors import linear
from keras_attn.pretrained.checkpoint import Checkpoint, Tensor
from keras_attn.pretrained.options import (
    OptionTable,
    activation_option,
    find_head,
    read_options,
    refuse_to_save,
    write_options,
)

SHARED, HEAD = "shared.weight", "lm_head.weight"
ENCODER_TABLE = "encoder.embed_tokens.weight"
# Copies of the table of embeddings.
COPIES = (SHARED, ENCODER_TABLE, "decoder.embed_tokens.weight")
# A bias of attention to the source, which old checkpoints have and nothing reads.
UNREAD = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
BIAS = "SelfAttention.relative_attention_bias.weight"
# Constructor arguments of both models and the options that they are read from.
COMMON = {
    "vocabulary_size": "vocab_size",
    "hidden_dim": "d_model",
    "intermediate_dim": "d_ff",
    "num_heads": "num_heads",
    "key_dim": "d_kv",
    "num_buckets": "relative_attention_num_buckets",
    "max_distance": "relative_attention_max_distance",
    "dropout": "dropout_rate",
    "attention_dropout": "dropout_rate",
    "layer_norm_epsilon": "layer_norm_epsilon",
    "activation": "dense_act_fn",
    "gated": "is_gated_act",
    "pad_id": "pad_token_id",
}
ARGUMENTS = {**COMMON, "num_encoder_layers": "num_layers", "num_decoder_layers": "num_decoder_layers"}
ENCODER_ARGUMENTS = {**COMMON, "num_layers": "num_layers"}
_DEFAULTS = {
    "vocab_size": 250112,
    "d_model": 512,
    "d_kv": 64,
    "d_ff": 1024,
    "num_layers": 8,
    "num_heads": 6,
    "relative_attention_num_buckets": 32,
    "relative_attention_max_distance": 128,
    "dropout_rate": 0.1,
    "layer_norm_epsilon": 1e-6,
    "feed_forward_proj": "gated-gelu",
    "pad_token_id": 0,
}
# How the feed-forward network is described, and what decides whether the output is tied and scaled.
READ = frozenset({"feed_forward_proj", "tie_word_embeddings", "scale_decoder_outputs", "num_decoder_layers"})
ONLY = {
    "add_cross_attention": False,
    "is_decoder": False,
    "pruned_heads": {},
    "tie_encoder_decoder": False,
}
# The decoder's part of an encoder's configuration, training, limits of length that no weight has, and heads.
HARMLESS = frozenset(
    {
        "is_encoder_decoder",
        "n_positions",
        "classifier_dropout",
        "gradient_checkpointing",
        "num_decoder_layers",
    }
)
ALIASES = {"hidden_size": "d_model", "num_attention_heads": "num_heads", "num_hidden_layers": "num_layers"}


def _options(arguments: Mapping[str, str], **defaults: Any) -> OptionTable:
    return OptionTable(arguments, {**_DEFAULTS, **defaults}, READ, ONLY, HARMLESS, ALIASES)


@dataclass(frozen=True)
class Family:
    """The checkpoints of one architecture.

    Attributes:
        class_name: beginning of the names of Hugging Face's classes.
        defaults: of its options, where they differ from those of its relatives.
        shares_bias: whether the layers share a bias.
        scales: whether its output may be scaled.
    """

    class_name: str
    defaults: Mapping[str, Any]
    shares_bias: bool = True
    scales: bool = True

    @property
    def with_head(self) -> str:
        """Name of the class that translates."""
        return f"{self.class_name}ForConditionalGeneration"

    @property
    def encoder(self) -> str:
        """Name of the class of only the encoder."""
        return f"{self.class_name}EncoderModel"


FAMILIES = {
    "t5": Family(
        "T5",
        {
            "vocab_size": 32128,
            "d_ff": 2048,
            "num_layers": 6,
            "num_heads": 8,
            "feed_forward_proj": "relu",
        },
    ),
    "mt5": Family("MT5", {}, scales=False),
    "umt5": Family("UMT5", {}, shares_bias=False),
}


def load_t5(checkpoint: Checkpoint, without_head: bool = False, **kwargs: Any) -> T5 | T5Encoder:
    """Load a checkpoint of one of `FAMILIES`.

    Args:
        checkpoint: the folder.
        without_head: whether to load only the encoder, as for a sentence encoder.
        **kwargs: further constructor arguments of the model, such as `dtype` or `dropout`.

    Returns:
        `T5`, or `T5Encoder` if the checkpoint has only the encoder.

    Raises:
        PretrainedError: if options or tensors are not supported; all of them are listed.
    """
    family = FAMILIES[checkpoint.config["model_type"]]
    classes = {family.with_head: "decoder.final_layer_norm.weight", family.encoder: SHARED}
    bare = f"{family.class_name}Model"
    head, problems = (None, []) if without_head else find_head(checkpoint, classes, bare)
    only_encoder = without_head or head == family.encoder
    options = _options(ENCODER_ARGUMENTS if only_encoder else ARGUMENTS, **family.defaults)
    config = _with_feed_forward(checkpoint.config, options)
    if config.get("num_decoder_layers") is None:
        config["num_decoder_layers"] = options.completed(config)[0]["num_layers"]
    arguments, more = read_options(config, options)
    problems += more
    shared = next((name for name in COPIES if name in checkpoint.names), SHARED)
    problems += [
        f"tensor {name} differs from {shared}, of which it is a copy"
        for name in COPIES
        if not checkpoint.is_copy(name, shared)
    ]
    if problems:
        checkpoint.refuse(problems)
    arguments["share_position_bias"] = family.shares_bias
    unused = {*COPIES, UNREAD}
    if only_encoder:
        encoder = T5Encoder(**{**arguments, **kwargs})
        table = _encoder_tensors(encoder, shared)
        checkpoint.assign(table, lambda name: name in unused or name.startswith(("decoder.", HEAD)))
        return encoder
    # As in transformers, an output matrix of its own is used even if the options say that it is tied.
    tied = checkpoint.is_copy(HEAD, shared)
    scale = checkpoint.config.get("scale_decoder_outputs")
    if scale is None:
        scale = checkpoint.config.get("tie_word_embeddings") is not False
    arguments |= {"tie_output": tied, "scale_output": family.scales and scale}
    model = T5(**{**arguments, **kwargs})
    checkpoint.assign(_tensors(model, shared), {*unused, *((HEAD,) if tied else ())}.__contains__)
    return model


def _with_feed_forward(config: Mapping[str, Any], options: OptionTable) -> dict[str, Any]:
    """Return a configuration in which `feed_forward_proj` alone describes the feed-forward network."""
    named = str(config.get("feed_forward_proj") or options.defaults["feed_forward_proj"])
    gate, _, activation = named.rpartition("-")
    if gate not in ("", "gated"):
        activation = named  # which is refused
    if named == "gated-gelu":
        activation = "gelu_new"  # only gated units have GELU by tanh, under the exact one's name
    return {**config, "is_gated_act": gate == "gated", "dense_act_fn": activation}


def family_of(model: T5 | T5Encoder) -> str:
    """Return the `model_type` of a model's layout."""
    return "t5" if model.share_position_bias else "umt5"


def export_t5(model: T5 | T5Encoder) -> tuple[dict[str, Any], list[Tensor]]:
    """Return Hugging Face's configuration and tensors of a model; mT5's layout is saved as T5's.

    Raises:
        PretrainedError: if an argument has no counterpart there.
    """
    name, key_dim = family_of(model), model.key_dim or model.hidden_dim // model.num_heads
    family, given = FAMILIES[name], {**model.get_config(), "key_dim": key_dim}
    encoder = isinstance(model, T5Encoder)
    config, problems = write_options(given, ENCODER_ARGUMENTS if encoder else ARGUMENTS)
    activation = activation_option(model.activation)
    if model.gated and activation == "gelu":
        problems.append('gated units with the exact GELU (`activation="gelu"`), only with that by tanh')
    written = "gelu" if model.gated and activation == "gelu_new" else activation
    config["feed_forward_proj"] = f"gated-{written}" if model.gated else written
    if model.attention_dropout not in (None, model.dropout):
        problems.append(f"`attention_dropout={model.attention_dropout!r}` beside `dropout={model.dropout!r}`")
    if encoder:
        if model.num_segments or model.pooler or model.embedding_dim is not None:
            problems.append("segments, a pooler or an `embedding_dim` in T5's encoder")
        refuse_to_save(problems)
        more = {"architectures": [family.encoder], "is_encoder_decoder": False}
        return {**more, "model_type": name, **config}, list(_encoder_tensors(model, SHARED))
    refuse_to_save(problems)
    config |= {
        "is_encoder_decoder": True,
        "tie_word_embeddings": model.scale_output,
        "scale_decoder_outputs": model.scale_output,
        # Outputs start with padding; the end token is the tokenizer's.
        "decoder_start_token_id": model.pad_id,
        "eos_token_id": None,
    }
    return {"architectures": [family.with_head], "model_type": name, **config}, list(_tensors(model, SHARED))


def _tensors(model: T5, shared: str) -> Iterator[Tensor]:
    """Yield a model's variables with Hugging Face's names."""
    yield Tensor(shared, model.token_embedding.embeddings)
    for half in ("encoder", "decoder"):
        yield from _half_tensors(model, half, getattr(model, f"{half}_position_bias"))
        yield Tensor(f"{half}.final_layer_norm.weight", getattr(model, f"{half}_norm").scale)
    if not model.tie_output:
        yield Tensor(HEAD, model.output_matrix)


def _encoder_tensors(model: T5Encoder, shared: str) -> Iterator[Tensor]:
    yield Tensor(shared, model.token_embedding.embeddings)
    yield from _half_tensors(model, "encoder", model.position_bias)
    yield Tensor("encoder.final_layer_norm.weight", model.final_norm.scale)


def _half_tensors(model: Any, half: str, shared_bias: Any) -> Iterator[Tensor]:
    for i, layer in enumerate(getattr(model, f"{half}_layers")):
        name = f"{half}.block.{i}.layer"
        yield from _attention(f"{name}.0.SelfAttention", layer._self_attention_layer)
        bias = layer._position_bias or (shared_bias if i == 0 else None)
        if bias is not None:
            yield Tensor(f"{name}.0.{BIAS}", bias.table.embeddings)
        yield Tensor(f"{name}.0.layer_norm.weight", layer._self_attention_layer_norm.scale)
        if half == "decoder":
            yield from _attention(f"{name}.1.EncDecAttention", layer._cross_attention_layer)
            yield Tensor(f"{name}.1.layer_norm.weight", layer._cross_attention_layer_norm.scale)
        last = f"{name}.{2 if half == 'decoder' else 1}"
        yield from _feed_forward(f"{last}.DenseReluDense", layer)
        yield Tensor(f"{last}.layer_norm.weight", layer._feedforward_layer_norm.scale)


def _attention(name: str, layer: Any) -> Iterator[Tensor]:
    yield from linear(f"{name}.q", layer._query_dense, 2)
    yield from linear(f"{name}.k", layer._key_dense, 2)
    yield from linear(f"{name}.v", layer._value_dense, 2)
    yield from linear(f"{name}.o", layer._output_dense)


def _feed_forward(name: str, layer: Any) -> Iterator[Tensor]:
    gated = layer._gated_feedforward
    if gated is None:
        yield from linear(f"{name}.wi", layer._feedforward_intermediate_dense)
        yield from linear(f"{name}.wo", layer._feedforward_output_dense)
    else:
        yield from linear(f"{name}.wi_0", gated._intermediate_dense)
        yield from linear(f"{name}.wi_1", gated._gate_dense)
        yield from linear(f"{name}.wo", gated._output_dense)
