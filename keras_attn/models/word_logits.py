"""From vectors to scores of the vocabulary, for every model that writes text."""

from keras import ops


class WordScores:
    """Adds the output layer to a model whose `output_embeddings` say which one that is."""

    @property
    def output_embeddings(self):
        """Output matrix (V, D) and bias (V,) or `None`: logits = hidden · matrixᵀ + bias."""
        raise NotImplementedError

    def logits(self, hidden):
        """Project (..., D) to float32 logits (..., V)."""
        matrix, bias = self.output_embeddings
        return _project(hidden, matrix, bias)

    def log_probabilities(self, hidden):
        """Log-softmax of the logits in float32, (..., V).

        The bias counts from its largest value: what all logits have in common changes no probability, but
        would cost digits where it is large.
        """
        matrix, bias = self.output_embeddings
        return ops.log_softmax(_project(hidden, matrix, None if bias is None else bias - ops.max(bias)))


def _project(hidden, matrix, bias):
    logits = ops.cast(ops.matmul(hidden, ops.cast(ops.transpose(matrix), hidden.dtype)), "float32")
    return logits if bias is None else logits + ops.cast(bias, "float32")
