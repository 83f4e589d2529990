"""BigBird: BERT for long texts, by block-sparse attention."""

from typing import Any

import keras
from keras import ops

from keras_attn.errors import ArgumentError
from keras_attn.layers import BigBirdAttention, TransformerEncoder
from keras_attn.layers.argument_types import Activation
from keras_attn.models.backbones.bert import Bert


@keras.saving.register_keras_serializable("keras_attn")
class BigBirdEncoder(TransformerEncoder):
    """`TransformerEncoder` whose self-attention is `BigBirdAttention`.

    In evaluation every random block is block 0, as in Hugging Face's model and the published one, so that
    outputs do not depend on the random blocks of the training.

    Args:
        block_size: int, tokens per block.
        num_random_blocks: int, random blocks per query block.
        seed: int, decides the random blocks.
        intermediate_dim, num_heads and further arguments: as in `TransformerEncoder`.
    """

    def __init__(
        self, *args: Any, block_size: int = 64, num_random_blocks: int = 3, seed: int = 0, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.block_size = block_size
        self.num_random_blocks = num_random_blocks
        self.seed = seed

    def _build_attention(self, shape):
        blocks = {"block_size": self.block_size, "num_random_blocks": self.num_random_blocks}
        return self._attention(BigBirdAttention, "self_attention_layer", shape, seed=self.seed, **blocks)

    def _attend(self, x, padding_mask, attention_mask, training=None, **options):
        if attention_mask is not None:
            raise ArgumentError("`attention_mask` is not supported here; use `padding_mask`.")
        blocks = None if training else 0
        return self._self_attention_layer(
            x, padding_mask=padding_mask, random_blocks=blocks, training=training, **options
        )


@keras.saving.register_keras_serializable("keras_attn")
class BigBird(Bert):
    """BERT with block-sparse attention (Zaheer et al., 2020, arXiv:2007.14062): cost grows with T, not T².

    Up to `(5 + 2 * num_random_blocks) * block_size` tokens the attention is dense. The length of the texts
    must be known when the model is traced.

    Args:
        vocabulary_size: int, V.
        block_size: int, tokens per block; `None` for dense attention however long the text is.
        num_random_blocks: int, random blocks per query block.
        scale_embedding: whether token embeddings are multiplied by sqrt(D).
        max_sequence_length: int, maximum number of tokens.
        activation: name of the feed-forward networks' activation; the published one is the GELU by tanh.
        **kwargs: the further arguments of `Bert`.

    Call arguments:
        inputs: as for `Bert`.
        return_attention_scores: as for `Bert`; the weights are (T, T) matrices, zero where no block is seen.

    Returns:
        As `Bert`.
    """

    needs_known_lengths = True

    def __init__(
        self,
        vocabulary_size: int,
        block_size: int = 64,
        num_random_blocks: int = 3,
        scale_embedding: bool = False,
        max_sequence_length: int = 4096,
        activation: Activation = "gelu_approximate",
        **kwargs: Any,
    ) -> None:
        self.block_size = block_size
        self.num_random_blocks = num_random_blocks
        self.scale_embedding = scale_embedding
        super().__init__(
            vocabulary_size, max_sequence_length=max_sequence_length, activation=activation, **kwargs
        )

    def _encoder_layer(self, number, make=BigBirdEncoder, **options):
        if self.block_size is None:
            return super()._encoder_layer(number, **options)
        # Each layer has its own blocks, as published.
        blocks = {"block_size": self.block_size, "num_random_blocks": self.num_random_blocks, "seed": number}
        return super()._encoder_layer(number, make, **blocks, **options)

    def _embed_tokens(self, token_ids):
        x = super()._embed_tokens(token_ids)
        return x * ops.cast(self.hidden_dim**0.5, x.dtype) if self.scale_embedding else x
