"""The smoothed cross-entropy on torch, which runs each operation by itself: in place, in few passes."""

CHUNK = 256  # rows whose logits exist at once: what a processor's second cache holds


def loss_and_gradients(hidden, matrix, maybe_bias, targets, weights, smoothing):
    """Compute the loss of `smoothed_cross_entropy` without R-Drop, and its gradients, under `no_grad`.

    Args:
        hidden: float torch tensor (N, D).
        matrix: float tensor (V, D).
        maybe_bias: tuple of no or one float tensor (V,).
        targets: int tensor (N,).
        weights: float32 tensor (N,), already divided by their sum.
        smoothing: float.

    Returns:
        `(loss, gradients)`: float32 scalar, and a list of the gradients of `hidden`, of `matrix` and, where
        there is one, of the bias, in their dtypes.
    """
    import torch  # pyright: ignore[reportMissingImports]  # installed if Keras runs on it

    loss = torch.zeros((), device=hidden.device)
    d_hidden = torch.empty_like(hidden)
    d_matrix = torch.zeros(matrix.shape, device=matrix.device)
    d_bias = [torch.zeros(bias.shape, device=bias.device) for bias in maybe_bias]
    ones = torch.ones((CHUNK, 1), dtype=hidden.dtype, device=hidden.device)
    for begin in range(0, len(hidden), CHUNK):
        rows = slice(begin, begin + CHUNK)
        part = hidden[rows]
        value, d_logits = _chunk(part, matrix, maybe_bias, targets[rows], weights[rows], smoothing)
        loss += value
        d_hidden[rows] = d_logits @ matrix
        d_matrix += d_logits.T @ part
        for each in d_bias:
            each += (d_logits.T @ ones[: len(part)])[:, 0]  # faster than a sum over rows
    found = zip((d_matrix, *d_bias), (matrix, *maybe_bias), strict=True)
    return loss, [d_hidden, *(gradient.to(of.dtype) for gradient, of in found)]


def _chunk(hidden, matrix, maybe_bias, targets, weights, smoothing):
    """Compute the loss of some rows, and its gradient with respect to their logits, in `hidden`'s dtype."""
    logits = (hidden @ matrix.T).float()  # (rows, V)
    if maybe_bias:
        logits += maybe_bias[0].float()
    columns, weights = targets.long()[:, None], weights[:, None]  # (rows, 1)
    target_logit, mean = logits.gather(1, columns), logits.mean(-1, keepdim=True)
    peak = logits.amax(-1, keepdim=True)
    probabilities = logits.sub_(peak).exp_()  # not divided yet; the logits are gone
    partition = probabilities.sum(-1, keepdim=True)
    losses = peak + partition.log() - (1 - smoothing) * target_logit - smoothing * mean
    gradient = probabilities.mul_(weights / partition)
    if smoothing:
        gradient.sub_(weights * (smoothing / gradient.shape[-1]))
    gradient.scatter_add_(1, columns, (smoothing - 1) * weights)
    return (losses * weights).sum(), gradient.to(hidden.dtype)
