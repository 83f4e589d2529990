"""Label-smoothed cross-entropy over a large vocabulary, and R-Drop, without a tensor of all logits."""

import keras
from keras import ops

CHUNK = 1024  # rows whose logits exist at once on a device: 24 MB for a vocabulary of 6,000


def smoothed_cross_entropy(hidden, matrix, bias, targets, weights, smoothing=0.0, r_drop=0.0, chunk=CHUNK):
    """Compute the mean cross-entropy of softmax(hidden · matrixᵀ + bias) against smoothed targets.

    The smoothed target assigns `1 - smoothing` to the true token and spreads `smoothing` evenly over all V
    (Szegedy et al., 2016; Vaswani et al., 2017, section 5.4), so that per position
    loss = logsumexp(z) - (1 - smoothing) z[target] - smoothing mean(z).
    R-Drop (Liang et al., 2021, arXiv:2106.14448, equation 4) adds the mean of the two divergences between
    rows 2i and 2i + 1, which are the same position in two passes under dropout. The paper adds the
    cross-entropies of the two, here they are averaged: its alpha is twice `r_drop`.
    The output layer is part of the loss: its gradients are computed chunk by chunk in the forward pass, where
    the logits exist, and the backward pass only scales them.

    Args:
        hidden: float tensor (N, D).
        matrix: output matrix, float tensor (V, D).
        bias: float tensor (V,) or `None`.
        targets: int32 tensor (N,).
        weights: float32 tensor (N,), 0 where there is no target.
        smoothing: float.
        r_drop: float, weight of R-Drop; if it is not 0, N and `chunk` are even.
        chunk: int, rows per chunk of each device.

    Returns:
        float32 scalar, the mean loss per unit of weight in nats.
    """
    shares = _devices_sharing_rows(hidden.shape[0])
    rows = hidden.shape[0] // shares if hidden.shape[0] else None
    total_weight = ops.maximum(ops.sum(weights), 1.0)
    inputs = (hidden, matrix) if bias is None else (hidden, matrix, bias)

    @ops.custom_gradient
    def loss(hidden, matrix, *maybe_bias):
        if keras.backend.backend() == "torch" and not r_drop:
            from keras_attn.training.optimization.torch_cross_entropy import loss_and_gradients

            rows_of = (hidden, matrix, maybe_bias, targets, weights / total_weight)
            total, gradients = loss_and_gradients(*rows_of, smoothing)
            return total, gradient_of(gradients)
        losses, d_hidden, d_matrix, d_bias = [], [], [], []
        for begin in range(0, rows or 1, chunk):
            # If the number of rows is unknown, there is one chunk.
            size = min(chunk, rows - begin) if rows else None

            def part(x, begin=begin, size=size):
                # The next rows of every device, so that none is idle.
                if size is None:
                    return x
                shared = ops.reshape(x, (shares, rows, *x.shape[1:]))
                return ops.reshape(shared[:, begin : begin + size], (shares * size, *x.shape[1:]))

            value, d_logits = _chunk(
                part(hidden),
                matrix,
                maybe_bias,
                part(targets),
                part(weights) / total_weight,
                smoothing,
                r_drop,
            )
            losses.append(value)
            narrow = ops.cast(d_logits, hidden.dtype)
            d_part = ops.matmul(narrow, matrix)  # (rows, D)
            d_hidden.append(d_part if size is None else ops.reshape(d_part, (shares, size, -1)))
            d_matrix.append(ops.matmul(ops.transpose(narrow), part(hidden)))  # (V, D)
            d_bias.append(ops.sum(d_logits, axis=0))  # (V,)
        gradients = [ops.reshape(ops.concatenate(d_hidden, axis=-2), ops.shape(hidden)), sum(d_matrix)]
        if maybe_bias:
            gradients.append(sum(d_bias))

        return sum(losses), gradient_of(gradients)

    def gradient_of(gradients):
        def gradient(*arguments, upstream=None):
            # Torch passes the function's arguments and the upstream gradient, the others only the latter.
            scale = arguments[0] if upstream is None else upstream
            return tuple(part * ops.cast(scale, part.dtype) for part in gradients)

        return gradient

    return loss(*inputs)


def _devices_sharing_rows(rows):
    """Return the number of devices that have consecutive parts of the rows (N,)."""
    distribution = keras.distribution.distribution()
    shares = 1 if distribution is None else distribution.num_model_replicas
    return shares if rows and rows % shares == 0 else 1


def _chunk(hidden, matrix, maybe_bias, targets, weights, smoothing, r_drop):
    """Compute the loss of some rows, and its gradient with respect to their logits (rows, V)."""
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
    probabilities = exponentials / partition
    d_logits = probabilities - smoothing / vocabulary - ops.where(hits, 1 - smoothing, 0.0)
    if r_drop:
        log_p = logits - ops.expand_dims(log_partition, -1)
        divergences, d_divergences = _divergences(probabilities, log_p)
        losses = losses + r_drop * divergences
        d_logits = d_logits + r_drop * d_divergences
    return ops.sum(losses * weights), d_logits * ops.expand_dims(weights, -1)


def _divergences(p, log_p):
    """Compare rows 2i and 2i + 1 of probabilities (rows, V), which have equal weights.

    Returns:
        The mean of KL(p || q) and KL(q || p), for both rows of a pair (rows,); and the gradient of a pair's
        sum of it with respect to the logits (rows, V): with g = p (log p - log q) + p - q it is
        g - p sum(g) = g - p KL(p || q).
    """
    vocabulary = p.shape[-1]

    def other(x):
        pairs = ops.reshape(x, (-1, 2, vocabulary))  # (rows / 2, 2, V)
        return ops.reshape(ops.flip(pairs, axis=1), (-1, vocabulary))  # (rows, V)

    q, difference = other(p), log_p - other(log_p)
    one_way = ops.sum(p * difference, axis=-1)  # KL(p || q)
    both = ops.sum((p - q) * difference, axis=-1)  # KL(p || q) + KL(q || p)
    return both / 2, p * difference + p - q - p * ops.expand_dims(one_way, -1)
