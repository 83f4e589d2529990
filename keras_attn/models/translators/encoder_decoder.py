"""The base of translation models: one forward path and one step protocol."""

from types import MappingProxyType
from typing import Any

from keras import ops

from keras_attn.layers.argument_types import Inputs
from keras_attn.layers.masks import as_mask
from keras_attn.models.text_model import TextModel
from keras_attn.models.word_logits import WordScores


class EncoderDecoder(WordScores, TextModel):
    """A model that reads a source text and writes a target text token by token.

    A subclass defines `encode`, `decode`, `output_embeddings`, `start` and `read_token`; `call`, `logits` and
    `step` are written with them, so that training, evaluation and export share one forward path.
    The constructor sets `vocabulary_size`, and `max_sequence_length` if there is a limit, and ends with
    `self.build()`. `docs/own_translator.md` shows how to write one; it is exported as it is.

    Call arguments:
        inputs: dict of `encoder_token_ids` (B, S) int32, `decoder_token_ids` (B, T) int32 and, optionally,
            `encoder_padding_mask` (B, S) boolean, `True` where there is a token (by default: where the source
            is not `pad_id`), and `decoder_padding_mask` (B, T) boolean (by default all `True`: positions see
            only earlier ones, so padding after the text does not affect its logits).
        return_attention_scores: whether to return the attention over the source as well.

    Returns:
        Logits (B, T, V); with `return_attention_scores` also the weights (B, T, S), or `None` for a model
        without attention.
    """

    inputs_read = MappingProxyType(
        {
            "encoder_token_ids": ("int32", ("batch", "source_length")),
            "encoder_padding_mask": ("bool", ("batch", "source_length")),
            "decoder_token_ids": ("int32", ("batch", "target_length")),
            "decoder_padding_mask": ("bool", ("batch", "target_length")),
        }
    )
    inputs_required = ("encoder_token_ids", "decoder_token_ids")
    pad_id = 0
    xla_on_tensorflow = True

    def inputs_by_default(self):
        """Return the names of all inputs but the mask of the target, which is rarely needed."""
        return tuple(name for name in self.inputs_read if name != "decoder_padding_mask")

    def encode(self, source_ids, source_mask, training=None):
        """Encode the source.

        Args:
            source_ids: int32 tensor (B, S).
            source_mask: boolean tensor (B, S).
            training: whether dropout is active.

        Returns:
            Dict of tensors with leading dimension B: the memory that decoding reads.
        """
        raise NotImplementedError

    def decode(self, token_ids, memory, training=None, return_attention_scores=False, padding_mask=None):
        """Decode a whole target at once, each position seeing only those before it.

        Args:
            token_ids: int32 tensor (B, T), beginning with the start token.
            memory: what `encode` returned.
            training: whether dropout is active.
            return_attention_scores: whether the weights are wanted; fused kernels never form them.
            padding_mask: boolean tensor (B, T), target tokens that exist, or `None` for all.

        Returns:
            `(hidden, weights)`: (B, T, D) and (B, T, S), or `None` if unwanted or for a model without
            attention.
        """
        raise NotImplementedError

    def start(self, source_ids, source_mask, max_length):
        """Begin decoding.

        Args:
            source_ids: int32 tensor (B, S).
            source_mask: boolean tensor (B, S).
            max_length: int, number of steps that may follow.

        Returns:
            `(memory, state)`: two dicts of tensors with leading dimension B. The memory is constant, the
            state changes with each step.
        """
        raise NotImplementedError

    def build(self, input_shape=None):
        """Create the weights of all layers, by decoding two tokens; they must not depend on the lengths."""
        if not self.built:
            ids = ops.ones((1, 2), "int32")
            self.call({"encoder_token_ids": ids, "decoder_token_ids": ids})
            self.built = True

    def check_complete(self):
        """Check that the class has what translating needs.

        Raises:
            ArgumentError: names all that is missing.
        """
        self.check_defined(EncoderDecoder, "translate", "docs/own_translator.md")

    def hidden(self, inputs, training=None, return_attention_scores=False):
        """Run everything except the output layer: `((B, T, D), (B, T, S) or None)`."""
        memory = self.encode(inputs["encoder_token_ids"], self.source_mask(inputs), training=training)
        return self.decode(
            inputs["decoder_token_ids"],
            memory,
            training=training,
            return_attention_scores=return_attention_scores,
            padding_mask=inputs.get("decoder_padding_mask"),
        )

    def source_mask(self, inputs):
        """Return the mask (B, S) of the inputs, or else the source tokens that are not padding."""
        mask = inputs.get("encoder_padding_mask")
        if mask is None:
            return ops.not_equal(inputs["encoder_token_ids"], self.pad_id)
        return as_mask(mask, "encoder_padding_mask")

    def call(
        self, inputs: Inputs, training: bool | None = None, return_attention_scores: bool = False
    ) -> Any:
        """Compute the logits of every target position."""
        hidden, weights = self.hidden(inputs, training, return_attention_scores)
        logits = self.logits(hidden)
        return (logits, weights) if return_attention_scores else logits
