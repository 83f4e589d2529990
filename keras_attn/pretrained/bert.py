"""BERT and DistilBERT checkpoints: their options and the names of their tensors."""

from collections.abc import Iterator
from typing import Any

from keras_attn.models import Bert
from keras_attn.pretrained.checkpoint import Checkpoint, Tensor
from keras_attn.pretrained.errors import PretrainedError

# Activations by Hugging Face's names.
ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_new": "gelu_approximate",
    "gelu_pytorch_tanh": "gelu_approximate",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
    "tanh": "tanh",
}

# Constructor arguments by the options that decide them.
BERT = {
    "vocabulary_size": "vocab_size",
    "num_layers": "num_hidden_layers",
    "num_heads": "num_attention_heads",
    "hidden_dim": "hidden_size",
    "intermediate_dim": "intermediate_size",
    "dropout": "hidden_dropout_prob",
    "attention_dropout": "attention_probs_dropout_prob",
    "max_sequence_length": "max_position_embeddings",
    "num_segments": "type_vocab_size",
    "layer_norm_epsilon": "layer_norm_eps",
    "activation": "hidden_act",
    "pad_id": "pad_token_id",
}
DISTILBERT = {
    "vocabulary_size": "vocab_size",
    "num_layers": "n_layers",
    "num_heads": "n_heads",
    "hidden_dim": "dim",
    "intermediate_dim": "hidden_dim",
    "dropout": "dropout",
    "attention_dropout": "attention_dropout",
    "max_sequence_length": "max_position_embeddings",
    "activation": "activation",
    "pad_id": "pad_token_id",
}
# Options that change what is computed, and the only value of each that the model here computes.
ONLY = {
    "position_embedding_type": "absolute",
    "is_decoder": False,
    "add_cross_attention": False,
    "chunk_size_feed_forward": 0,
    "sinusoidal_pos_embds": False,
}

# Names in a layer's attention and feed-forward network; the norms follow each.
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
DISTILBERT_LAYER = {
    "query": "attention.q_lin",
    "key": "attention.k_lin",
    "value": "attention.v_lin",
    "attention_output": "attention.out_lin",
    "attention_norm": "sa_layer_norm",
    "intermediate": "ffn.lin1",
    "output": "ffn.lin2",
    "output_norm": "output_layer_norm",
}


def load_bert(checkpoint: Checkpoint, without_head: bool = False, **kwargs: Any) -> Bert:
    """Make the model of a BERT or DistilBERT checkpoint, with its weights.

    Args:
        checkpoint: the folder.
        without_head: whether tensors of a task's head are left out; otherwise they are a problem.
        **kwargs: further arguments of `Bert`, such as `dtype` or `name`.

    Raises:
        PretrainedError: with all options and tensors that do not fit.
    """
    config, problems = checkpoint.config, []
    distilled = config["model_type"] == "distilbert"
    options, prefix = (DISTILBERT, "distilbert.") if distilled else (BERT, "bert.")
    prefix = prefix if any(name.startswith(prefix) for name in checkpoint.names) else ""
    problems += [
        f"option {name}={config[name]!r} is not supported (only {value!r})"
        for name, value in ONLY.items()
        if config.get(name, value) not in (value, None)
    ]
    problems += [f"option {name} is missing" for name in options.values() if name not in config]
    arguments = {ours: config[theirs] for ours, theirs in options.items() if theirs in config}
    if arguments.get("activation") not in ACTIVATIONS:
        problems.append(f"option {options['activation']}={arguments.get('activation')!r} is not supported")
    if problems:
        checkpoint.refuse(problems)
    arguments["activation"] = ACTIVATIONS[arguments["activation"]]
    if distilled:
        arguments["num_segments"] = 0
    arguments["pooler"] = f"{prefix}pooler.dense.weight" in checkpoint.names
    model = Bert(**{**arguments, **kwargs})
    inside = ("embeddings.", "encoder.", "transformer.", "pooler.")

    def ignored(name):
        # Old versions saved the numbers 0, 1, 2 ... among the weights.
        if name.removeprefix(prefix) == "embeddings.position_ids":
            return True
        return without_head and not (name.startswith(prefix) and name.removeprefix(prefix).startswith(inside))

    checkpoint.assign(bert_tensors(model, distilled, prefix), ignored)
    return model


def bert_tensors(model: Bert, distilled: bool, prefix: str = "") -> Iterator[Tensor]:
    """List a model's variables with Hugging Face's names, in the order of its checkpoints."""
    embeddings = f"{prefix}embeddings."
    yield Tensor(f"{embeddings}word_embeddings.weight", model.token_embedding.embeddings)
    yield Tensor(f"{embeddings}position_embeddings.weight", model.position_embedding.position_embeddings)
    if model.segment_embedding is not None:
        yield Tensor(f"{embeddings}token_type_embeddings.weight", model.segment_embedding.embeddings)
    yield from _norm(f"{embeddings}LayerNorm", model.embedding_norm)
    names, stack = (DISTILBERT_LAYER, "transformer.layer") if distilled else (BERT_LAYER, "encoder.layer")
    for i, layer in enumerate(model.encoder_layers):
        for part, each in block_parts(layer).items():
            full = f"{prefix}{stack}.{i}.{names[part]}"
            yield from _norm(full, each) if part.endswith("norm") else _linear(full, each, part)
    if model.pooler_dense is not None:
        yield from _linear(f"{prefix}pooler.dense", model.pooler_dense, "pooler")


def block_parts(layer) -> dict[str, Any]:
    """Name the sublayers of an encoder block."""
    attention = layer._self_attention_layer
    return {
        "query": attention.query_dense,
        "key": attention.key_dense,
        "value": attention.value_dense,
        "attention_output": attention.output_dense,
        "attention_norm": layer._self_attention_layer_norm,
        "intermediate": layer._feedforward_intermediate_dense,
        "output": layer._feedforward_output_dense,
        "output_norm": layer._feedforward_layer_norm,
    }


def _linear(name: str, dense, part: str) -> Iterator[Tensor]:
    # The projections to heads have two axes of outputs, (D, H, dh).
    outputs = 2 if part in ("query", "key", "value") else 1
    yield Tensor(f"{name}.weight", dense.kernel, "linear", outputs)
    yield Tensor(f"{name}.bias", dense.bias, "vector")


def _norm(name: str, norm) -> Iterator[Tensor]:
    yield Tensor(f"{name}.weight", norm.gamma)
    yield Tensor(f"{name}.bias", norm.beta)


def bert_config(model: Bert) -> dict[str, Any]:
    """Write a model's arguments as Hugging Face's configuration.

    Raises:
        PretrainedError: if Hugging Face's models do not have the combination.
    """
    given = model.get_config()
    distilled = model.segment_embedding is None and model.pooler_dense is None
    options = DISTILBERT if distilled else BERT
    theirs = {ours: name for name, ours in reversed(ACTIVATIONS.items())}
    problems = []
    if not model.num_segments and not distilled:
        problems.append("a pooler without segments (`num_segments=0, pooler=True`)")
    if distilled and model.layer_norm_epsilon != 1e-12:
        problems.append(
            f"DistilBERT with `layer_norm_epsilon={model.layer_norm_epsilon}`, which is 1e-12 there"
        )
    if given["activation"] not in theirs:
        problems.append(f"`activation={given['activation']!r}`")
    if problems:
        raise PretrainedError(f"Hugging Face's models do not have {' and '.join(problems)}.")
    if given["attention_dropout"] is None:
        given["attention_dropout"] = given["dropout"]
    given["activation"] = theirs[given["activation"]]
    architecture = "DistilBertModel" if distilled else "BertModel"
    head = {"architectures": [architecture], "model_type": "distilbert" if distilled else "bert"}
    return {**head, **{name: given[ours] for ours, name in options.items()}}
