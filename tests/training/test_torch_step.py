"""What a training step computes in its own way on torch, beside torch's own functions."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("with_bias", [True, False])
def test_torchs_loss_and_gradients_are_those_of_its_cross_entropy(with_bias):
    from keras_attn.training.optimization.torch_cross_entropy import CHUNK, loss_and_gradients

    rng, rows, depth, vocabulary = np.random.default_rng(0), CHUNK + 13, 8, 31

    def drawn(*shape):
        return torch.tensor(rng.normal(size=shape), dtype=torch.float32, requires_grad=True)

    hidden, matrix = drawn(rows, depth), drawn(vocabulary, depth)
    bias = (drawn(vocabulary),) if with_bias else ()
    targets = torch.tensor(rng.integers(0, vocabulary, rows).astype("int32"))
    weights = torch.tensor(rng.integers(0, 2, rows).astype("float32"))
    weights = weights / weights.sum()
    logits = hidden @ matrix.T + sum(bias)
    losses = torch.nn.functional.cross_entropy(logits, targets.long(), reduction="none", label_smoothing=0.1)
    expected = (losses * weights).sum()
    expected.backward()
    with torch.no_grad():
        loss, gradients = loss_and_gradients(hidden, matrix, bias, targets, weights, 0.1)
    assert float(loss) == pytest.approx(float(expected.detach()), abs=1e-6)
    for found, of in zip(gradients, (hidden, matrix, *bias), strict=True):
        np.testing.assert_allclose(found.numpy(), of.grad.numpy(), atol=1e-7)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_torchs_dropout_drops_its_rate_keeps_the_mean_and_passes_the_gradient(dtype):
    from keras_attn.layers.torch_dropout import torch_dropout

    x = torch.ones((63, 33, 31), dtype=getattr(torch, dtype), requires_grad=True)
    seed = torch.tensor([7, 2**32 - 1])
    y = torch_dropout(x, 0.3, seed)
    y.float().sum().backward()
    y = y.detach()
    dropped = (y == 0).float()
    assert float(dropped.mean()) == pytest.approx(0.3, abs=0.005)
    assert float(y.float().mean()) == pytest.approx(1.0, abs=0.01)
    assert torch.equal(x.grad, y)
    assert torch.equal(torch_dropout(x, 0.3, seed).detach(), y)
    assert not torch.equal(torch_dropout(x, 0.3, seed + 1).detach(), y)
    for axis in range(3):
        others = tuple(each for each in range(3) if each != axis)
        assert float((dropped.mean(others) - 0.3).abs().max()) < 0.08
