"""The output layer of models that predict tokens."""

from keras import ops


class WordScores:
    """Adds the output layer to a model that defines its `output_embeddings`."""

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
            new state.
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
        hidden, alignment, state = self.read_token(tokens, memory, state)
        return self.log_probabilities(hidden), alignment, state

    def _from_largest_bias(self, hidden):
        matrix, bias = self.output_embeddings
        return _project(hidden, matrix, None if bias is None else bias - ops.max(bias))


def _project(hidden, matrix, bias):
    logits = ops.cast(ops.matmul(hidden, ops.cast(ops.transpose(matrix), hidden.dtype)), "float32")
    return logits if bias is None else logits + ops.cast(bias, "float32")
