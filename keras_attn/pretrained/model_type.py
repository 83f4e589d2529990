"""The architecture of a checkpoint, also if config.json does not name it."""

from collections.abc import Mapping
from typing import Any

# Prefixes of the architectures' class names.
CLASSES = {
    "Bert": "bert",
    "DistilBert": "distilbert",
    "BigBird": "big_bird",
    "Roberta": "roberta",
    "XLMRoberta": "xlm-roberta",
    "Camembert": "camembert",
    "Electra": "electra",
    "MPNet": "mpnet",
    "Albert": "albert",
    "DebertaV2": "deberta-v2",
    "ModernBert": "modernbert",
    "NomicBert": "nomic_bert",
    "GPT2": "gpt2",
    "MarianMT": "marian",
    "Marian": "marian",
    "Bart": "bart",
    "MBart": "mbart",
    "M2M100": "m2m_100",
    "Pegasus": "pegasus",
    "T5": "t5",
    "MT5": "mt5",
    "UMT5": "umt5",
}
# Options that identify an architecture; Google's configurations of BERT have only these.
KEYS = {
    "big_bird": ("block_size", "num_random_blocks", "hidden_size"),
    "albert": ("inner_group_num", "num_hidden_groups", "embedding_size"),
    "mpnet": ("relative_attention_num_buckets", "hidden_size"),
    "deberta-v2": ("pos_att_type", "position_buckets"),
    "modernbert": ("local_attention", "hidden_activation"),
    "distilbert": ("dim", "n_layers", "n_heads", "hidden_dim"),
    "gpt2": ("n_embd", "n_layer", "n_head"),
    "marian": ("d_model", "encoder_layers", "decoder_layers", "share_encoder_decoder_embeddings"),
    "bert": ("hidden_size", "num_hidden_layers", "type_vocab_size", "hidden_act"),
}
# RoBERTa has the options and tensors of BERT, but offsets its positions by its padding id, which is 1.
PADDING = 0
SUFFIXES = ("Model", "EncoderModel", "For", "LMHead", "DoubleHeads")


def model_type_of(config: Mapping[str, Any]) -> str | None:
    """Return the architecture, from `model_type` or else from class names or options.

    Returns:
        Hugging Face's `model_type`, or `None` if it cannot be determined.
    """
    named = config.get("model_type")
    classes = config.get("architectures") or []
    if named is not None or not isinstance(classes, list):
        return named
    if classes:
        return _of_class(str(classes[0]))
    found = next((kind for kind, keys in KEYS.items() if all(key in config for key in keys)), None)
    return None if found == "bert" and config.get("pad_token_id") not in (None, PADDING) else found


def _of_class(name: str) -> str | None:
    for start, kind in CLASSES.items():
        if name.startswith(start) and name.removeprefix(start).startswith(SUFFIXES):
            return kind
    return None
