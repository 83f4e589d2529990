"""MarianMT checkpoints: their options and the names of their tensors."""

from typing import Any

from keras_attn.models import Transformer
from keras_attn.pretrained.architectures.translator_tensors import (
    BIAS,
    HALVES,
    HEAD,
    SHARED,
    SOURCE,
    TARGET,
    are_sines,
    translator_tensors,
)
from keras_attn.pretrained.checkpoint import Checkpoint, Tensor
from keras_attn.pretrained.options import (
    OptionTable,
    find_head,
    read_options,
    refuse_to_save,
    write_options,
)

# Constructor arguments and the options that they are read from.
ARGUMENTS = {
    "vocabulary_size": "vocab_size",
    "hidden_dim": "d_model",
    "intermediate_dim": "encoder_ffn_dim",
    "num_heads": "encoder_attention_heads",
    "num_encoder_layers": "encoder_layers",
    "num_decoder_layers": "decoder_layers",
    "max_sequence_length": "max_position_embeddings",
    "dropout": "dropout",
    "attention_dropout": "attention_dropout",
    "activation": "activation_function",
    "scale_embedding": "scale_embedding",
    "pad_id": "pad_token_id",
}
DEFAULTS = {
    "vocab_size": 58101,
    "d_model": 1024,
    "encoder_ffn_dim": 4096,
    "encoder_attention_heads": 16,
    "encoder_layers": 12,
    "decoder_layers": 12,
    "max_position_embeddings": 1024,
    "dropout": 0.1,
    "attention_dropout": 0.0,
    "activation_function": "gelu",
    "scale_embedding": False,
    "pad_token_id": 58100,
    "decoder_ffn_dim": 4096,
    "decoder_attention_heads": 16,
}
# Options that change the computation, each with the only supported value.
ONLY = {
    "activation_dropout": 0.0,
    "encoder_layerdrop": 0.0,
    "decoder_layerdrop": 0.0,
    "normalize_before": False,
    "normalize_embedding": False,
    "add_final_layer_norm": False,
    "add_bias_logits": False,
    "static_position_embeddings": True,
    "is_decoder": False,
    "is_encoder_decoder": True,
    "add_cross_attention": False,
    "do_blenderbot_90_layernorm": False,
    "tie_encoder_decoder": False,
    "pruned_heads": {},
}
# Options of the decoder, and those of the encoder that they must equal.
SAME = {
    "decoder_ffn_dim": "encoder_ffn_dim",
    "decoder_attention_heads": "encoder_attention_heads",
    "decoder_vocab_size": "vocab_size",
}
OPTIONS = OptionTable(
    ARGUMENTS,
    DEFAULTS,
    frozenset({*SAME, "share_encoder_decoder_embeddings", "tie_word_embeddings"}),
    ONLY,
    # Dropout of a classification head, which is not loaded, and an offset of BART's learned positions, which
    # are sinusoidal here.
    frozenset({"classifier_dropout", "extra_pos_embeddings"}),
    {
        "hidden_size": "d_model",
        "num_attention_heads": "encoder_attention_heads",
        "num_hidden_layers": "encoder_layers",
    },
)
# Arguments that give a `Transformer` Marian's layout.
LAYOUT = {
    "normalize_first": False,
    "position_encoding": "sine-halves",
    "layer_norm_epsilon": 1e-5,
    "normalize_embedding": False,
    "position_offset": 0,
}
BARE, WITH_HEAD = "MarianModel", "MarianMTModel"
# Computed, not learned.
POSITIONS = tuple(f"model.{half}.embed_positions.weight" for half in HALVES)


def load_marian(checkpoint: Checkpoint, without_head: bool = False, **kwargs: Any) -> Transformer:
    """Load a MarianMT checkpoint.

    Args:
        checkpoint: the folder.
        without_head: must be False: a translator needs its output layer.
        **kwargs: further constructor arguments of the model, such as `dtype` or `dropout`.

    Raises:
        PretrainedError: if options or tensors are not supported; all of them are listed.
    """
    arguments, problems = read_options(checkpoint.config, OPTIONS)
    config, _ = OPTIONS.completed(checkpoint.config)
    problems += [
        f"options {one}={config[one]!r} and {other}={config.get(other)!r} differ"
        for one, other in SAME.items()
        if config.get(one) not in (None, config.get(other))
    ]
    head, more = find_head(checkpoint, {WITH_HEAD: BIAS}, BARE)
    problems += more
    if not more and (without_head or head is None):
        problems.append(f"only a {WITH_HEAD} with its output layer can be loaded")
    share = config.get("share_encoder_decoder_embeddings") is not False
    tied = config.get("tie_word_embeddings") is not False
    if share and not tied:
        problems.append(
            "share_encoder_decoder_embeddings=True with tie_word_embeddings=False is not supported"
        )
    # Shared embeddings are saved once or several times, under any of their names.
    shared = next((name for name in (SHARED, TARGET, SOURCE) if name in checkpoint.names), SHARED)
    copies = {*((SHARED, TARGET, SOURCE) if share else ()), *((HEAD,) if tied else ())}
    problems += [
        f"tensor {name} differs from {shared if share else TARGET}, of which the options say it is a copy"
        for name in sorted(copies)
        if not checkpoint.is_copy(name, shared if share else TARGET)
    ]
    problems += [
        f"tensor {name} does not hold the sines and cosines that positions are computed by"
        for name in POSITIONS
        if name in checkpoint.names and not are_sines(checkpoint.read(name))
    ]
    if problems:
        checkpoint.refuse(problems)
    arguments |= {
        **LAYOUT,
        "share_embeddings": share,
        "tie_output": tied,
        "output_bias": BIAS in checkpoint.names,
    }
    model = Transformer(**{**arguments, **kwargs})
    checkpoint.assign(translator_tensors(model, shared), {*copies, *POSITIONS}.__contains__)
    return model


def export_marian(model: Transformer) -> tuple[dict[str, Any], list[Tensor]]:
    """Return Hugging Face's configuration and tensors of a model.

    Raises:
        PretrainedError: if the model does not have Marian's layout.
    """
    config, problems = write_options(model.get_config(), ARGUMENTS)
    problems += [
        f"a {WITH_HEAD} with `{name}={getattr(model, name)!r}`, only {value!r}"
        for name, value in LAYOUT.items()
        if getattr(model, name) != value
    ]
    if model.share_embeddings and not model.tie_output:
        problems.append(f"a {WITH_HEAD} with `share_embeddings=True` and `tie_output=False`")
    refuse_to_save(problems)
    config |= {one: config[other] for one, other in SAME.items()}
    config |= {
        "share_encoder_decoder_embeddings": model.share_embeddings,
        "tie_word_embeddings": model.tie_output,
        "is_encoder_decoder": True,
        # Translations start with padding; the end token is the tokenizer's.
        "decoder_start_token_id": model.pad_id,
        "bos_token_id": None,
        "eos_token_id": None,
        "forced_eos_token_id": None,
    }
    return {"architectures": [WITH_HEAD], "model_type": "marian", **config}, list(translator_tensors(model))
