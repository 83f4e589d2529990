"""The additive attention of Bahdanau, Cho and Bengio."""

from typing import Any

import keras
from keras import ops

from keras_attn.errors import ArgumentError
from keras_attn.layers.argument_types import Initializer, Tensor
from keras_attn.layers.checked_layer import CheckedLayer, check_axes
from keras_attn.layers.clone_initializer import clone_initializer
from keras_attn.layers.dropout import Dropout
from keras_attn.layers.masks import attention_mask_for, masked_softmax, merge_masks
from keras_attn.layers.output_specs import traced_spec


def additive_scores(query: Tensor, keys: Tensor, vector: Tensor) -> Tensor:
    """Score every query against every key: v · tanh(query + key).

    Args:
        query: projected queries W s, float tensor (B, T, U).
        keys: projected keys U h, float tensor (B, S, U).
        vector: v, float tensor (U,).

    Returns:
        float32 tensor (B, T, S).
    """
    query, keys = ops.expand_dims(query, 2), ops.expand_dims(keys, 1)  # (B, T, 1, U), (B, 1, S, U)
    return ops.cast(ops.sum(ops.tanh(query + keys) * vector, axis=-1), "float32")


@keras.saving.register_keras_serializable("keras_attn")
class BahdanauAttention(CheckedLayer):
    r"""Additive attention with learned projections, as published.

    $$e_{ij} = v^\top \tanh(W s_{i-1} + U h_j), \quad \alpha_{ij} = \mathrm{softmax}_j(e_{ij}), \quad
    c_i = \sum_j \alpha_{ij} h_j$$

    Bahdanau, Cho and Bengio, 2015, "Neural Machine Translation by Jointly Learning to Align and Translate"
    (arXiv:1409.0473), section 3.1 and appendix A.1.2. Unlike `keras.layers.AdditiveAttention` it owns W, U
    and v, so queries and keys may differ in depth, and `U h` is computed once per sentence by `project_keys`.

    Args:
        units: int, size U of the hidden layer that compares a query with a key.
        use_bias: whether that layer has a bias (the paper's has none).
        dropout: float, dropout on the attention weights.
        kernel_initializer: initializer of W, U and v.

    Call arguments:
        inputs: `[query, value]` or `[query, value, key]`: query (B, Dq) for one step or (B, T, Dq), value
            (B, S, Dv), key (B, S, Dk), by default `value`.
        mask: `[query_mask, value_mask]`, boolean (B, T) and (B, S), or with a third one for the key; each may
            be `None`. `True` means attend; those of value and key are intersected. The query's mask is
            passed on, but does not affect the scores.
        projected_keys: float tensor (B, S, U) from `project_keys`, to reuse it step by step.
        return_attention_scores: whether to return the weights as well.
        use_causal_mask: whether a query sees only values up to its own position.

    Returns:
        The context (B, Dv) or (B, T, Dv), and with `return_attention_scores` the weights (B, S) or (B, T, S).

    Raises:
        ArgumentError: if `units` is not positive, if `inputs` is not a list of two or three tensors, if
            `mask` is not a list of as many or one has a wrong shape, or if `projected_keys` has another
            depth than `units`.

    Example:
        ```python
        import numpy as np
        from keras_attn.layers import BahdanauAttention

        states, annotations = np.ones((2, 3, 16)), np.ones((2, 5, 32))
        layer = BahdanauAttention(64)
        context, weights = layer([states, annotations], return_attention_scores=True)  # (2, 3, 32), (2, 3, 5)
        keys = layer.project_keys(annotations)  # once per sentence
        context = layer([states[:, 0], annotations], projected_keys=keys)  # (2, 32)
        ```
    """

    def __init__(
        self,
        units: int,
        use_bias: bool = False,
        dropout: float = 0.0,
        kernel_initializer: Initializer = "glorot_uniform",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if units <= 0:
            raise ArgumentError(f"`units` must be positive, got {units}.")
        self.supports_masking = True
        self.units = units
        self.use_bias = use_bias
        self.dropout = dropout
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape):
        """Create W, U and v."""
        query_shape, value_shape, key_shape = self._split(input_shape, "shapes")
        del value_shape
        initializer = self.kernel_initializer
        self.query_kernel = self.add_weight(
            shape=(query_shape[-1], self.units),
            initializer=clone_initializer(initializer),
            name="query_kernel",
        )
        self.key_kernel = self.add_weight(
            shape=(key_shape[-1], self.units), initializer=clone_initializer(initializer), name="key_kernel"
        )
        self.score_vector = self.add_weight(
            shape=(self.units, 1), initializer=clone_initializer(initializer), name="score_vector"
        )
        self.bias = (
            self.add_weight(shape=(self.units,), initializer="zeros", name="bias") if self.use_bias else None
        )
        self.dropout_layer = Dropout(self.dropout, dtype=self.dtype_policy, name="dropout")
        self.built = True

    def _split(self, inputs, what="tensors"):
        several = isinstance(inputs, (list, tuple)) and not isinstance(inputs[0], (int, type(None)))
        if not several or len(inputs) not in (2, 3):
            raise ArgumentError(
                f"`inputs` must be a list of two or three {what}: [query, value] or [query, value, key]."
            )
        query, value = inputs[:2]
        return query, value, (inputs[2] if len(inputs) == 3 else value)

    def project_keys(self, keys):
        """Compute U h for (B, S, Dk) keys, once per sentence: (B, S, U)."""
        # In the compute dtype outside of calls as well: decoding projects the keys before it calls the layer.
        kernel = ops.cast(self.key_kernel, self.compute_dtype)
        projected = ops.matmul(ops.cast(keys, self.compute_dtype), kernel)
        return projected if self.bias is None else projected + ops.cast(self.bias, self.compute_dtype)

    def call(
        self,
        inputs: Tensor,
        mask: Tensor = None,
        projected_keys: Tensor = None,
        return_attention_scores: bool = False,
        training: bool | None = None,
        use_causal_mask: bool = False,
    ) -> Any:
        """Attend from the queries to the values."""
        query, value, key = self._split(inputs)
        check_axes("BahdanauAttention", "value", value, ("batch", "length", "depth"))
        single_step = len(query.shape) == 2
        if single_step:
            query = ops.expand_dims(query, 1)  # (B, 1, Dq)
        if projected_keys is None:
            projected_keys = self.project_keys(key)
        elif projected_keys.shape[-1] != self.units:
            raise ArgumentError(
                f"`projected_keys` must have the depth `units`={self.units}, got shape "
                f"{tuple(projected_keys.shape)}: make them with `project_keys`."
            )
        scores = additive_scores(
            ops.matmul(query, self.query_kernel), projected_keys, self.score_vector[:, 0]
        )
        allowed = attention_mask_for(
            key_mask=self._key_mask(mask),
            causal=use_causal_mask,
            query_length=ops.shape(query)[1],
            key_length=ops.shape(value)[1],
        )
        weights = ops.cast(masked_softmax(scores, allowed), value.dtype)  # (B, T, S)
        context = ops.matmul(self.dropout_layer(weights, training=training), value)  # (B, T, Dv)
        if single_step:
            context, weights = context[:, 0], weights[:, 0]
        return (context, weights) if return_attention_scores else context

    def _key_mask(self, mask):
        if mask is None:
            return None
        if not isinstance(mask, (list, tuple)) or len(mask) not in (2, 3):
            raise ArgumentError("`mask` must be a list of two or three masks, one per tensor of `inputs`.")
        return merge_masks(*mask[1:])

    def compute_mask(self, inputs, mask=None):
        """Pass the query's mask on."""
        return None if mask is None else mask[0]

    def compute_output_shape(self, input_shape):
        """Return the query's shape with the values' depth last."""
        query_shape, value_shape, _ = self._split(input_shape, "shapes")
        return (*query_shape[:-1], value_shape[-1])

    def compute_output_spec(self, *args, **kwargs):
        """Describe what `call` returns, by tracing it."""
        return traced_spec(self, *args, **kwargs)
