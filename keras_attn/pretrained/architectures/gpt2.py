"""GPT-2 checkpoints: their options and the names of their tensors."""

import re
from collections.abc import Iterator
from typing import Any

from keras_attn.models import GPT2, CausalLM, TextClassifier, TextScorer
from keras_attn.pretrained.architectures.heads import norm
from keras_attn.pretrained.checkpoint import Checkpoint, Tensor
from keras_attn.pretrained.options import (
    OptionTable,
    find_head,
    read_classes,
    read_options,
    refuse_to_save,
    shape_problems,
    write_classes,
    write_options,
)

# Constructor arguments and the options that they are read from.
ARGUMENTS = {
    "vocabulary_size": "vocab_size",
    "num_layers": "n_layer",
    "num_heads": "n_head",
    "hidden_dim": "n_embd",
    "dropout": "resid_pdrop",
    "attention_dropout": "attn_pdrop",
    "max_sequence_length": "n_positions",
    "layer_norm_epsilon": "layer_norm_epsilon",
    "activation": "activation_function",
}
DEFAULTS = {
    "vocab_size": 50257,
    "n_layer": 12,
    "n_head": 12,
    "n_embd": 768,
    "resid_pdrop": 0.1,
    "embd_pdrop": 0.1,
    "attn_pdrop": 0.1,
    "n_positions": 1024,
    "layer_norm_epsilon": 1e-5,
    "activation_function": "gelu_new",
}
# Options that change the computation, each with the only supported value.
ONLY = {
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "add_cross_attention": False,
    "is_encoder_decoder": False,
    "tie_encoder_decoder": False,
    "pruned_heads": {},
}
OPTIONS = OptionTable(
    ARGUMENTS,
    DEFAULTS,
    frozenset(
        {
            "embd_pdrop",
            "n_inner",
            "pad_token_id",
            "eos_token_id",
            "tie_word_embeddings",
            "id2label",
            "num_labels",
            "problem_type",
            "sentence_transformers",
            "sbert_ce_default_activation_function",
        }
    ),
    ONLY,
    # The size of the causal mask, and that the model is a decoder, which GPT-2 always is.
    frozenset({"n_ctx", "is_decoder"}),
    {
        "hidden_size": "n_embd",
        "max_position_embeddings": "n_positions",
        "num_attention_heads": "n_head",
        "num_hidden_layers": "n_layer",
    },
)
BARE, WORDS, CLASSIFICATION = "GPT2Model", "GPT2LMHeadModel", "GPT2ForSequenceClassification"
# Classes with a head, each with a tensor that identifies it.
HEADS = {WORDS: "lm_head.weight", CLASSIFICATION: "score.weight"}
# Hugging Face's classifier over GPT-2.
CLASSIFIER = {"pooling": "last", "hidden_activation": None, "use_bias": False}
PREFIX = "transformer."
# Causal masks that older versions saved among the weights.
MASKS = re.compile(r"(transformer\.)?h\.\d+\.attn\.(masked_)?bias")


def load_gpt2(
    checkpoint: Checkpoint, without_head: bool = False, **kwargs: Any
) -> GPT2 | CausalLM | TextClassifier | TextScorer:
    """Load a GPT-2 checkpoint.

    Args:
        checkpoint: the folder.
        without_head: whether to ignore the task head.
        **kwargs: further constructor arguments of the backbone, such as `dtype` or `dropout`.

    Raises:
        PretrainedError: if options or tensors are not supported; all of them are listed.
    """
    arguments, problems = read_options(checkpoint.config, OPTIONS)
    config, _ = OPTIONS.completed(checkpoint.config)
    if config["embd_pdrop"] != config["resid_pdrop"] and "dropout" not in kwargs:
        problems.append(
            f"the options embd_pdrop={config['embd_pdrop']} and resid_pdrop={config['resid_pdrop']} "
            "differ, but the model has one `dropout`: give it as an argument"
        )
    head, task, classes = None, TextClassifier, {}
    if not without_head:
        head, more = find_head(checkpoint, HEADS, BARE)
        problems += more
    if head == CLASSIFICATION:
        task, classes, more = read_classes(checkpoint, HEADS[CLASSIFICATION])
        problems += more
    if problems:
        checkpoint.refuse(problems)
    arguments["intermediate_dim"] = config.get("n_inner") or 4 * arguments["hidden_dim"]
    # If the padding token is the end token, it is not taken for padding; only Hugging Face's classifier does
    # so, to find the last token.
    pad_id = config.get("pad_token_id")
    is_end = pad_id == config.get("eos_token_id") and head != CLASSIFICATION
    arguments["pad_id"] = None if is_end else pad_id
    model = backbone = GPT2(**{**arguments, **kwargs})
    prefix = PREFIX if any(name.startswith(PREFIX) for name in checkpoint.names) else ""
    if head == CLASSIFICATION:
        model = task(backbone, **classes, **CLASSIFIER, dropout=0.0, dtype=backbone.dtype_policy)
    elif head:
        # As in transformers, a separate output matrix is used even if the options say that it is tied.
        own = not checkpoint.is_copy(HEADS[WORDS], f"{prefix}wte.weight")
        tied = config.get("tie_word_embeddings") is not False and not own
        model = CausalLM(backbone, tie_output=tied, dtype=backbone.dtype_policy)

    def ignored(name):
        within = name.startswith(prefix) and name.removeprefix(prefix).startswith(
            ("wte.", "wpe.", "h.", "ln_f.")
        )
        copy = name == HEADS[WORDS] and head == WORDS
        return bool(MASKS.fullmatch(name)) or copy or (without_head and not within)

    checkpoint.assign(gpt2_tensors(model, prefix), ignored)
    return model


def gpt2_tensors(model: GPT2 | CausalLM | TextClassifier | TextScorer, prefix: str = "") -> Iterator[Tensor]:
    """Yield a model's variables with Hugging Face's tensor names, in the order of its checkpoints."""
    backbone = model if isinstance(model, GPT2) else model.backbone
    yield Tensor(f"{prefix}wte.weight", backbone.token_embedding.embeddings)
    yield Tensor(f"{prefix}wpe.weight", backbone.position_embedding.position_embeddings)
    for i, layer in enumerate(backbone.decoder_layers):
        attention, name = layer._self_attention_layer, f"{prefix}h.{i}"
        heads = (attention._query_dense, attention._key_dense, attention._value_dense)
        yield from norm(f"{name}.ln_1", layer._self_attention_layer_norm)
        yield Tensor(f"{name}.attn.c_attn.weight", tuple(each.kernel for each in heads), "kernel", 2)
        yield Tensor(f"{name}.attn.c_attn.bias", tuple(each.bias for each in heads), "vector")
        yield from _kernel(f"{name}.attn.c_proj", attention._output_dense)
        yield from norm(f"{name}.ln_2", layer._feedforward_layer_norm)
        yield from _kernel(f"{name}.mlp.c_fc", layer._feedforward_intermediate_dense)
        yield from _kernel(f"{name}.mlp.c_proj", layer._feedforward_output_dense)
    yield from norm(f"{prefix}ln_f", backbone.layer_norm)
    if isinstance(model, CausalLM) and not model.tie_output:
        yield Tensor(HEADS[WORDS], model.output_matrix)
    if isinstance(model, TextClassifier | TextScorer):
        yield Tensor(HEADS[CLASSIFICATION], model.output_dense.kernel, "linear")


def export_gpt2(model: GPT2 | CausalLM | TextClassifier | TextScorer) -> tuple[dict[str, Any], list[Tensor]]:
    """Return Hugging Face's configuration and tensors of a model.

    Raises:
        PretrainedError: if Hugging Face has no such model.
    """
    backbone = model if isinstance(model, GPT2) else model.backbone
    config, problems = write_options(backbone.get_config(), ARGUMENTS)
    if backbone.local_window is not None:
        problems.append(f"a {BARE} with `local_window={backbone.local_window}`")
    name, more = WORDS, {}
    if isinstance(model, GPT2):
        name = BARE
    elif isinstance(model, TextClassifier | TextScorer):
        name, more = CLASSIFICATION, write_classes(model)
        problems += shape_problems(model, CLASSIFIER)
    refuse_to_save(problems)
    config |= {
        "n_inner": backbone.intermediate_dim,
        "embd_pdrop": backbone.dropout,
        "pad_token_id": backbone.pad_id,
        "tie_word_embeddings": getattr(model, "tie_output", True),
        **more,
    }
    # Hugging Face's defaults are tokens of the published vocabulary.
    config |= {"bos_token_id": None, "eos_token_id": None}
    prefix = "" if name == BARE else PREFIX
    return {"architectures": [name], "model_type": "gpt2", **config}, list(gpt2_tensors(model, prefix))


def _kernel(name: str, dense: Any) -> Iterator[Tensor]:
    yield Tensor(f"{name}.weight", dense.kernel, "kernel")
    yield Tensor(f"{name}.bias", dense.bias, "vector")
