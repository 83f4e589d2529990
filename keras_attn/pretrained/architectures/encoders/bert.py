"""BERT, DistilBERT and BigBird."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from keras_attn.models import Bert, BigBird
from keras_attn.pretrained.architectures.architecture import (
    HEAD_OPTIONS,
    ONLY,
    POOLED,
    AnswerHead,
    Architecture,
    ClassifierHead,
    MaskedLMHead,
)
from keras_attn.pretrained.architectures.layer_tensors import bert_tensors
from keras_attn.pretrained.options import OptionTable

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
    "qa_dropout": 0.1,
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
# The original checkpoints predict masked tokens and next sentences.
BERT_MASKED_LM = MaskedLMHead(
    hidden="cls.predictions.transform.dense",
    norm="cls.predictions.transform.LayerNorm",
    output="cls.predictions.decoder",
    bias="cls.predictions.bias",
    next_sentence="cls.seq_relationship",
)


def _read_attention_type(config: Mapping[str, Any], arguments: dict[str, Any]) -> list[str]:
    """Read BigBird's `attention_type` into the arguments, and list the problems."""
    attention_type = config.get("attention_type") or BIGBIRD_DEFAULTS["attention_type"]
    if attention_type not in ATTENTION_TYPES:
        known = ", ".join(map(repr, ATTENTION_TYPES))
        return [f"option attention_type={attention_type!r} is not supported (only {known})"]
    if not ATTENTION_TYPES[attention_type]:
        arguments["block_size"] = None
    return []


def _write_attention_type(model: BigBird, config: dict[str, Any]) -> list[str]:
    sparse = model.block_size is not None
    config["attention_type"] = next(name for name, value in ATTENTION_TYPES.items() if value == sparse)
    config["block_size"] = model.block_size or BIGBIRD_DEFAULTS["block_size"]
    return []


BERT = Architecture(
    Bert,
    "bert",
    "BertModel",
    BERT_OPTIONS,
    "bert.",
    ClassifierHead(fixed=POOLED),
    (BERT_MASKED_LM,),
)
DISTILBERT = Architecture(
    Bert,
    "distilbert",
    "DistilBertModel",
    DISTILBERT_OPTIONS,
    "distilbert.",
    ClassifierHead(
        hidden="pre_classifier",
        dropout="seq_classif_dropout",
        fixed={"pooling": "cls", "hidden_activation": "relu"},
    ),
    (MaskedLMHead("vocab_transform", "vocab_layer_norm", "vocab_projector", "vocab_projector.bias"),),
    # One option is for this dropout and the encoder's.
    tokens=ClassifierHead(dropout=None),
    answers=AnswerHead(dropout="qa_dropout"),
    tensors=partial(bert_tensors, stack="transformer.layer", layer=DISTILBERT_LAYER),
    pooler=None,
    fixed={"num_segments": 0, "layer_norm_epsilon": 1e-12},
)
BIG_BIRD = Architecture(
    BigBird,
    "big_bird",
    "BigBirdModel",
    BIGBIRD_OPTIONS,
    "bert.",
    ClassifierHead(
        output="classifier.out_proj",
        hidden="classifier.dense",
        fixed={"pooling": "cls"},
        options={"hidden_activation": "hidden_act"},
    ),
    (BERT_MASKED_LM,),
    answers=AnswerHead(
        output="qa_classifier.qa_outputs",
        intermediate="qa_classifier.intermediate.dense",
        hidden="qa_classifier.output.dense",
        norm="qa_classifier.output.LayerNorm",
        dropout="hidden_dropout_prob",
    ),
    tensors=partial(bert_tensors, pooler="pooler"),
    pooler="pooler",
    read=_read_attention_type,
    write=_write_attention_type,
)
