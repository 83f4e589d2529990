"""Which architecture a folder's model has, where config.json does not say it."""

from collections.abc import Mapping
from typing import Any

# What the names of an architecture's classes begin with.
CLASSES = {
    "Bert": "bert",
    "DistilBert": "distilbert",
    "BigBird": "big_bird",
    "GPT2": "gpt2",
    "MarianMT": "marian",
    "Marian": "marian",
}
# Options that only one architecture has all of; Google's configuration of BERT has no others than these.
KEYS = {
    "big_bird": ("block_size", "num_random_blocks", "hidden_size"),
    "distilbert": ("dim", "n_layers", "n_heads", "hidden_dim"),
    "gpt2": ("n_embd", "n_layer", "n_head"),
    "marian": ("d_model", "encoder_layers", "decoder_layers", "share_encoder_decoder_embeddings"),
    "bert": ("hidden_size", "num_hidden_layers", "type_vocab_size", "hidden_act"),
}
# RoBERTa has the options and tensors of BERT, but counts its positions from behind padding, which is 1 there.
PADDING = 0
SUFFIXES = ("Model", "For", "LMHead", "DoubleHeads")


def model_type_of(config: Mapping[str, Any]) -> str | None:
    """Return the architecture by `model_type`, or else by the classes or the options that are there.

    Returns:
        Hugging Face's `model_type`, or `None` if nothing tells it.
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
