"""Dynamic masks for masked language models, on the host: in NumPy, or in a tf.data pipeline."""

import sys
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_attn.errors import ArgumentError
from keras_attn.layers.argument_types import Tensor
from keras_attn.layers.checked_layer import CheckedLayer


def mask_tokens(xp, ids, selectable, draws, *, rates, limit, mask_token_id):
    """Choose tokens and replace them, given the random numbers (Devlin et al., 2019, appendix A.1).

    Args:
        xp: `numpy`, or `tensorflow.experimental.numpy`.
        ids: int array (B, T).
        selectable: bool array (B, T), tokens that may be chosen.
        draws: `(order, fate, replacement)`, arrays (B, T): floats in [0, 1), the same again, and token ids.
        rates: `(selection, mask, random)`, the fraction of tokens to choose, and of these the fractions that
            become `mask_token_id` and a random token; the others are kept.
        limit: int, maximum number of tokens to choose in one text.
        mask_token_id: int.

    Returns:
        The masked ids (B, T); the positions of the chosen tokens, in order and ahead of all the others
        (B, T); and their number (B,).
    """
    order, fate, replacement = draws
    selection_rate, mask_rate, random_rate = rates
    available = xp.asarray(xp.sum(xp.asarray(selectable, np.int32), axis=1), np.float32)
    # Slightly less, or 100 * 0.07 would be rounded up to 8.
    count = xp.asarray(xp.ceil(available * selection_rate - 1e-4), np.int32)
    count = xp.minimum(count, xp.asarray(limit, np.int32))  # (B,)
    # The rank of each token in the drawn order, with what cannot be chosen at the end.
    ranks = xp.argsort(xp.argsort(xp.where(selectable, order, xp.asarray(2, np.float32)), axis=1), axis=1)
    chosen = xp.asarray(ranks, np.int32) < count[:, None]  # (B, T)
    masked = xp.where(chosen & (fate < mask_rate), xp.asarray(mask_token_id, ids.dtype), ids)
    randomized = chosen & (fate >= mask_rate) & (fate < mask_rate + random_rate)
    positions = xp.argsort(xp.asarray(~chosen, np.int32), axis=1, kind="stable")
    return xp.where(randomized, replacement, masked), xp.asarray(positions, np.int32), count


@keras.saving.register_keras_serializable("keras_attn")
class MaskedLMMaskGenerator(CheckedLayer):
    """Choose tokens at random: 80 % of them are masked, 10 % replaced at random, 10 % kept.

    From each text, `ceil(mask_selection_rate * n)` of its n selectable tokens are chosen, at most
    `mask_selection_length` (Devlin et al., 2019, section 3.1 and appendix A.1). It is a preprocessing layer:
    in `tf.data`, or when called with TensorFlow tensors, it runs in TensorFlow whatever the Keras backend;
    with everything else in NumPy. It does not need tensorflow-text.

    Args:
        vocabulary_size: int, upper bound of random tokens.
        mask_selection_rate: number in [0, 1], fraction of the tokens to choose.
        mask_token_id: int, what replaces a masked token.
        mask_selection_length: int, maximum number of tokens to choose from a text, and the length M to which
            positions, ids and weights are padded; `None` for no limit and no padding.
        unselectable_token_ids: list of int, tokens that are never chosen.
        mask_token_rate: number in [0, 1], fraction of the chosen tokens that become `mask_token_id`.
        random_token_rate: number in [0, 1], fraction of the chosen tokens that become a random token.
        seed: int for reproducible masks; `None` for a random seed. In `tf.data`, equal seeds
            give equal masks if the map is sequential (`num_parallel_calls=None`).

    Call arguments:
        inputs: int token ids (B, T) or (T,): an array, a tensor, a list of lists (also of unequal lengths),
            or a `tf.RaggedTensor`.

    Returns:
        Dictionary of `token_ids`, like `inputs`; `mask_positions` (int32) and `mask_ids`, where tokens were
        chosen and which were there; and `mask_weights` (float32), 1 for these and 0 for padding. These three
        are (B, M) or (M,), or ragged (`tf.RaggedTensor`, lists) if `mask_selection_length` is None.
        TensorFlow tensors and NumPy arrays are returned for inputs of the same type; for lists, backend
        tensors or, if ragged, lists.

    Raises:
        ArgumentError: if a rate is outside [0, 1], the two rates exceed 1 together, `mask_token_id` is not in
            the vocabulary, `mask_selection_length` is negative, or `inputs` are not integers of rank 1 or 2.

    Example:
        ```python
        import numpy as np
        from keras_attn.layers import MaskedLMMaskGenerator

        generator = MaskedLMMaskGenerator(
            vocabulary_size=100, mask_selection_rate=0.2, mask_token_id=99, mask_selection_length=4
        )
        masked = generator(np.arange(1, 21).reshape(2, 10))
        masked["mask_positions"].shape  # (2, 4)
        ```
    """

    def __init__(
        self,
        vocabulary_size: int,
        mask_selection_rate: float,
        mask_token_id: int,
        mask_selection_length: int | None = None,
        unselectable_token_ids: Sequence[int] = (0,),
        mask_token_rate: float = 0.8,
        random_token_rate: float = 0.1,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not 0 <= mask_token_id < vocabulary_size:
            raise ArgumentError(
                "Mask token id should be in [0, vocabulary_size - 1], got "
                f"`mask_token_id={mask_token_id}` and `vocabulary_size={vocabulary_size}`."
            )
        for name, rate in (
            ("mask_selection_rate", mask_selection_rate),
            ("mask_token_rate", mask_token_rate),
            ("random_token_rate", random_token_rate),
        ):
            if not 0 <= rate <= 1:
                raise ArgumentError(f"`{name}` must be between 0 and 1, got {rate}.")
        if mask_token_rate + random_token_rate > 1:
            raise ArgumentError(
                "`mask_token_rate` and `random_token_rate` must not exceed 1 together, got "
                f"{mask_token_rate} and {random_token_rate}."
            )
        if mask_selection_length is not None and mask_selection_length < 0:
            raise ArgumentError(f"`mask_selection_length` must not be negative, got {mask_selection_length}.")
        self.vocabulary_size = vocabulary_size
        self.mask_selection_rate = mask_selection_rate
        self.mask_token_id = mask_token_id
        self.mask_selection_length = mask_selection_length
        self.unselectable_token_ids = list(unselectable_token_ids or ())
        self.mask_token_rate = mask_token_rate
        self.random_token_rate = random_token_rate
        self.seed = seed
        self.built = True
        # Inputs stay on the host: Keras must neither move them to an accelerator nor refuse lists.
        self._convert_input_args = False
        self._allow_non_tensor_positional_args = True
        self._numpy_generator = np.random.default_rng(seed)
        self._tensorflow_generator = None

    def call(self, inputs: Tensor) -> Any:
        """Mask `inputs`."""
        # Inputs can be TensorFlow's only if TensorFlow is imported.
        tensorflow = sys.modules.get("tensorflow")
        if tensorflow is not None and (tensorflow.is_tensor(inputs) or tensorflow.inside_function()):
            return self._call_tensorflow(tensorflow, inputs)
        return self._call_numpy(inputs)

    def _mask(self, xp, ids, exists, draws):
        limit, selectable = self.mask_selection_length, exists
        for token in self.unselectable_token_ids:
            selectable = selectable & (ids != token)
        return mask_tokens(
            xp,
            ids,
            selectable,
            draws,
            rates=(self.mask_selection_rate, self.mask_token_rate, self.random_token_rate),
            limit=np.iinfo(np.int32).max if limit is None else limit,
            mask_token_id=self.mask_token_id,
        )

    def _call_numpy(self, inputs):
        as_arrays = isinstance(inputs, np.ndarray)
        if keras.ops.is_tensor(inputs):
            inputs = keras.ops.convert_to_numpy(inputs)
        listed = not isinstance(inputs, np.ndarray)
        batched = len(inputs) > 0 and np.ndim(inputs[0]) > 0 if listed else inputs.ndim > 1
        texts = inputs if batched else [inputs]
        texts = [np.asarray(text, None if len(text) else "int32") for text in texts]
        for text in texts:
            self._check(np.issubdtype(text.dtype, np.integer), text.ndim + batched)
        lengths = np.array([len(text) for text in texts], int)  # (B,)
        exists = np.arange(max(lengths, default=0))[None, :] < lengths[:, None]  # (B, T)
        ids: Any = np.zeros(exists.shape, "int32" if listed else inputs.dtype)
        if texts:
            ids[exists] = np.concatenate(texts)
        draw = self._numpy_generator
        draws = (
            draw.random(ids.shape, "float32"),
            draw.random(ids.shape, "float32"),
            draw.integers(self.vocabulary_size, size=ids.shape).astype(ids.dtype),
        )
        masked, positions, counts = self._mask(np, ids, exists, draws)
        chosen_ids = np.take_along_axis(ids, positions, axis=1)

        def finish(values, counts, length):
            # One row for each text: padded to `length`, or as long as it is.
            if length is None:
                values = [row[:count] for row, count in zip(values, counts, strict=True)]
                if batched:
                    return [row.tolist() for row in values]
            else:
                kept = np.where(np.arange(values.shape[1])[None, :] < counts[:, None], values, 0)[:, :length]
                values = np.pad(kept, ((0, 0), (0, length - kept.shape[1])))  # (B, length)
            values = values if batched else values[0]
            return values if as_arrays else keras.ops.convert_to_tensor(values)

        rectangular = exists.all()
        chosen = {
            "mask_positions": positions,
            "mask_ids": chosen_ids,
            "mask_weights": np.ones(ids.shape, "float32"),
        }
        return {
            "token_ids": finish(masked, lengths, ids.shape[1] if rectangular else None),
            **{name: finish(x, counts, self.mask_selection_length) for name, x in chosen.items()},
        }

    def _call_tensorflow(self, tf, inputs):
        inputs = inputs if tf.is_tensor(inputs) else tf.ragged.constant(inputs, dtype="int32")
        ragged = isinstance(inputs, tf.RaggedTensor)
        self._check(inputs.dtype.is_integer, inputs.shape.rank)
        batched = inputs.shape.rank == 2
        if ragged:
            lengths, ids = inputs.row_lengths(), inputs.to_tensor()
            exists = tf.sequence_mask(lengths, tf.shape(ids)[1])
        else:
            ids = inputs if batched else inputs[None, :]  # (B, T)
            exists = tf.ones_like(ids, "bool")
        if self._tensorflow_generator is None:
            # Outside the graph being traced, and on the host, where tf.data is.
            with tf.init_scope(), tf.device("CPU:0"):
                make = tf.random.Generator
                seeded = self.seed is not None
                self._tensorflow_generator = (
                    make.from_seed(self.seed) if seeded else make.from_non_deterministic_state()
                )
        draw, shape = self._tensorflow_generator, tf.shape(ids)
        draws = (
            draw.uniform(shape),
            draw.uniform(shape),
            tf.cast(draw.uniform(shape, maxval=self.vocabulary_size, dtype="int32"), ids.dtype),
        )
        masked, positions, counts = self._mask(tf.experimental.numpy, ids, exists, draws)
        masked = tf.ensure_shape(masked, ids.shape)
        chosen = {
            "mask_positions": positions,
            "mask_ids": tf.gather(ids, positions, batch_dims=1),
            "mask_weights": tf.ones_like(positions, "float32"),
        }

        def finish(values):
            values = tf.RaggedTensor.from_tensor(values, lengths=counts)
            if self.mask_selection_length is not None:
                values = values.to_tensor(shape=(ids.shape[0], self.mask_selection_length))
            return values if batched else values[0]

        if ragged:
            masked = tf.RaggedTensor.from_tensor(masked, lengths=lengths)
        return {
            "token_ids": masked if batched else masked[0],
            **{name: finish(values) for name, values in chosen.items()},
        }

    def _check(self, whole_numbers, rank):
        if not whole_numbers or rank not in (1, 2):
            raise ArgumentError(
                "`inputs` must be integer token ids of the shape (length,) or (batch, length), got "
                f"{'integers' if whole_numbers else 'other numbers'} of rank {rank}."
            )

    def compute_output_shape(self, input_shape):
        """Return the shapes of the four outputs, None where they are ragged."""
        chosen = (*input_shape[:-1], self.mask_selection_length)
        return {
            "token_ids": tuple(input_shape),
            **dict.fromkeys(("mask_positions", "mask_ids", "mask_weights"), chosen),
        }
