"""Checkpoints of BART, mBART, M2M100 (also NLLB-200 and SMaLL-100) and PEGASUS.

They have one table of embeddings, for source, target and output, and one entry each in `FAMILIES`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_attn.models import Transformer
from keras_attn.pretrained.architectures import marian
from keras_attn.pretrained.architectures.translator_tensors import (
    BIAS,
    HALVES,
    HEAD,
    PREFIX,
    are_fairseq_sines,
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

# BART's positions begin at 2, M2M100's behind its padding id.
OFFSET = 2
# Copies of the table of embeddings.
COPIES = ("shared.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight")
# Rates of dropout inside of the feed-forward networks and of whole layers, which only training has, and here
# none; options of heads that are not loaded; and old names of what a family always does.
HARMLESS = frozenset(
    {
        "activation_dropout",
        "classifier_dropout",
        "decoder_layerdrop",
        "encoder_layerdrop",
        "extra_pos_embeddings",
        "gradient_checkpointing",
        "prefix",
        "save_step",
        "static_position_embeddings",
    }
)
ONLY = {
    "add_bias_logits": False,
    "add_cross_attention": False,
    "do_blenderbot_90_layernorm": False,
    "is_decoder": False,
    "is_encoder_decoder": True,
    "pruned_heads": {},
    "tie_encoder_decoder": False,
    "tie_word_embeddings": True,
}
# The decoder's sizes, and those of the encoder that they must equal.
SAME = {"decoder_ffn_dim": "encoder_ffn_dim", "decoder_attention_heads": "encoder_attention_heads"}
_DEFAULTS = {
    **{name: value for name, value in marian.DEFAULTS.items() if name != "decoder_vocab_size"},
    "vocab_size": 50265,
    "pad_token_id": 1,
}


def _options(defaults: Mapping[str, Any], only: Mapping[str, Any], *harmless: str) -> OptionTable:
    return OptionTable(
        marian.ARGUMENTS,
        {**_DEFAULTS, **defaults},
        frozenset(SAME),
        {**ONLY, **only},
        HARMLESS.union(harmless),
        marian.OPTIONS.aliases,
    )


def _no_positions(table: np.ndarray, pad_id: int) -> bool:
    return False


@dataclass(frozen=True)
class Family:
    """The checkpoints of one architecture.

    Attributes:
        class_name: beginning of the names of Hugging Face's classes.
        layout: constructor arguments that the architecture decides.
        options: the table of its options.
        offset: returns the number of the first position, given the padding id.
        computed: returns whether a stored table of positions, given the padding id, is what is computed here.
    """

    class_name: str
    layout: Mapping[str, Any]
    options: OptionTable
    offset: Callable[[int], int] = lambda pad_id: OFFSET
    computed: Callable[[np.ndarray, int], bool] = _no_positions

    @property
    def bare(self) -> str:
        """Name of the class without an output layer."""
        return f"{self.class_name}Model"

    @property
    def with_head(self) -> str:
        """Name of the class with an output layer."""
        return f"{self.class_name}ForConditionalGeneration"


FAMILIES = {
    "bart": Family(
        "Bart",
        {"normalize_first": False, "position_encoding": "learned", "normalize_embedding": True},
        _options({}, {"normalize_before": False, "normalize_embedding": True, "add_final_layer_norm": False}),
    ),
    "mbart": Family(
        "MBart",
        {"normalize_first": True, "position_encoding": "learned", "normalize_embedding": True},
        _options({}, {"normalize_before": True, "normalize_embedding": True, "add_final_layer_norm": True}),
    ),
    "m2m_100": Family(
        "M2M100",
        {"normalize_first": True, "position_encoding": "sine-fairseq", "normalize_embedding": False},
        _options(
            {
                "vocab_size": 128112,
                "activation_function": "relu",
                "attention_dropout": 0.1,
                "scale_embedding": True,
            },
            {"normalize_before": True, "add_final_layer_norm": True},
            "normalize_embedding",
        ),
        lambda pad_id: pad_id + 1,
        are_fairseq_sines,
    ),
    "pegasus": Family(
        "Pegasus",
        {"normalize_first": True, "position_encoding": "sine-halves", "normalize_embedding": False},
        _options(
            {"pad_token_id": 0},
            {"normalize_before": True, "normalize_embedding": False, "add_final_layer_norm": True},
        ),
        lambda pad_id: 0,
        lambda table, pad_id: are_sines(table),
    ),
}


def load_bart(checkpoint: Checkpoint, without_head: bool = False, **kwargs: Any) -> Transformer:
    """Load a checkpoint of one of `FAMILIES`, with its output layer, which is the table of embeddings.

    Args:
        checkpoint: the folder.
        without_head: must be False: a translator needs its output layer.
        **kwargs: further constructor arguments of the model, such as `dtype` or `dropout`.

    Raises:
        PretrainedError: if options or tensors are not supported; all of them are listed.
    """
    family = FAMILIES[checkpoint.config["model_type"]]
    arguments, problems = read_options(checkpoint.config, family.options)
    config, _ = family.options.completed(checkpoint.config)
    problems += [
        f"options {one}={config[one]!r} and {other}={config[other]!r} differ"
        for one, other in SAME.items()
        if config[one] != config[other]
    ]
    _, more = find_head(checkpoint, {family.with_head: HEAD}, family.bare)
    problems += more
    if without_head:
        problems.append(f"only a {family.with_head} with its output layer can be loaded")
    # A model without its head is saved without the prefix; its output is the same table.
    prefix = PREFIX if any(name.startswith(PREFIX) for name in checkpoint.names) else ""
    copies = [*(prefix + name for name in COPIES), HEAD]
    shared = next((name for name in copies if name in checkpoint.names), copies[0])
    problems += [
        f"tensor {name} differs from {shared}, of which it is a copy"
        for name in copies
        if not checkpoint.is_copy(name, shared)
    ]
    positions = {
        f"{prefix}{half}.embed_positions.{name}" for half in HALVES for name in ("weight", "weights")
    }
    pad_id = arguments.get("pad_id", 0)
    if family.layout["position_encoding"] != "learned":
        problems += [
            f"tensor {name} does not hold the sines and cosines that positions are computed by"
            for name in sorted(positions & checkpoint.names)
            if not family.computed(checkpoint.read(name), pad_id)
        ]
    if problems:
        checkpoint.refuse(problems)
    arguments |= {
        **family.layout,
        "position_offset": family.offset(pad_id),
        "layer_norm_epsilon": 1e-5,
        "output_bias": BIAS in checkpoint.names,
    }
    model = Transformer(**{**arguments, **kwargs})
    # The oldest checkpoints number their format.
    versions = {f"{prefix}{half}.version" for half in HALVES}
    unused = {*copies, *positions, *versions}
    checkpoint.assign(translator_tensors(model, shared, prefix), unused.__contains__)
    return model


def family_of(model: Transformer) -> str | None:
    """Return the `model_type` of a model's layout, or `None` if it has none of `FAMILIES`."""
    for name, family in FAMILIES.items():
        layout = {**family.layout, "position_offset": family.offset(model.pad_id), "layer_norm_epsilon": 1e-5}
        layout |= {"share_embeddings": True, "tie_output": True}
        if all(getattr(model, argument) == value for argument, value in layout.items()):
            return name
    return None


def export_bart(model: Transformer, name: str) -> tuple[dict[str, Any], list[Tensor]]:
    """Return Hugging Face's configuration and tensors of a model of the layout of `FAMILIES[name]`.

    Raises:
        PretrainedError: if an argument has no counterpart there.
    """
    family = FAMILIES[name]
    config, problems = write_options(model.get_config(), marian.ARGUMENTS)
    if model.output_bias and name == "m2m_100":
        problems.append(f"a {family.with_head} with `output_bias=True`")
    refuse_to_save(problems)
    config |= {one: config[other] for one, other in SAME.items()}
    config |= {"tie_word_embeddings": True, "is_encoder_decoder": True}
    # Special tokens are the tokenizer's and the search's, of which a model knows only padding.
    config |= dict.fromkeys(("decoder_start_token_id", "bos_token_id", "eos_token_id", "forced_eos_token_id"))
    return {"architectures": [family.with_head], "model_type": name, **config}, list(
        translator_tensors(model)
    )
