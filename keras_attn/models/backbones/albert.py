"""ALBERT: BERT whose layers share their weights."""

from typing import Any

import keras

from keras_attn.errors import ArgumentError
from keras_attn.layers.argument_types import Activation
from keras_attn.models.backbones.bert import Bert


@keras.saving.register_keras_serializable("keras_attn")
class Albert(Bert):
    """BERT with small embeddings and shared layers (Lan et al., 2020, arXiv:1909.11942, section 3.1).

    Args:
        vocabulary_size: int, V.
        num_layers: int, L, how many times a group of layers is computed.
        num_groups: int, groups with weights of their own; consecutive layers share one.
        layers_per_group: int, layers of each group, so that there are L times as many.
        embedding_dim: int E, size of the embeddings, which a dense layer projects to D.
        activation: name of the feed-forward networks' activation; the published one is the GELU by tanh.
        **kwargs: the further arguments of `Bert`.

    Call arguments:
        inputs, return_attention_scores: as for `Bert`.

    Returns:
        As `Bert`.

    Raises:
        ArgumentError: if `num_groups` is not from 1 to `num_layers`, or as `Bert`.
    """

    def __init__(
        self,
        vocabulary_size: int,
        num_layers: int = 12,
        num_groups: int = 1,
        layers_per_group: int = 1,
        embedding_dim: int = 128,
        activation: Activation = "gelu_approximate",
        **kwargs: Any,
    ) -> None:
        if not 1 <= num_groups <= num_layers:
            raise ArgumentError(f"`num_groups` must be from 1 to {num_layers}, got {num_groups}.")
        self.num_groups = num_groups
        self.layers_per_group = layers_per_group
        super().__init__(
            vocabulary_size, num_layers, embedding_dim=embedding_dim, activation=activation, **kwargs
        )

    def _encoder_layers(self):
        return [self._encoder_layer(i) for i in range(self.num_groups * self.layers_per_group)]

    def _layers_in_order(self):
        size = self.layers_per_group
        groups = [int(i / (self.num_layers / self.num_groups)) for i in range(self.num_layers)]
        return [layer for group in groups for layer in self.encoder_layers[group * size : (group + 1) * size]]
