"""One vector per text: an encoder, pooling and normalization."""

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from keras_attn.errors import ArgumentError
from keras_attn.layers.argument_types import Inputs
from keras_attn.models.tasks.task_model import POOLING, TaskModel, check_pooling, padding_mask_or_ones, pool

__all__ = ["POOLING", "TextEmbedder"]

SIMILARITIES = ("cosine", "dot", "euclidean", "manhattan")


@keras.saving.register_keras_serializable("keras_attn")
class TextEmbedder(TaskModel):
    """Sentence embeddings (Reimers and Gurevych, 2019, arXiv:1908.10084, section 3).

    Args:
        backbone: `Bert` or another encoder, or `GPT2`.
        pooling: `"mean"` of the tokens that exist, `"mean_sqrt_len"` (their sum by the root of their number),
            `"max"`, `"cls"`, the first token's vector, or `"last"`, that of the last token that exists.
        normalize: whether vectors are scaled to length 1, so that their dot product is their cosine.
        dimensions: int, number of a vector's first values that are kept, after normalization
            (Kusupati et al., 2022, arXiv:2205.13147); by default all.
        prompts: dict of str, prefixes of texts by name, such as `{"query": "query: "}`. The model does not
            compute with them: they are added to texts before tokenization.
        default_prompt: str, name of the prompt that is used by default.
        similarity: how vectors are compared: `"cosine"`, `"dot"`, `"euclidean"` or `"manhattan"`.

    Call arguments:
        inputs: as for the backbone.

    Returns:
        float tensor (B, D), or (B, `dimensions`).

    Raises:
        ArgumentError: if `pooling` is unknown, or `"cls"` over a causal backbone; if `dimensions` is too
            large, `default_prompt` is not among the `prompts`, or `similarity` is unknown.
    """

    def __init__(
        self,
        backbone: keras.Model,
        pooling: str = "mean",
        normalize: bool = True,
        dimensions: int | None = None,
        prompts: Mapping[str, str] | None = None,
        default_prompt: str | None = None,
        similarity: str = "cosine",
        **kwargs: Any,
    ) -> None:
        super().__init__(backbone, **kwargs)
        check_pooling(pooling, backbone)
        if dimensions is not None and not 1 <= dimensions <= backbone.hidden_dim:
            raise ArgumentError(f"`dimensions` must be from 1 to {backbone.hidden_dim}, got {dimensions!r}.")
        if default_prompt is not None and default_prompt not in (prompts or {}):
            raise ArgumentError(
                f"`default_prompt` must name one of {sorted(prompts or {})}, got {default_prompt!r}."
            )
        if similarity not in SIMILARITIES:
            raise ArgumentError(f"`similarity` must be one of {SIMILARITIES}, got {similarity!r}.")
        self.pooling = pooling
        self.normalize = normalize
        self.dimensions = dimensions
        self.prompts = dict(prompts or {})
        self.default_prompt = default_prompt
        self.similarity = similarity
        self.built = True

    def call(self, inputs: Inputs, training: bool | None = None) -> Any:
        """Embed each text."""
        mask = padding_mask_or_ones(self.backbone, inputs)
        outputs = self.backbone({**inputs, "padding_mask": mask}, training=training)
        x = pool(outputs["sequence_output"], mask, self.pooling)  # (B, D)
        if self.normalize:
            wide = ops.cast(x, "float32")  # squares overflow in half precision
            length = ops.sqrt(ops.sum(ops.square(wide), axis=-1, keepdims=True))
            x = ops.cast(wide / ops.maximum(length, 1e-12), x.dtype)
        return x[:, : self.dimensions]

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "prompts": dict(self.prompts)}
