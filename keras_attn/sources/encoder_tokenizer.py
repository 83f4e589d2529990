"""The tokenizer of an encoder, with the ids of its special tokens, read from the tokenizer itself."""

import json
from typing import Any

from keras_attn.data.byte_tokenizer import GPT_TOKENS
from keras_attn.device.text.tokenizer import SPECIAL_ROLES, EncoderTokenizer
from keras_attn.encoding import task_of
from keras_attn.errors import ArgumentError

MASKS = ("[MASK]", "<mask>")


def unknown_id(tokenizer: Any) -> int | None:
    """Return the id of the token for what the vocabulary lacks; `None` where there is none."""
    model = json.loads(tokenizer.to_str())["model"]
    if model.get("unk_token") is None:
        return model.get("unk_id")
    return tokenizer.token_to_id(model["unk_token"])


def encoder_tokenizer(tokenizer: Any, model: Any) -> EncoderTokenizer:
    """Put the ids of an encoder's special tokens beside its tokenizer.

    Raises:
        ArgumentError: when the tokenizer does not enclose texts in special tokens, or does for GPT-2.
    """
    enclosing, wanted = tokenizer.encode("").ids, 0 if model.backbone.causal else 2
    if len(enclosing) != wanted:
        raise ArgumentError(
            f"the tokenizer encloses a text in {len(enclosing)} special tokens, not in {wanted}"
        )
    if not enclosing:
        # No text needs one; what fills a text up is never read.
        filler = (model.backbone.pad_id, tokenizer.token_to_id(GPT_TOKENS["end"]), 0)
        filler = next(token for token in filler if token is not None)
        return EncoderTokenizer(tokenizer, dict.fromkeys(SPECIAL_ROLES, filler))
    unknown = unknown_id(tokenizer)
    special = {added.content for added in tokenizer.get_added_tokens_decoder().values() if added.special}
    masks = [token for token in MASKS if token in special]
    special_ids = {
        "pad": model.backbone.pad_id,
        "start": enclosing[0],
        "end": enclosing[1],
        "unknown": enclosing[1] if unknown is None else unknown,
        **({"mask": tokenizer.token_to_id(masks[0])} if masks else {}),
    }
    return EncoderTokenizer(tokenizer, special_ids, written_specials=task_of(model) == "masked-lm")
