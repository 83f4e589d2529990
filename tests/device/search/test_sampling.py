"""Drawing tokens: what temperature, top-k and top-p leave, and that drawn texts follow it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_attn.device.search.sampling import Sampling

tables = st.lists(st.floats(-8, 8), min_size=2, max_size=40).map(
    lambda values: np.array(values, np.float32) - np.log(np.exp(np.array(values)).sum()).astype(np.float32)
)


@given(tables, st.floats(0.1, 5))
def test_temperature_alone_is_the_softmax(scores, temperature):
    found = Sampling(temperature).probabilities(scores)
    wanted = np.exp(scores.astype(np.float64) / temperature)
    np.testing.assert_allclose(found, wanted / wanted.sum(), atol=1e-6)


@given(tables, st.integers(1, 50), st.floats(0.01, 1))
def test_best_and_recent_checkpoints_are_kept(scores, top_k, top_p):
    whole = Sampling(1.0).probabilities(scores)
    few = Sampling(1.0, top_k=top_k).probabilities(scores)
    kept = np.flatnonzero(few)
    assert len(kept) >= min(top_k, len(scores)) and scores[kept].min() >= np.delete(scores, kept).max(
        initial=-99
    )
    nucleus = Sampling(1.0, top_p=top_p).probabilities(scores)
    inside = np.flatnonzero(nucleus)
    assert whole[inside].sum() >= top_p - 1e-6
    assert len(inside) == 1 or whole[inside].sum() - whole[inside].min() < top_p + 1e-6
    for found in (few, nucleus, Sampling(1.0, top_k, top_p).probabilities(scores)):
        assert found.sum() == pytest.approx(1)
        chosen = np.flatnonzero(found)
        np.testing.assert_allclose(
            found[chosen] / found[chosen].sum(), whole[chosen] / whole[chosen].sum(), rtol=1e-4
        )


@given(tables)
def test_no_temperature_and_top_1_are_the_best(scores):
    rng = np.random.default_rng(0)
    best = int(scores.argmax())
    assert Sampling().choose(scores, rng) == best
    assert scores[Sampling(2.0, top_p=1e-9).choose(scores, rng)] == scores[best]


def test_draws_follow_the_probabilities():
    scores = np.log(np.array([0.5, 0.3, 0.15, 0.05], np.float32))
    rng = np.random.default_rng(1)
    sampling = Sampling(1.0, top_k=3)
    drawn = [sampling.choose(scores, rng) for _ in range(4000)]
    shares = np.bincount(drawn, minlength=4) / len(drawn)
    np.testing.assert_allclose(shares, [0.5 / 0.95, 0.3 / 0.95, 0.15 / 0.95, 0], atol=0.03)


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": -0.1},
        {"temperature": float("nan")},
        {"temperature": True},
        {"temperature": 1.0, "top_k": 0},
        {"temperature": 1.0, "top_k": 2.5},
        {"temperature": 1.0, "top_p": 0},
        {"temperature": 1.0, "top_p": 1.1},
        {"top_k": 5},
        {"top_p": 0.5},
    ],
)
def test_options_out_of_range_are_named(options):
    with pytest.raises(ValueError, match=list(options)[-1]):
        Sampling(**options)
