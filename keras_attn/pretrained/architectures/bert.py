"""BERT, DistilBERT and BigBird checkpoints: their options and the names of their tensors."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from keras_attn.models import Bert, BigBird, MaskedLM, NextSentence, QuestionAnswerer, TokenClassifier
from keras_attn.models.tasks.next_sentence import LABELS
from keras_attn.models.tasks.task_model import TaskModel
from keras_attn.pretrained.architectures import heads
from keras_attn.pretrained.architectures.heads import linear, norm
from keras_attn.pretrained.checkpoint import Checkpoint, Tensor
from keras_attn.pretrained.options import (
    OptionTable,
    find_head,
    read_options,
    refuse_to_save,
    write_options,
)

# Constructor arguments and the options that they are read from.
BERT_ARGUMENTS = {
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
BIGBIRD_ARGUMENTS = {
    **BERT_ARGUMENTS,
    "block_size": "block_size",
    "num_random_blocks": "num_random_blocks",
    "scale_embedding": "rescale_embeddings",
}
DISTILBERT_ARGUMENTS = {
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
BERT_DEFAULTS = {
    "vocab_size": 30522,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "hidden_size": 768,
    "intermediate_size": 3072,
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
    "hidden_act": "gelu",
    "pad_token_id": 0,
}
BIGBIRD_DEFAULTS = {
    **BERT_DEFAULTS,
    "vocab_size": 50358,
    "max_position_embeddings": 4096,
    "hidden_act": "gelu_new",
    "attention_type": "block_sparse",
    "block_size": 64,
    "num_random_blocks": 3,
    "rescale_embeddings": False,
}
DISTILBERT_DEFAULTS = {
    "vocab_size": 30522,
    "n_layers": 6,
    "n_heads": 12,
    "dim": 768,
    "hidden_dim": 3072,
    "dropout": 0.1,
    "attention_dropout": 0.1,
    "max_position_embeddings": 512,
    "activation": "gelu",
    "pad_token_id": 0,
}
# Options that change the computation, each with the only supported value.
ONLY = {
    "position_embedding_type": "absolute",
    "is_decoder": False,
    "is_encoder_decoder": False,
    "add_cross_attention": False,
    "cross_attention_hidden_size": None,
    "tie_encoder_decoder": False,
    "pruned_heads": {},
    "use_bias": True,
    "directionality": "bidi",
    "pooler_type": "first_token_transform",
}
# Options of the heads and of tied embeddings.
HEAD_OPTIONS = frozenset(
    {
        "tie_word_embeddings",
        "id2label",
        "num_labels",
        "problem_type",
        "sentence_transformers",
        "sbert_ce_default_activation_function",
    }
)
BERT_OPTIONS = OptionTable(BERT_ARGUMENTS, BERT_DEFAULTS, HEAD_OPTIONS | {"classifier_dropout"}, ONLY)
BIGBIRD_OPTIONS = OptionTable(
    BIGBIRD_ARGUMENTS,
    BIGBIRD_DEFAULTS,
    HEAD_OPTIONS | {"classifier_dropout", "attention_type"},
    ONLY,
)
DISTILBERT_OPTIONS = OptionTable(
    DISTILBERT_ARGUMENTS,
    DISTILBERT_DEFAULTS,
    HEAD_OPTIONS | {"seq_classif_dropout", "qa_dropout"},
    {**ONLY, "layer_norm_eps": 1e-12},
    # Position embeddings are among the weights, sinusoidal or learned; tying is read with the head.
    frozenset({"sinusoidal_pos_embds", "tie_weights_"}),
    {"hidden_size": "dim", "num_attention_heads": "n_heads", "num_hidden_layers": "n_layers"},
)
# Values of BigBird's `attention_type`, and whether attention is block-sparse.
ATTENTION_TYPES = {"block_sparse": True, "original_full": False}

# Names of a layer's parts: attention and feed-forward network, each followed by its norm.
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
    """The description of the checkpoints of one architecture.

    Attributes:
        make: the model's class.
        model_type, class_name: Hugging Face's names of the architecture and of its bare model.
        options: the table of its options.
        prefix: prefix of the tensor names in a model with a head.
        stack: name of the list of layers.
        layer: names of a layer's parts.
        pooler: name of the pooler.
    """

    make: type[Bert]
    model_type: str
    class_name: str
    options: OptionTable
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


def load_bert(checkpoint: Checkpoint, without_head: bool = False, **kwargs: Any) -> Bert | TaskModel:
    """Load a checkpoint of one of the `ARCHITECTURES`.

    Args:
        checkpoint: the folder.
        without_head: whether to ignore the task head.
        **kwargs: further constructor arguments of the backbone, such as `dtype` or `dropout`.

    Raises:
        PretrainedError: if options or tensors are not supported; all of them are listed.
    """
    config = checkpoint.config
    found = ARCHITECTURES[config["model_type"]]
    kind = found.model_type
    prefix = found.prefix if any(name.startswith(found.prefix) for name in checkpoint.names) else ""
    arguments, problems = read_options(config, found.options)
    if kind == "big_bird":
        problems += _read_attention_type(config, arguments)
    arguments.setdefault("num_segments", 0)
    arguments["pooler"] = f"{prefix}{found.pooler}.weight" in checkpoint.names
    head, task, options = None, TaskModel, {}
    if not without_head:
        head, more = find_head(checkpoint, heads.head_classes(kind, found.class_name), found.class_name)
        problems += more
    if head and head.endswith(heads.CLASSIFICATION):
        task, options, more = heads.read_classifier(checkpoint, kind, arguments)
        problems += more
    if head and head.endswith(heads.TOKENS):
        task, (options, more) = TokenClassifier, heads.read_token_classifier(checkpoint, kind, arguments)
        problems += more
    if head and head.endswith(heads.ANSWERS):
        task, (options, more) = QuestionAnswerer, heads.read_answerer(checkpoint, kind, arguments)
        problems += more
    if head and head.endswith((heads.PRETRAINING, heads.NEXT_SENTENCE)) and not arguments["pooler"]:
        problems.append("next-sentence prediction needs a pooler, which the checkpoint does not have")
    if problems:
        checkpoint.refuse(problems)
    model = backbone = found.make(**{**arguments, **kwargs})
    table = list(bert_tensors(backbone, found, prefix))
    words = False
    if head and head.endswith(heads.NEXT_SENTENCE):
        task = NextSentence
    if task is not TaskModel:
        model = task(backbone, **options, dtype=backbone.dtype_policy)
        table += heads.head_tensors(model, kind)
    elif head:
        # As in transformers, a separate output matrix is used even if the options say that it is tied.
        tied = config.get("tie_word_embeddings") is not False and checkpoint.is_copy(
            f"{heads.MASKED_LM_NAMES[kind]['output']}.weight", f"{prefix}embeddings.word_embeddings.weight"
        )
        words = True
        both = head.endswith(heads.PRETRAINING)
        model = MaskedLM(backbone, tie_output=tied, next_sentence=both, dtype=backbone.dtype_policy)
        bias = heads.output_bias_name(kind, tied=False)
        table += heads.masked_lm_tensors(model, kind, bias if bias in checkpoint.names else None)
    inside = ("embeddings.", "encoder.", "transformer.", "pooler.")

    def ignored(name):
        within = name.startswith(prefix) and name.removeprefix(prefix).startswith(inside)
        # Older versions saved position ids and segment ids among the weights.
        numbers = name in (f"{prefix}embeddings.position_ids", f"{prefix}embeddings.token_type_ids")
        return numbers or (without_head and not within) or (words and heads.is_unused(name, kind))

    checkpoint.assign(table, ignored)
    return model


def _read_attention_type(config: Mapping[str, Any], arguments: dict[str, Any]) -> list[str]:
    """Read BigBird's `attention_type` into the arguments, and list the problems."""
    attention_type = config.get("attention_type") or BIGBIRD_DEFAULTS["attention_type"]
    if attention_type not in ATTENTION_TYPES:
        known = ", ".join(map(repr, ATTENTION_TYPES))
        return [f"option attention_type={attention_type!r} is not supported (only {known})"]
    if not ATTENTION_TYPES[attention_type]:
        arguments["block_size"] = None
    return []


def bert_tensors(model: Bert, architecture: Architecture, prefix: str = "") -> Iterator[Tensor]:
    """Yield a model's variables with Hugging Face's tensor names, in the order of its checkpoints."""
    embeddings = f"{prefix}embeddings."
    yield Tensor(f"{embeddings}word_embeddings.weight", model.token_embedding.embeddings)
    yield Tensor(f"{embeddings}position_embeddings.weight", model.position_embedding.position_embeddings)
    if model.segment_embedding is not None:
        yield Tensor(f"{embeddings}token_type_embeddings.weight", model.segment_embedding.embeddings)
    yield from norm(f"{embeddings}LayerNorm", model.embedding_norm)
    for i, layer in enumerate(model.encoder_layers):
        for part, each in block_parts(layer).items():
            full = f"{prefix}{architecture.stack}.{i}.{architecture.layer[part]}"
            outputs = 2 if part in ("query", "key", "value") else 1
            yield from norm(full, each) if part.endswith("norm") else linear(full, each, outputs)
    if model.pooler_dense is not None:
        yield from linear(f"{prefix}{architecture.pooler}", model.pooler_dense)


def export_bert(model: Bert | TaskModel) -> tuple[dict[str, Any], list[Tensor]]:
    """Return Hugging Face's configuration and tensors of a model, with its head if it has one.

    Raises:
        PretrainedError: if Hugging Face has no such model.
    """
    backbone = model if isinstance(model, Bert) else model.backbone
    kind = "bert"
    if isinstance(backbone, BigBird):
        kind = "big_bird"
    elif backbone.segment_embedding is None and backbone.pooler_dense is None:
        kind = "distilbert"
    found = ARCHITECTURES[kind]
    config, problems = write_options(backbone.get_config(), found.options.arguments)
    if kind == "big_bird":
        sparse = backbone.block_size is not None
        config["attention_type"] = next(name for name, value in ATTENTION_TYPES.items() if value == sparse)
        config["block_size"] = backbone.block_size or BIGBIRD_DEFAULTS["block_size"]
    if not backbone.num_segments and kind != "distilbert":
        problems.append(f"a {found.class_name} without segments (`num_segments=0`)")
    if kind == "distilbert" and backbone.layer_norm_epsilon != 1e-12:
        problems.append(
            f"a DistilBertModel with `layer_norm_epsilon={backbone.layer_norm_epsilon}`, not 1e-12"
        )
    name = found.class_name
    if model is not backbone:
        name = name.removesuffix("Model") + heads.task_class(model)
    if isinstance(model, NextSentence):
        if kind != "bert" or tuple(model.labels) != LABELS:
            problems.append(f"a {name} with the labels {model.labels}, only a BertModel's with {LABELS}")
    elif model is not backbone:
        options, more = heads.write_head(model, kind)
        config, problems = {**config, **options}, problems + more
    refuse_to_save(problems)
    table = list(bert_tensors(backbone, found, "" if model is backbone else found.prefix))
    if isinstance(model, MaskedLM):
        table += heads.masked_lm_tensors(model, kind)
        own = heads.output_bias_name(kind, model.tie_output)
        if own not in {row.name for row in table}:
            table.append(Tensor(own, model.head.output_bias))
    elif model is not backbone:
        table += heads.head_tensors(model, kind)
    return {"architectures": [name], "model_type": kind, **config}, table


def block_parts(layer) -> dict[str, Any]:
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
