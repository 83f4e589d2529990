"""Label-smoothed cross-entropy over a large vocabulary, without a tensor of all logits."""

from keras import ops

CHUNK = 1024  # rows whose logits exist at once: 24 MB for a vocabulary of 6,000


def smoothed_cross_entropy(hidden, matrix, bias, targets, weights, smoothing=0.0, chunk=CHUNK):
    """Cross-entropy of softmax(hidden · matrixᵀ + bias) against smoothed targets, averaged by weight.

    The smoothed target gives `1 - smoothing` to the true token and spreads `smoothing` evenly over all V
    (Szegedy et al., 2016; Vaswani et al., 2017, section 5.4), so that per position
    loss = logsumexp(z) - (1 - smoothing) z[target] - smoothing mean(z).
    The output layer is part of the loss: its gradients are formed chunk by chunk in the forward pass, where
    the logits are at hand, and the backward pass only scales them.

    Args:
        hidden: float tensor (N, D).
        matrix: output matrix, float tensor (V, D).
        bias: float tensor (V,) or `None`.
        targets: int32 tensor (N,).
        weights: float32 tensor (N,), 0 where there is no target.
        smoothing: float.
        chunk: int, rows per chunk.

    Returns:
        float32 scalar, the mean loss per unit of weight in nats.
    """
    rows = hidden.shape[0]
    total_weight = ops.maximum(ops.sum(weights), 1.0)
    inputs = (hidden, matrix) if bias is None else (hidden, matrix, bias)

    @ops.custom_gradient
    def loss(hidden, matrix, *maybe_bias):
        losses, d_hidden, d_matrix, d_bias = [], [], [], []
        for begin in range(0, rows or 1, chunk):
            # Where the number of rows is not known beforehand, there is one chunk.
            part = slice(begin, begin + chunk) if rows else slice(None)
            value, d_logits = _chunk(
                hidden[part], matrix, maybe_bias, targets[part], weights[part] / total_weight, smoothing
            )
            losses.append(value)
            narrow = ops.cast(d_logits, hidden.dtype)
            d_hidden.append(ops.matmul(narrow, matrix))  # (rows, D)
            d_matrix.append(ops.matmul(ops.transpose(narrow), hidden[part]))  # (V, D)
            d_bias.append(ops.sum(d_logits, axis=0))  # (V,)
        gradients = [ops.concatenate(d_hidden, axis=0), sum(d_matrix)]
        if maybe_bias:
            gradients.append(sum(d_bias))

        def gradient(*arguments, upstream=None):
            # Torch hands the function's arguments and the upstream gradient, the others the latter alone.
            scale = arguments[0] if upstream is None else upstream
            return tuple(part * ops.cast(scale, part.dtype) for part in gradients)

        return sum(losses), gradient

    return loss(*inputs)


def _chunk(hidden, matrix, maybe_bias, targets, weights, smoothing):
    """Loss of some rows, and its gradient with respect to their logits (rows, V)."""
    logits = ops.cast(ops.matmul(hidden, ops.transpose(matrix)), "float32")  # (rows, V)
    if maybe_bias:
        logits = logits + ops.cast(maybe_bias[0], "float32")
    peak = ops.max(logits, axis=-1, keepdims=True)
    exponentials = ops.exp(logits - peak)
    partition = ops.sum(exponentials, axis=-1, keepdims=True)
    target_logit = ops.take_along_axis(logits, ops.expand_dims(targets, -1), axis=-1)[:, 0]
    log_partition = (peak + ops.log(partition))[:, 0]
    losses = log_partition - (1 - smoothing) * target_logit - smoothing * ops.mean(logits, axis=-1)
    vocabulary = logits.shape[-1]
    columns = ops.expand_dims(ops.arange(vocabulary, dtype="int32"), 0)
    hits = ops.equal(columns, ops.expand_dims(ops.cast(targets, "int32"), -1))  # (rows, V)
    d_logits = exponentials / partition - smoothing / vocabulary - ops.where(hits, 1 - smoothing, 0.0)
    return ops.sum(losses * weights), d_logits * ops.expand_dims(weights, -1)
