"""Signatures from text to result: tensorflow-text's tokenizer before the graph of an encoder.

`text_T` takes `text`, one string, and returns the outputs of `encode_T` and the `token_ids` (1, T). A text of
more than T tokens is truncated as by Hugging Face: the last token stays the end token.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_text  # pyright: ignore[reportMissingImports]  # the `text` extra
import tokenizers
from tensorflow_text.core.pybinds import pywrap_fast_wordpiece_tokenizer_model_builder as builder  # pyright: ignore[reportMissingImports]  # the `text` extra

from keras_attn_export.buckets import Bucket
from keras_attn_export.graph_tokenizer.character_table import character_table
from keras_attn_export.graph_tokenizer.word_pieces import SUFFIX, read_word_pieces
from keras_attn_export.lowering.base import Signature


class GraphTokenizer:
    """A tokenizer as TensorFlow operators.

    Args:
        tokenizer: content of a tokenizer.json that `word_pieces.refusals` does not refuse.
        special_ids: ids of `pad`, `start` and `end`.
    """

    def __init__(self, tokenizer: str, special_ids: Mapping[str, int]) -> None:
        tables = read_word_pieces(tokenizers.Tokenizer.from_str(tokenizer))
        pieces = builder.build_fast_wordpiece_model(
            tables.vocabulary, tables.longest_word, SUFFIX, tables.unknown, False, False
        )
        self._special_ids = special_ids
        self.tables = [_bytes(character_table(tables.replacements)), _bytes(pieces)]

    def __call__(self, text: Any, length: int) -> tuple[Any, Any]:
        """Turn text (1,) into token_ids (1, length) int32 and padding_mask (1, length) float32."""
        characters, pieces = (tf.convert_to_tensor(table) for table in self.tables)
        normalizer = tensorflow_text.FastBertNormalizer(model_buffer=characters)
        splitter = tensorflow_text.FastWordpieceTokenizer(token_out_type=tf.int32, model_buffer=pieces)
        ids = splitter.tokenize(normalizer.normalize(text)).flat_values[: length - 2]
        ids = tf.concat([[self._special_ids["start"]], ids, [self._special_ids["end"]]], 0)  # (N,)
        count = tf.shape(ids)[0]
        padding: Any = [[0, length - count]]
        ids = tf.pad(ids, padding, constant_values=self._special_ids["pad"])
        mask = tf.cast(tf.range(length) < count, tf.float32)
        return tf.reshape(ids, [1, length]), tf.reshape(mask, [1, length])


def text_signatures(
    signatures: Mapping[str, Signature], buckets: Sequence[Bucket], tokenizer: GraphTokenizer
) -> dict[str, Signature]:
    """Build `text_T` for each length, over the signature that encodes it."""

    def signature(bucket: Bucket) -> Signature:
        encode = signatures[bucket.encode].function

        def function(text: Any) -> dict[str, Any]:
            ids, mask = tokenizer(text, bucket.source)
            return {"token_ids": ids, **encode(token_ids=ids, padding_mask=mask)}

        return Signature(function, {"text": ((1,), tf.string)}, tokenizer.tables)

    return {bucket.text: signature(bucket) for bucket in buckets}


def _bytes(table: bytes) -> Any:
    return tf.Variable(tf.constant(np.frombuffer(table, np.uint8)), trainable=False)
