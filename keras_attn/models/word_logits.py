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
        matrix, bias = self.output_embeddings
        return ops.log_softmax(_project(hidden, matrix, None if bias is None else bias - ops.max(bias)))


def _project(hidden, matrix, bias):
    logits = ops.cast(ops.matmul(hidden, ops.cast(ops.transpose(matrix), hidden.dtype)), "float32")
    return logits if bias is None else logits + ops.cast(bias, "float32")
