"""Words behind masks: an encoder and a head, tied to its word vectors unless asked."""

import keras
from keras import ops

from keras_attn.layers import MaskedLMHead
from keras_attn.models.bert import initializer
from keras_attn.models.over_backbone import OverBackbone


@keras.saving.register_keras_serializable("keras_attn")
class MaskedLM(OverBackbone):
    """Masked language model (Devlin et al., 2019, section 3.1, task 1), the output tied to the word vectors.

    Args:
        backbone: `Bert` or `BigBird`.
        tie_output: whether the output layer is the table of word vectors, or has a matrix of its own.

    Call arguments:
        inputs: as for the backbone; `mask_positions` (B, M) int32, where it is there, are the positions to
            predict.

    Returns:
        Logits, float tensor (B, M, V), or (B, T, V) of all positions without `mask_positions`.
    """

    def __init__(self, backbone, tie_output=True, **kwargs):
        super().__init__(backbone, **kwargs)
        self.tie_output = tie_output
        self.head = MaskedLMHead(
            vocabulary_size=backbone.vocabulary_size,
            token_embedding=backbone.token_embedding if tie_output else None,
            intermediate_activation=backbone.activation,
            layer_norm_epsilon=backbone.layer_norm_epsilon,
            kernel_initializer=initializer(),
            dtype=self.dtype_policy,
            name="head",
        )
        self.build()

    def build(self, input_shape=None):
        """Create all weights; their shapes depend on the configuration alone."""
        if self.built:
            return
        self.head.build((None, None, self.backbone.hidden_dim))
        self.built = True

    @property
    def output_embeddings(self):
        """Output matrix (V, D) and bias (V,)."""
        if self.tie_output:
            return ops.convert_to_tensor(self.backbone.token_embedding.embeddings), self.head.output_bias
        return ops.transpose(self.head.output_kernel), self.head.output_bias

    def hidden(self, inputs, training=None):
        """Run everything but the output layer: `((B, M, D), None)`, no attention is formed."""
        return self.head.transform(*self._encoded(inputs, training)), None

    def call(self, inputs, training=None):
        """Score the vocabulary at the masks, or everywhere."""
        return self.head(*self._encoded(inputs, training))

    def _encoded(self, inputs, training):
        """Give the backbone's output (B, T, D) and the positions to predict (B, M)."""
        inputs = dict(inputs)
        positions = inputs.pop("mask_positions", None)
        x = self.backbone(inputs, training=training)["sequence_output"]  # (B, T, D)
        if positions is None:
            everywhere = ops.expand_dims(ops.arange(x.shape[1], dtype="int32"), 0)
            positions = ops.broadcast_to(everywhere, (ops.shape(x)[0], x.shape[1]))
        return x, positions

    def get_config(self):
        """Give the constructor's arguments."""
        return {**super().get_config(), "tie_output": self.tie_output}
