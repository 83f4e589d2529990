"""BERT, DistilBERT and BigBird checkpoints: their options and the names of their tensors."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from keras_attn.models import Bert, BigBird
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
BERT_OPTIONS = {
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
BIGBIRD_OPTIONS = {
    **BERT_OPTIONS,
    "block_size": "block_size",
    "num_random_blocks": "num_random_blocks",
    "scale_embedding": "rescale_embeddings",
}
DISTILBERT_OPTIONS = {
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
    "attention_type": "block_sparse",
    "use_bias": True,
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


class Architecture(NamedTuple):
    """What distinguishes the checkpoints of one architecture.

    Attributes:
        make: the model's class.
        model_type, class_name: Hugging Face's names of the architecture and of its bare model.
        options: constructor arguments by the options that decide them.
        prefix: what the names of tensors begin with in a model with a head.
        stack: name of the list of layers.
        layer: names in a layer.
        pooler: name of the pooler.
    """

    make: type[Bert]
    model_type: str
    class_name: str
    options: dict[str, str]
    prefix: str
    stack: str
    layer: dict[str, str]
    pooler: str


ARCHITECTURES = {
    each.model_type: each
    for each in (
        Architecture(
            Bert, "bert", "BertModel", BERT_OPTIONS, "bert.", "encoder.layer", BERT_LAYER, "pooler.dense"
        ),
        Architecture(
            Bert,
            "distilbert",
            "DistilBertModel",
            DISTILBERT_OPTIONS,
            "distilbert.",
            "transformer.layer",
            DISTILBERT_LAYER,
            "pooler.dense",
        ),
        Architecture(
            BigBird,
            "big_bird",
            "BigBirdModel",
            BIGBIRD_OPTIONS,
            "bert.",
            "encoder.layer",
            BERT_LAYER,
            "pooler",
        ),
    )
}


def load_bert(checkpoint: Checkpoint, without_head: bool = False, **kwargs: Any) -> Bert:
    """Make the model of a checkpoint of one of the `ARCHITECTURES`, with its weights.

    Args:
        checkpoint: the folder.
        without_head: whether tensors of a task's head are left out; otherwise they are a problem.
        **kwargs: further arguments of the model, such as `dtype` or `name`.

    Raises:
        PretrainedError: with all options and tensors that do not fit.
    """
    config = checkpoint.config
    found = ARCHITECTURES[config["model_type"]]
    prefix = found.prefix if any(name.startswith(found.prefix) for name in checkpoint.names) else ""
    problems = [
        f"option {name}={config[name]!r} is not supported (only {value!r})"
        for name, value in ONLY.items()
        if config.get(name, value) not in (value, None)
    ]
    problems += [f"option {name} is missing" for name in found.options.values() if name not in config]
    arguments = {ours: config[theirs] for ours, theirs in found.options.items() if theirs in config}
    arguments["activation"] = ACTIVATIONS.get(arguments.get("activation", ""))
    if arguments["activation"] is None:
        name = found.options["activation"]
        problems.append(f"option {name}={config.get(name)!r} is not supported")
    if problems:
        checkpoint.refuse(problems)
    arguments.setdefault("num_segments", 0)
    arguments["pooler"] = f"{prefix}{found.pooler}.weight" in checkpoint.names
    model = found.make(**{**arguments, **kwargs})
    inside = ("embeddings.", "encoder.", "transformer.", "pooler.")

    def ignored(name):
        within = name.startswith(prefix) and name.removeprefix(prefix).startswith(inside)
        # Old versions saved the numbers 0, 1, 2 ... among the weights.
        return (without_head and not within) or name == f"{prefix}embeddings.position_ids"

    checkpoint.assign(bert_tensors(model, found, prefix), ignored)
    return model


def bert_tensors(model: Bert, architecture: Architecture, prefix: str = "") -> Iterator[Tensor]:
    """List a model's variables with Hugging Face's names, in the order of its checkpoints."""
    embeddings = f"{prefix}embeddings."
    yield Tensor(f"{embeddings}word_embeddings.weight", model.token_embedding.embeddings)
    yield Tensor(f"{embeddings}position_embeddings.weight", model.position_embedding.position_embeddings)
    if model.segment_embedding is not None:
        yield Tensor(f"{embeddings}token_type_embeddings.weight", model.segment_embedding.embeddings)
    yield from _norm(f"{embeddings}LayerNorm", model.embedding_norm)
    for i, layer in enumerate(model.encoder_layers):
        for part, each in block_parts(layer).items():
            full = f"{prefix}{architecture.stack}.{i}.{architecture.layer[part]}"
            yield from _norm(full, each) if part.endswith("norm") else _linear(full, each, part)
    if model.pooler_dense is not None:
        yield from _linear(f"{prefix}{architecture.pooler}", model.pooler_dense, "pooler")


def bert_config(model: Bert) -> tuple[Architecture, dict[str, Any]]:
    """Give the architecture that a model is, and its arguments as Hugging Face's configuration.

    Raises:
        PretrainedError: if Hugging Face's models do not have the combination.
    """
    given = model.get_config()
    kind = "bert"
    if isinstance(model, BigBird):
        kind = "big_bird"
    elif model.segment_embedding is None and model.pooler_dense is None:
        kind = "distilbert"
    found = ARCHITECTURES[kind]
    theirs = {ours: name for name, ours in reversed(ACTIVATIONS.items())}
    problems = []
    if not model.num_segments and kind != "distilbert":
        problems.append(f"a {found.class_name} without segments (`num_segments=0`)")
    if kind == "distilbert" and model.layer_norm_epsilon != 1e-12:
        problems.append(f"a DistilBertModel with `layer_norm_epsilon={model.layer_norm_epsilon}`, not 1e-12")
    if given["activation"] not in theirs:
        problems.append(f"`activation={given['activation']!r}`")
    if problems:
        raise PretrainedError(f"Hugging Face's models do not have {' and '.join(problems)}.")
    if given["attention_dropout"] is None:
        given["attention_dropout"] = given["dropout"]
    given["activation"] = theirs[given["activation"]]
    head = {"architectures": [found.class_name], "model_type": found.model_type}
    return found, {**head, **{name: given[ours] for ours, name in found.options.items()}}


def block_parts(layer) -> dict[str, Any]:
    """Name the sublayers of an encoder block."""
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


def _linear(name: str, dense, part: str) -> Iterator[Tensor]:
    # The projections to heads have two axes of outputs, (D, H, dh).
    outputs = 2 if part in ("query", "key", "value") else 1
    yield Tensor(f"{name}.weight", dense.kernel, "linear", outputs)
    yield Tensor(f"{name}.bias", dense.bias, "vector")


def _norm(name: str, norm) -> Iterator[Tensor]:
    yield Tensor(f"{name}.weight", norm.gamma)
    yield Tensor(f"{name}.bias", norm.beta)
