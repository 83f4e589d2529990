"""RoBERTa, XLM-RoBERTa and CamemBERT: BERT with positions that are counted from behind the padding id."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from keras_attn.models import Bert
from keras_attn.pretrained.architectures.architecture import (
    HEAD_OPTIONS,
    ONLY,
    Architecture,
    ClassifierHead,
    MaskedLMHead,
)
from keras_attn.pretrained.architectures.encoders.bert import BERT_ARGUMENTS, BERT_DEFAULTS
from keras_attn.pretrained.options import OptionTable

DEFAULTS = {**BERT_DEFAULTS, "vocab_size": 50265, "pad_token_id": 1}
OTHER_DEFAULTS = {**DEFAULTS, "vocab_size": 30522}


def count_positions(config: Mapping[str, Any], arguments: dict[str, Any]) -> list[str]:
    """Read the offset of the positions, by which the table is longer than the longest text."""
    rows, pad_id = arguments.get("max_sequence_length"), arguments.get("pad_id")
    if not isinstance(rows, int) or not isinstance(pad_id, int):
        return [f"options max_position_embeddings={rows!r} and pad_token_id={pad_id!r} must be integers"]
    offset = pad_id + 1
    if rows <= offset:
        return [f"option max_position_embeddings={rows} must exceed pad_token_id={pad_id} by more than 1"]
    arguments |= {"position_offset": offset, "max_sequence_length": rows - offset}
    return []


def write_positions(model: Bert, config: dict[str, Any]) -> list[str]:
    """Write the number of rows of the position embeddings."""
    config["max_position_embeddings"] = model.max_sequence_length + model.position_offset
    if model.position_offset == model.pad_id + 1:
        return []
    return [f"positions from `position_offset={model.position_offset}` on with `pad_id={model.pad_id}`"]


MASKED_LM = MaskedLMHead(
    hidden="lm_head.dense",
    norm="lm_head.layer_norm",
    output="lm_head.decoder",
    bias="lm_head.bias",
    fixed={"hidden_activation": "gelu"},
)
ROBERTA = Architecture(
    Bert,
    "roberta",
    "RobertaModel",
    OptionTable(BERT_ARGUMENTS, DEFAULTS, HEAD_OPTIONS | {"classifier_dropout"}, ONLY),
    "roberta.",
    ClassifierHead(
        output="classifier.out_proj",
        hidden="classifier.dense",
        fixed={"pooling": "cls", "hidden_activation": "tanh"},
    ),
    (MASKED_LM,),
    written=frozenset({"position_offset"}),
    read=count_positions,
    write=write_positions,
)
XLM_ROBERTA = replace(
    ROBERTA,
    model_type="xlm-roberta",
    class_name="XLMRobertaModel",
    options=replace(ROBERTA.options, defaults=OTHER_DEFAULTS),
)
CAMEMBERT = replace(
    ROBERTA,
    model_type="camembert",
    class_name="CamembertModel",
    options=replace(ROBERTA.options, defaults=OTHER_DEFAULTS),
)
