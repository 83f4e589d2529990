"""BigBird's block-sparse self-attention: global, window and random blocks, at a cost linear in the length."""

import functools
from types import MappingProxyType
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_attn.errors import ArgumentError
from keras_attn.layers.argument_types import Initializer, Tensor
from keras_attn.layers.attention.dot_product import average, dot_product_attention
from keras_attn.layers.attention.kernel_choice import compiles_for_cpu
from keras_attn.layers.clone_initializer import clone_initializer
from keras_attn.layers.dense import EinsumDense
from keras_attn.layers.dropout import Dropout
from keras_attn.layers.masks import as_mask
from keras_attn.layers.quantization import QuantizedParts

STRUCTURE = 5  # the first block, three of the window, the last block


def draw_random_blocks(num_heads, num_blocks, num_random_blocks, seed):
    """Draw the random key blocks of each head and each query block but the first and the last.

    They are distinct, and none is global or in the query block's window.

    Args:
        num_heads: int, H.
        num_blocks: int, n, at least `num_random_blocks + 5`.
        num_random_blocks: int, r.
        seed: int.

    Returns:
        int32 array (H, n - 2, r), the same for the same arguments, on every machine and in every version.
    """
    # NumPy freezes the stream of RandomState only, and trained weights depend on the blocks they saw.
    random = np.random.RandomState(seed)
    drawn = np.zeros((num_heads, num_blocks - 2, num_random_blocks), "int32")
    inner = np.arange(1, num_blocks - 1)
    for head in range(num_heads):
        for block in inner:
            far = inner[np.abs(inner - block) > 1]
            drawn[head, block - 1] = random.permutation(far)[:num_random_blocks]
    return drawn


def gather_table(random_blocks):
    """List the key blocks that each inner query block attends to: first, window, last, random.

    Where all random blocks are block 0, which is global, it is listed once and counts more often, for all
    heads alike.

    Args:
        random_blocks: int array (H, n - 2, r).

    Returns:
        int32 array (H, n - 2, 5 + r), or (1, n - 2, 5), of block indices, and a float32 one (1, n - 2, 5 + r)
        or (1, n - 2, 5): how often each counts, 0 where the second or second-last block's window names a
        global block again.
    """
    heads, rows, drawn = random_blocks.shape
    block = np.arange(1, rows + 1)
    structure = np.stack(
        (0 * block, block - 1, block, block + 1, 0 * block + rows + 1), axis=-1
    )  # (n - 2, 5)
    if random_blocks.any():
        of_head = np.broadcast_to(structure, (heads, rows, STRUCTURE))
        table = np.concatenate((of_head, random_blocks), axis=-1)
        counts = np.ones((1, *table.shape[1:]), "float32")
    else:
        table = structure[None]  # (1, n - 2, 5)
        counts = np.ones(table.shape, "float32")
        counts[..., 0] += drawn
    counts[0, 0, 1] = counts[0, -1, 3] = 0
    return table.astype("int32"), counts


@keras.saving.register_keras_serializable("keras_attn")
class BigBirdAttention(QuantizedParts):
    """Block-sparse multi-head self-attention (Zaheer et al., 2020, arXiv:2007.14062, section 2; ITC).

    The sequence is cut into n blocks. Queries of the first and the last block attend to every key; queries of
    block i to the keys of blocks 0, i - 1, i, i + 1, n - 1 and of `num_random_blocks` others, drawn for each
    head. So time and memory grow with T, not with T². The projections are those of `MultiHeadAttention`, and
    their weights move both ways. The numbers are those of Hugging Face's `BigBirdBlockSparseAttention`
    followed by its output projection, given the same random blocks.

    - A length that is not a multiple of `block_size` is padded internally, with masked keys.
    - Up to `(5 + 2 * num_random_blocks) * block_size` tokens the attention is dense, as in Hugging Face's
      model: the pattern would leave out next to nothing. `is_sparse(length)` returns which one is used.
    - The sparse pattern needs a length that is known when the layer is traced; the batch may stay unknown.
    - In the sparse pattern padded queries get a context of zeros.

    Args:
        num_heads: int, H.
        key_dim: int, size of each head's queries, keys and values, dh.
        block_size: int, tokens per block, b.
        num_random_blocks: int, r.
        dropout: float, dropout on the attention weights.
        use_bias: whether the projections have biases.
        kernel_initializer: initializer of the four kernels.
        bias_initializer: initializer of the four biases.
        seed: int, decides the random blocks; give each layer of a model its own.

    Call arguments:
        inputs: float tensor (B, T, D).
        padding_mask: boolean (B, T), `True` where a token is; by default the inputs' own Keras mask.
        random_blocks: ints that broadcast to (H, n - 2, r), known when the layer is traced, instead of the
            seed's; n counts the blocks after padding. A block named twice, or one that is global or in the
            window, counts once more in the softmax, as in Hugging Face's layer; its evaluation, in which
            every random block is block 0, is `random_blocks=0`. Not used where the attention is dense.
        return_attention_scores: whether to return the weights as well, as one (T, T) matrix per head: for
            inspection only, as its size is not linear in the length.
        training: whether dropout is active.
        mask: boolean (B, T), the inputs' own mask; Keras passes it.

    Returns:
        (B, T, D), or `((B, T, D), (B, H, T, T))` with `return_attention_scores`.

    Raises:
        ArgumentError: if a size or rank is wrong, the length is unknown, or `random_blocks` do not fit.

    Example:
        ```python
        import numpy as np
        from keras_attn.layers import BigBirdAttention

        layer = BigBirdAttention(num_heads=2, key_dim=4, block_size=8)
        outputs = layer(np.ones((1, 100, 16)))  # 13 blocks, the last one padded; (1, 100, 16)
        assert layer.is_sparse(100)
        ```
    """

    call_axes = MappingProxyType({"inputs": ("batch", "length", "depth")})

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        block_size: int = 64,
        num_random_blocks: int = 3,
        dropout: float = 0.0,
        use_bias: bool = True,
        kernel_initializer: Initializer = "glorot_uniform",
        bias_initializer: Initializer = "zeros",
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        for name, size in (("num_heads", num_heads), ("key_dim", key_dim), ("block_size", block_size)):
            if size <= 0:
                raise ArgumentError(f"`{name}` must be positive, got {size}.")
        if num_random_blocks < 0:
            raise ArgumentError(f"`num_random_blocks` must not be negative, got {num_random_blocks}.")
        self.num_heads = num_heads
        self.key_dim = key_dim
        self.block_size = block_size
        self.num_random_blocks = num_random_blocks
        self.dropout = dropout
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.seed = seed

    def build(self, inputs_shape):
        """Create the four projections."""
        depth, heads = inputs_shape[-1], (self.num_heads, self.key_dim)
        self._query_dense = self._projection("query", "abc,cde->abde", (None, *heads), "de")
        self._key_dense = self._projection("key", "abc,cde->abde", (None, *heads), "de")
        self._value_dense = self._projection("value", "abc,cde->abde", (None, *heads), "de")
        self._output_dense = self._projection("attention_output", "abcd,cde->abe", (None, depth), "e")
        self._dropout_layer = Dropout(self.dropout, dtype=self.dtype_policy, name="dropout")
        for projection in (self._query_dense, self._key_dense, self._value_dense):
            projection.build(inputs_shape)
        self._output_dense.build((*inputs_shape[:-1], *heads))
        self.built = True

    def _projection(self, name, equation, shape, bias_axes):
        projection = EinsumDense(
            equation,
            output_shape=shape,
            bias_axes=bias_axes if self.use_bias else None,
            kernel_initializer=clone_initializer(self.kernel_initializer),
            bias_initializer=clone_initializer(self.bias_initializer),
            dtype=self.dtype_policy,
            name=name,
        )
        projection.supports_masking = True  # or Keras warns that the inputs' mask ends here
        return projection

    def is_sparse(self, length):
        """Return whether sequences of `length` tokens get the sparse pattern (or dense attention)."""
        return length > (STRUCTURE + 2 * self.num_random_blocks) * self.block_size

    def random_blocks(self, length):
        """Return the random blocks of sequences of `length` tokens, int32 (H, n - 2, r)."""
        num_blocks = -(-length // self.block_size)
        return draw_random_blocks(self.num_heads, num_blocks, self.num_random_blocks, self.seed)

    def call(
        self,
        inputs: Tensor,
        padding_mask: Tensor = None,
        random_blocks: Tensor = None,
        return_attention_scores: bool = False,
        training: bool | None = None,
        mask: Tensor = None,
    ) -> Any:
        """Attend from each token to the tokens its block sees."""
        length = inputs.shape[1]
        if length is None:
            raise ArgumentError(
                "The length of `inputs` must be known when the layer is traced, because the blocks follow "
                f"from it, got shape {inputs.shape}: pad or bucket the batches to fixed lengths."
            )
        mask = mask if padding_mask is None else padding_mask
        if mask is not None:
            mask = as_mask(mask, "padding_mask")
            if len(mask.shape) != 2 or mask.shape[1] not in (None, length):
                raise ArgumentError(f"`padding_mask` must have shape (batch, {length}), got {mask.shape}.")
        dropout = (lambda w: self._dropout_layer(w, training=True)) if training and self.dropout else None
        if self.is_sparse(length):
            context, weights = self._attend_sparsely(
                inputs, mask, random_blocks, dropout, return_attention_scores
            )
        else:
            context, weights = dot_product_attention(
                *self._project(inputs),
                key_mask=mask,
                dropout=dropout,
                return_scores=return_attention_scores,
            )
        outputs = self._output_dense(context)
        return (outputs, weights) if return_attention_scores else outputs

    def _project(self, inputs):
        return self._query_dense(inputs), self._key_dense(inputs), self._value_dense(inputs)

    def _attend_sparsely(self, inputs, mask, random_blocks, dropout, with_weights):
        """Attend with (B, T, D) in blocks; return (B, T, H, dh), and (B, H, T, T) if `with_weights`."""
        length, size = inputs.shape[1], self.block_size
        missing = -length % size
        if missing:
            mask = ops.ones_like(inputs[:, :, 0], dtype="bool") if mask is None else mask
            mask = ops.pad(mask, ((0, 0), (0, missing)), constant_values=False)
            inputs = ops.pad(inputs, ((0, 0), (0, missing), (0, 0)))
        query, key, value = self._project(inputs)  # (B, nb, H, dh)
        table, counts = gather_table(self._checked(random_blocks, length))
        attend = functools.partial(attend_to_blocks, mask=mask, counts=counts, size=size)
        if dropout is None and not with_weights and compiles_for_cpu(query):
            weights = None
            context = by_head(lambda *parts: attend(*parts)[0], query, key, value, table)
        else:
            context, weights = attend(query, key, value, table, dropout=dropout, with_weights=with_weights)
        if mask is not None:
            context = context * ops.cast(mask, context.dtype)[:, :, None, None]
        if missing:
            context = context[:, :length]
        return context, None if weights is None else weights[:, :, :length, :length]

    def _checked(self, random_blocks, length):
        """Return the random blocks to use, int (H, n - 2, r)."""
        if random_blocks is None:
            return self.random_blocks(length)
        given = np.asarray(random_blocks)
        num_blocks = -(-length // self.block_size)
        count = given.shape[-1] if given.ndim else self.num_random_blocks
        wanted = (self.num_heads, num_blocks - 2, count)
        try:
            given = np.broadcast_to(given, wanted)
        except ValueError:
            raise ArgumentError(
                f"`random_blocks` must broadcast to (heads, blocks - 2, random blocks) = {wanted} for "
                f"{length} tokens, got shape {given.shape}."
            ) from None
        if given.dtype.kind not in "iu" or (given < 0).any() or (given >= num_blocks).any():
            raise ArgumentError(
                f"`random_blocks` must be ints from 0 to {num_blocks - 1}, got {random_blocks}."
            )
        return given

    def compute_output_shape(self, inputs_shape):
        """Return the inputs' shape."""
        return inputs_shape

    def compute_output_spec(self, inputs, *args, return_attention_scores=False, **kwargs):
        """Describe what `call` returns, without tracing it, which needs a known length."""
        outputs = keras.KerasTensor(inputs.shape, dtype=self.compute_dtype)
        if not return_attention_scores:
            return outputs
        batch, length, _ = inputs.shape
        return outputs, keras.KerasTensor((batch, self.num_heads, length, length), dtype=self.compute_dtype)


def by_head(attend, query, key, value, table):
    """Attend with one head after another, so that a head's intermediate results stay in the cache.

    The backward pass recomputes them instead of keeping those of all heads. Not with dropout, as a loop
    cannot pass on the random state.

    Args:
        attend: from query, key, value and table, all of one head, to outputs (B, n·b, 1, dh).
        query: float tensor (B, n·b, H, dh).
        key: float tensor (B, n·b, H, dh).
        value: float tensor (B, n·b, H, dh).
        table: int array (H, m, K), or (1, m, K).

    Returns:
        Outputs (B, n·b, H, dh).
    """
    table = np.broadcast_to(table, (query.shape[2], *table.shape[1:]))
    parts = [ops.moveaxis(x, 2, 0)[:, :, :, None] for x in (query, key, value)]  # (H, B, nb, 1, dh)
    outputs = ops.map(keras.remat(lambda parts: attend(*parts)), (*parts, table[:, None]))
    return ops.moveaxis(outputs[:, :, :, 0], 0, 2)


def attend_to_blocks(query, key, value, table, mask, counts, size, dropout=None, with_weights=False):
    """Attend from the first and the last block to all keys, from the others to the key blocks of a table.

    Args:
        query: float tensor (B, n·b, H, dh), n blocks of b = `size` tokens.
        key: float tensor (B, n·b, H, dh).
        value: float tensor (B, n·b, H, dh).
        table: int array or tensor (H, n - 2, K), or (1, n - 2, K) for all heads: which key blocks each inner
            query block attends to.
        mask: boolean (B, n·b), keys that exist, or `None`.
        counts: float array (1, n - 2, K), how often each of the table's blocks counts.
        size: int, b.
        dropout: callable applied to the attention weights, or `None`.
        with_weights: whether the weights are wanted; then the table is an array.

    Returns:
        `(outputs, weights)`, of shapes (B, n·b, H, dh) and (B, H, n·b, n·b); the weights are `None` unless
        wanted.
    """
    query = query * ops.cast(query.shape[-1] ** -0.5, query.dtype)
    edges = ops.concatenate((query[:, :size], query[:, -size:]), axis=1)  # (B, 2b, H, dh)
    outer, outer_weights = dot_product_attention(
        edges, key, value, key_mask=mask, scale=1.0, dropout=dropout, return_scores=with_weights
    )
    inner, inner_weights = _attend_to_listed(
        query[:, size:-size], key, value, table, mask, counts, size, dropout, with_weights
    )
    outputs = ops.concatenate((outer[:, :size], inner, outer[:, size:]), axis=1)  # (B, nb, H, dh)
    if outer_weights is None:
        return outputs, None
    inner_weights = spread(inner_weights, table)  # (B, H, (n - 2)b, nb)
    parts = (outer_weights[:, :, :size], inner_weights, outer_weights[:, :, size:])
    return outputs, ops.concatenate(parts, axis=2)


def _attend_to_listed(query, key, value, table, mask, counts, size, dropout, with_weights):
    """Attend with m = n - 2 scaled query blocks: `(outputs, weights)`, (B, m·b, H, dh), (B, H, m, b, K·b)."""
    tables, rows, listed = table.shape
    num_blocks, heads, depth = key.shape[1] // size, query.shape[2], query.shape[-1]
    # With a table for each head, blocks are counted on from head to head.
    first = num_blocks * np.arange(tables, dtype="int32")[:, None, None]
    indices, groups = ops.reshape(table + first, (-1,)), heads // tables

    def by_block(x, *shape):
        x = ops.transpose(x, (0, 2, 1, 3))  # (B, H, nb or mb, dh)
        return ops.reshape(x, (-1, *shape, size, depth))

    def gathered(x):
        x = by_block(x, groups, tables * num_blocks)  # (B, H, n, b, dh), or (B, 1, H·n, b, dh)
        x = ops.take(x, indices, axis=2)  # (B, H, m·K, b, dh), or (B, 1, H·m·K, b, dh)
        return ops.reshape(x, (-1, heads, rows, listed * size, depth))  # (B, H, m, Kb, dh)

    counts = np.repeat(counts, size, axis=-1)[None, :, :, None]  # (1, 1, m, 1, Kb)
    allowed = counts > 0
    if mask is not None:
        mask = ops.reshape(mask, (-1, num_blocks, size))  # (B, n, b)
        mask = ops.take(mask, ops.reshape(table, (-1,)), axis=1)  # (B, H·m·K, b), or (B, m·K, b)
        mask = ops.reshape(mask, (-1, tables, rows, 1, listed * size))  # (B, H or 1, m, 1, Kb)
        allowed = ops.logical_and(mask, allowed)

    # Heads and rows lead in every product: XLA on CPU is slow at einsums that move them.
    scores = ops.einsum("bhmqd,bhmkd->bhmqk", by_block(query, heads, rows), gathered(key))  # (B, H, m, b, Kb)
    bias = np.log(np.maximum(counts, 1))
    outputs, weights = average(gathered(value), scores, allowed, dropout, with_weights, bias)
    outputs = ops.reshape(outputs, (-1, heads, rows * size, depth))  # (B, H, mb, dh)
    return ops.transpose(outputs, (0, 2, 1, 3)), weights  # (B, mb, H, dh)


def spread(weights, table):
    """Scatter weights (B, H, m, b, K·b) to their positions among all keys: (B, H, m·b, n·b)."""
    heads, rows, listed = weights.shape[1], *table.shape[1:]
    size, table = weights.shape[3], np.broadcast_to(table, (heads, rows, listed))
    place = np.arange(rows + 2) == table[..., None]  # (H, m, K, n)
    weights = ops.reshape(weights, (-1, heads, rows, size, listed, size))  # (B, H, m, b, K, b)
    weights = ops.einsum("bhmqkj,hmkn->bhmqnj", weights, ops.cast(place, weights.dtype))
    return ops.reshape(weights, (-1, heads, rows * size, (rows + 2) * size))  # (B, H, mb, nb)
