"""What all models have that predict tokens: the output layer, and the step with its caches."""

from collections.abc import Mapping
from types import MappingProxyType

from keras import ops

from keras_attn.errors import ArgumentError


class WordScores:
    """Adds the output layer to a model that defines its `output_embeddings`, and the step of decoding.

    Attributes:
        caches: entries of the state that grow by one row a step, and the axis of these rows. `read_token`
            returns only the new row of such an entry, which is then written where `state["position"]` (R,)
            says; a device writes it in place.
    """

    caches: Mapping[str, int] = MappingProxyType({})

    @property
    def output_embeddings(self):
        """Return the output matrix (V, D) and the bias (V,) or `None`: logits = hidden · matrixᵀ + bias."""
        raise NotImplementedError

    def logits(self, hidden):
        """Project (..., D) to float32 logits (..., V)."""
        matrix, bias = self.output_embeddings
        return _project(hidden, matrix, bias)

    def log_probabilities(self, hidden):
        """Compute the log-softmax of the logits in float32, (..., V).

        The bias is shifted so that its maximum is 0: this does not change the probabilities, but keeps
            precision if the bias is large.
        """
        return ops.log_softmax(self._from_largest_bias(hidden))

    def largest_logit(self, hidden):
        """Largest of the logits (...,) whose log-softmax `log_probabilities` are: how these are rounded."""
        return ops.max(self._from_largest_bias(hidden), axis=-1)

    def read_token(self, tokens, memory, state):
        """Decode one token per row, without the output layer.

        Args:
            tokens: int32 tensor (R,), the previous token of each row.
            memory: dict of tensors with leading dimension R.
            state: dict of tensors with leading dimension R.

        Returns:
            `(hidden, alignment, state)`: vectors (R, D), attention over the source (R, S) or `None`, and the
            new state, which has only the new row of each of the `caches`.
        """
        raise NotImplementedError

    def step(self, tokens, memory, state):
        """Decode one token per row, and score the next.

        Args:
            tokens: int32 tensor (R,), the previous token of each row.
            memory: dict of tensors with leading dimension R.
            state: dict of tensors with leading dimension R.

        Returns:
            `(scores, alignment, state)`: log-probabilities (R, V) in float32, attention over the source
            (R, S) or `None`, and the new state.
        """
        old = state
        hidden, alignment, state = self.read_token(tokens, memory, old)
        return self.log_probabilities(hidden), alignment, self.with_rows(old, state)

    def check_defined(self, base, purpose, guide):
        """Check that a subclass has what decoding needs.

        Args:
            base: the class that it is a subclass of.
            purpose: what it is for, for the message.
            guide: the page that says how it is written.

        Raises:
            ArgumentError: names all that is missing.
        """
        kind = type(self)
        own = {name for name in ("start", "read_token", "step") if _defines(kind, base, name)}
        lacking = [] if "start" in own else ["a method `start`"]
        if not own & {"read_token", "step"}:
            lacking.append("a method `read_token` (or `step`)")
        size = getattr(self, "vocabulary_size", None)
        if type(size) is not int or size < 1:
            lacking.append(f"`vocabulary_size`, a whole number (it is {size!r})")
        longest = getattr(self, "max_sequence_length", None)
        if longest is not None and (type(longest) is not int or longest < 1):
            lacking.append(f"`max_sequence_length`, a whole number or None (it is {longest!r})")
        if not getattr(self, "built", False):
            lacking.append("weights: end its constructor with `self.build()`")
        if lacking:
            raise ArgumentError(
                f"a {kind.__name__} cannot {purpose}: it lacks {'; '.join(lacking)}; {guide} shows what such "
                "a model must define"
            )

    def with_rows(self, old, new):
        """Return the new state of `read_token` with its rows written into the caches of the old one.

        Raises:
            ArgumentError: if the state has no `position`, or lacks a cache or its row.
        """
        if not self.caches:
            return new
        if "position" not in old:
            raise ArgumentError(
                f"{type(self).__name__} has caches, so that its state needs `position` (R,) int32: how many "
                "rows of them are filled"
            )
        written = dict(new)
        for name, axis in self.caches.items():
            if name not in old or name not in new:
                raise ArgumentError(
                    f"{type(self).__name__}.caches names {name!r}, which the state of "
                    f"{'`read_token`' if name in old else '`start`'} lacks"
                )
            written[name] = with_row(old[name], new[name], old["position"], axis)
        return written

    def _from_largest_bias(self, hidden):
        matrix, bias = self.output_embeddings
        return _project(hidden, matrix, None if bias is None else bias - ops.max(bias))


def _project(hidden, matrix, bias):
    logits = ops.cast(ops.matmul(hidden, ops.cast(ops.transpose(matrix), hidden.dtype)), "float32")
    return logits if bias is None else logits + ops.cast(bias, "float32")


def _defines(kind, base, name):
    return getattr(kind, name) is not getattr(base, name)


def with_row(cache, row, position, axis):
    """Write one row of each sentence into a cache, at the sentence's position along `axis`."""
    wanted = (*cache.shape[:axis], 1, *cache.shape[axis + 1 :])
    if tuple(row.shape[1:]) != tuple(wanted[1:]):
        raise ArgumentError(
            f"the row of a cache must be of shape (R, {', '.join(map(str, wanted[1:]))}), got "
            f"{tuple(row.shape)}: return only what the step adds, with 1 at axis {axis}"
        )
    slots = ops.expand_dims(ops.arange(cache.shape[axis], dtype="int32"), 0)  # (1, T)
    here = slots == ops.expand_dims(ops.cast(position, "int32"), 1)  # (R, T)
    for other in range(1, len(cache.shape)):
        if other != axis:
            here = ops.expand_dims(here, other)  # finally one axis for each of the cache's
    return ops.where(here, ops.cast(row, cache.dtype), cache)
