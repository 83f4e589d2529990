"""One vector per text: an encoder, pooling and normalization."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from keras_attn.errors import ArgumentError
from keras_attn.layers.argument_types import Inputs
from keras_attn.layers.gelu import activation_named
from keras_attn.models.backbones.bert import initializer
from keras_attn.models.tasks.task_model import POOLING, TaskModel, check_pooling, padding_mask_or_ones, pool

__all__ = ["POOLING", "TextEmbedder"]

SIMILARITIES = ("cosine", "dot", "euclidean", "manhattan")


@keras.saving.register_keras_serializable("keras_attn")
class TextEmbedder(TaskModel):
    """Sentence embeddings (Reimers and Gurevych, 2019, arXiv:1908.10084, section 3).

    Args:
        backbone: `Bert` or another encoder, or `GPT2`.
        pooling: `"mean"` of the tokens that exist, `"mean_sqrt_len"` (their sum by the root of their number),
            `"weighted_mean"`, where the i-th token counts i times, `"max"`, `"cls"`, the first token's
            vector, or `"last"`, that of the last token that exists; or a list of these, whose vectors are
            concatenated.
        normalize: whether vectors are scaled to length 1, so that their dot product is their cosine.
        dimensions: int, number of a vector's first values that are kept, after normalization
            (Kusupati et al., 2022, arXiv:2205.13147); by default all.
        prompts: dict of str, prefixes of texts by name, such as `{"query": "query: "}`. The model does not
            compute with them: they are added to texts before tokenization.
        default_prompt: str, name of the prompt that is used by default.
        similarity: how vectors are compared: `"cosine"`, `"dot"`, `"euclidean"` or `"manhattan"`.
        dense: list of dicts of `units`, `activation` (a name) and `use_bias`, of dense layers between pooling
            and normalization, as LaBSE's (Feng et al., 2022, arXiv:2007.01852).

    Call arguments:
        inputs: as for the backbone.

    Returns:
        float tensor (B, `output_dim`), or (B, `dimensions`).

    Raises:
        ArgumentError: if `pooling` is unknown, or `"cls"` over a causal backbone; if `dimensions` is too
            large, `default_prompt` is not among the `prompts`, or `similarity` is unknown.
    """

    def __init__(
        self,
        backbone: keras.Model,
        pooling: str | Sequence[str] = "mean",
        normalize: bool = True,
        dimensions: int | None = None,
        prompts: Mapping[str, str] | None = None,
        default_prompt: str | None = None,
        similarity: str = "cosine",
        dense: Sequence[Mapping[str, Any]] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(backbone, **kwargs)
        modes = [pooling] if isinstance(pooling, str) else list(pooling)
        for mode in modes:
            check_pooling(mode, backbone)
        if not modes:
            raise ArgumentError("`pooling` must name one way or more, got none.")
        self.dense = [dict(each) for each in dense]
        self.output_dim = self.dense[-1]["units"] if self.dense else len(modes) * backbone.hidden_dim
        if dimensions is not None and not 1 <= dimensions <= self.output_dim:
            raise ArgumentError(f"`dimensions` must be from 1 to {self.output_dim}, got {dimensions!r}.")
        if default_prompt is not None and default_prompt not in (prompts or {}):
            raise ArgumentError(
                f"`default_prompt` must name one of {sorted(prompts or {})}, got {default_prompt!r}."
            )
        if similarity not in SIMILARITIES:
            raise ArgumentError(f"`similarity` must be one of {SIMILARITIES}, got {similarity!r}.")
        self.pooling = modes[0] if len(modes) == 1 else modes
        self.normalize = normalize
        self.dimensions = dimensions
        self.prompts = dict(prompts or {})
        self.default_prompt = default_prompt
        self.similarity = similarity
        self.dense_layers = [
            keras.layers.Dense(
                each["units"],
                activation=activation_named(each["activation"]),
                use_bias=each["use_bias"],
                kernel_initializer=initializer(),
                dtype=self.dtype_policy,
                name=f"dense_{number}",
            )
            for number, each in enumerate(self.dense)
        ]
        self.build()

    def build(self, input_shape=None):
        """Create the weights of the dense layers; their shapes depend only on the configuration."""
        if self.built:
            return
        modes = 1 if isinstance(self.pooling, str) else len(self.pooling)
        width = modes * self.backbone.hidden_dim
        for layer in self.dense_layers:
            layer.build((None, width))
            width = layer.units
        self.built = True

    def call(self, inputs: Inputs, training: bool | None = None) -> Any:
        """Embed each text."""
        mask = padding_mask_or_ones(self.backbone, inputs)
        outputs = self.backbone({**inputs, "padding_mask": mask}, training=training)
        modes = [self.pooling] if isinstance(self.pooling, str) else self.pooling
        pooled = [pool(outputs["sequence_output"], mask, mode) for mode in modes]
        x = pooled[0] if len(pooled) == 1 else ops.concatenate(pooled, axis=-1)  # (B, modes · D)
        for layer in self.dense_layers:
            x = layer(x)
        if self.normalize:
            wide = ops.cast(x, "float32")  # squares overflow in half precision
            squares = ops.sum(ops.square(wide), axis=-1, keepdims=True)
            # The maximum first: a root has no gradient at 0, the vector of a row without tokens.
            x = ops.cast(wide / ops.sqrt(ops.maximum(squares, 1e-24)), x.dtype)
        return x[:, : self.dimensions]

    def get_config(self):
        """Return the constructor's arguments."""
        own = {"prompts": dict(self.prompts), "dense": [dict(each) for each in self.dense]}
        return {**super().get_config(), **own}
