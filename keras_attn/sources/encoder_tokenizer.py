"""The tokenizer of an encoder, with the ids of its special tokens, read from the tokenizer itself."""

from typing import Any

from keras_attn.data.tokenizer_conversion import as_tokenizer
from keras_attn.device.text.tokenizer import EncoderTokenizer
from keras_attn.encoding import task_of
from keras_attn.errors import ArgumentError


def encoder_tokenizer(tokenizer: Any, model: Any) -> EncoderTokenizer:
    """Put the ids of an encoder's special tokens beside its tokenizer.

    Raises:
        ArgumentError: when the tokenizer does not enclose texts in special tokens, or does for GPT-2.
    """
    enclosing, wanted = len(tokenizer.encode("").ids), 0 if model.backbone.causal else 2
    # T5's texts only end with one, which `as_tokenizer` checks.
    if enclosing != wanted and not (wanted and enclosing == 1):
        raise ArgumentError(f"the tokenizer encloses a text in {enclosing} special tokens, not in {wanted}")
    tokenizer = as_tokenizer(tokenizer, task_of(model) or "", pad=model.backbone.pad_id)
    assert isinstance(tokenizer, EncoderTokenizer)
    return tokenizer
