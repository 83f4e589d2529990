"""Causal language models: a decoder-only backbone and an output layer tied to the token embeddings."""

from typing import Any

import keras
from keras import ops

from keras_attn.models.backbones.gpt2 import initializer
from keras_attn.models.decoder_only import DecoderOnly
from keras_attn.models.tasks.task_model import TaskModel


@keras.saving.register_keras_serializable("keras_attn")
class CausalLM(TaskModel, DecoderOnly):
    """Causal language model (Radford et al., 2019), with the step protocol of the search.

    Args:
        backbone: `GPT2`.
        tie_output: whether the output layer is the table of token embeddings (Press and Wolf, 2017).

    Call arguments:
        inputs: as for the backbone.
        return_attention_scores: whether to return the weights of every layer as well.

    Returns:
        Logits, float32 tensor (B, T, V), those at position t of the token at t + 1; with
        `return_attention_scores` also the weights (L, B, H, T, T).
    """

    def __init__(self, backbone: keras.Model, tie_output: bool = True, **kwargs: Any) -> None:
        super().__init__(backbone, **kwargs)
        self.tie_output = tie_output
        self.build()

    def build(self, input_shape=None):
        """Create all weights; their shapes depend only on the configuration."""
        if self.built:
            return
        if not self.tie_output:
            self.output_matrix = self.add_weight(
                shape=(self.backbone.vocabulary_size, self.backbone.hidden_dim),
                initializer=initializer(),
                name="output_matrix",
            )
        self.built = True

    @property
    def output_embeddings(self):
        """Return the output matrix (V, D), and `None` for the bias."""
        if self.tie_output:
            return self.backbone.output_embeddings
        return ops.convert_to_tensor(self.output_matrix), None

    def hidden(self, inputs, training=None, return_attention_scores=False):
        """Run everything except the output layer: `((B, T, D), (L, B, H, T, T) or None)`."""
        outputs = self.backbone(inputs, training=training, return_attention_scores=return_attention_scores)
        return outputs["sequence_output"], outputs.get("attention_scores")

    @property
    def vocabulary_size(self):
        """Number of tokens."""
        return self.backbone.vocabulary_size

    @property
    def caches(self):
        """Those of the backbone."""
        return self.backbone.caches

    def start(self, token_ids, padding_mask, max_length):
        """Fill the caches with the beginning of a text, as `GPT2.start`."""
        return self.backbone.start(token_ids, padding_mask, max_length)

    def read_token(self, tokens, memory, state):
        """Read one token per row; return vectors (R, D), `None`, and the new state."""
        return self.backbone.read_token(tokens, memory, state)
