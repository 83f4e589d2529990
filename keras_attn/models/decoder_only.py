"""The base of causal language models: one forward path and one step protocol."""

from types import MappingProxyType
from typing import Any

from keras import ops

from keras_attn.layers.argument_types import Inputs
from keras_attn.layers.masks import as_mask
from keras_attn.models.text_model import TextModel
from keras_attn.models.word_logits import WordScores


class DecoderOnly(WordScores, TextModel):
    """A model that continues a text token by token.

    A subclass defines `decode`, `output_embeddings`, `start` and `read_token`; `call`, `logits` and `step`
    are written with them, so that training, evaluation and export share one forward path. The constructor
    sets `vocabulary_size`, and `max_sequence_length` if there is a limit, and ends with `self.build()`.
    `docs/own_language_model.md` shows how to write one; it is exported as it is.

    Call arguments:
        inputs: dict of `token_ids` (B, T) int32 and, optionally, `padding_mask` (B, T) boolean, `True` where
            there is a token (by default everywhere: positions see only earlier ones, so padding after the
            text does not affect its logits).
        return_attention_scores: not supported here; a subclass may override `hidden`.

    Returns:
        Logits, float32 tensor (B, T, V), those at position t of the token at t + 1.
    """

    inputs_read = MappingProxyType(
        {"token_ids": ("int32", ("batch", "length")), "padding_mask": ("bool", ("batch", "length"))}
    )
    pad_id: int | None = None
    xla_on_tensorflow = True

    def decode(self, token_ids, padding_mask=None, training=None):
        """Read a whole text at once, each position seeing only those before it.

        Args:
            token_ids: int32 tensor (B, T).
            padding_mask: boolean tensor (B, T), tokens that exist, or `None` for all.
            training: whether dropout is active.

        Returns:
            Vectors (B, T, D).
        """
        raise NotImplementedError

    def start(self, token_ids, padding_mask, max_length):
        """Begin with a text; the first step takes the token after it.

        Args:
            token_ids: int32 tensor (B, S), all of a prompt but its last token, and padding after it.
            padding_mask: boolean tensor (B, S), `True` where there is a token; a text may have none.
            max_length: int, number of steps that may follow.

        Returns:
            `(memory, state)`: two dicts of tensors with leading dimension B. The memory is constant, the
            state changes with each step.
        """
        raise NotImplementedError

    def build(self, input_shape=None):
        """Create the weights of all layers, by reading two tokens; they must not depend on the length."""
        if not self.built:
            self.call({"token_ids": ops.ones((1, 2), "int32")})
            self.built = True

    def check_complete(self):
        """Check that the class has what continuing a text needs.

        Raises:
            ArgumentError: names all that is missing.
        """
        self.check_defined(DecoderOnly, "continue a text", "docs/own_language_model.md")

    def hidden(self, inputs, training=None, return_attention_scores=False):
        """Run everything except the output layer: `((B, T, D), None)`."""
        mask = inputs.get("padding_mask")
        mask = None if mask is None else as_mask(mask, "padding_mask")
        return self.decode(inputs["token_ids"], mask, training=training), None

    def call(
        self, inputs: Inputs, training: bool | None = None, return_attention_scores: bool = False
    ) -> Any:
        """Compute the logits of every position."""
        hidden, weights = self.hidden(inputs, training, return_attention_scores)
        logits = self.logits(hidden)
        return (logits, weights) if return_attention_scores else logits
