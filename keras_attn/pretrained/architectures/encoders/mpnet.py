"""MPNet."""

from collections.abc import Iterator, Mapping
from typing import Any

from keras_attn.models import MPNet
from keras_attn.pretrained.architectures.architecture import (
    HEAD_OPTIONS,
    ONLY,
    Architecture,
    ClassifierHead,
)
from keras_attn.pretrained.architectures.encoders.bert import BERT_ARGUMENTS, BERT_DEFAULTS
from keras_attn.pretrained.architectures.encoders.roberta import MASKED_LM
from keras_attn.pretrained.architectures.layer_tensors import bert_tensors
from keras_attn.pretrained.checkpoint import Tensor
from keras_attn.pretrained.options import OptionTable

ARGUMENTS = {ours: theirs for ours, theirs in BERT_ARGUMENTS.items() if ours != "num_segments"}
DEFAULTS = {
    **BERT_DEFAULTS,
    "vocab_size": 30527,
    "pad_token_id": 1,
}
# transformers passes neither the number of buckets nor the padding on.
BUCKETS, OFFSET = 32, 2
LAYER = {
    "query": "attention.attn.q",
    "key": "attention.attn.k",
    "value": "attention.attn.v",
    "attention_output": "attention.attn.o",
    "attention_norm": "attention.LayerNorm",
    "intermediate": "intermediate.dense",
    "output": "output.dense",
    "output_norm": "output.LayerNorm",
}


def _read(config: Mapping[str, Any], arguments: dict[str, Any]) -> list[str]:
    rows = arguments.get("max_sequence_length")
    if not isinstance(rows, int) or rows <= OFFSET:
        return [f"option max_position_embeddings={rows!r} must be an integer above {OFFSET}"]
    arguments["max_sequence_length"] = rows - OFFSET
    return []


def _write(model: MPNet, config: dict[str, Any]) -> list[str]:
    config["max_position_embeddings"] = model.max_sequence_length + OFFSET
    config["relative_attention_num_buckets"] = BUCKETS
    return []


def _tensors(model: MPNet, prefix: str) -> Iterator[Tensor]:
    yield from bert_tensors(model, prefix, layer=LAYER)
    yield Tensor(f"{prefix}encoder.relative_attention_bias.weight", model.position_bias.table.embeddings)


MPNET = Architecture(
    MPNet,
    "mpnet",
    "MPNetModel",
    OptionTable(
        ARGUMENTS,
        DEFAULTS,
        HEAD_OPTIONS,
        {**ONLY, "relative_attention_num_buckets": BUCKETS},
        # There are no segments.
        frozenset({"type_vocab_size"}),
    ),
    "mpnet.",
    ClassifierHead(
        output="classifier.out_proj",
        hidden="classifier.dense",
        dropout="hidden_dropout_prob",
        fixed={"pooling": "cls", "hidden_activation": "tanh"},
    ),
    (MASKED_LM,),
    tokens=ClassifierHead(dropout="hidden_dropout_prob"),
    tensors=_tensors,
    fixed={"num_segments": 0, "position_offset": OFFSET, "num_buckets": BUCKETS},
    read=_read,
    write=_write,
    needs_segments=False,
)
