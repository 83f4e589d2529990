"""By what margin a search let go of the hypothesis that another runtime found."""

import numpy as np
import pytest
from near_ties import WatchedStepModel, margin

from keras_attn.device.search.search import search

START, END, VOCABULARY, STEPS = 1, 2, 9, 8


class TreeModel:
    """Every prefix has scores of its own, drawn by a seed; `noise` is added to all of them."""

    def __init__(self, seed, noise=0.0):
        self.seed, self.noise = seed, noise

    def start(self, source_ids, source_mask):
        return TreeState([()])

    def step(self, tokens, state):
        prefixes = [(*prefix, int(token)) for prefix, token in zip(state.prefixes, tokens, strict=True)]
        return np.stack([self.log_probs(prefix) for prefix in prefixes]), TreeState(prefixes)

    def log_probs(self, prefix):
        logits = np.random.default_rng([self.seed, *prefix]).normal(size=VOCABULARY)
        logits += self.noise * np.random.default_rng([99, *prefix]).uniform(-1, 1, VOCABULARY)
        return (logits - np.log(np.exp(logits).sum())).astype(np.float32)


class TreeState:
    alignment = None

    def __init__(self, prefixes):
        self.prefixes = prefixes

    def select(self, rows):
        return TreeState([self.prefixes[row] for row in rows])


def found(model, beam):
    ids, mask = np.zeros((1, 1), np.int32), np.ones((1, 1), bool)
    asked = {"start_id": START, "end_id": END, "beam": beam, "max_length": STEPS, "length_penalty": 1.0}
    return search(model, ids, mask, **asked)[0][0]


def watched_margin(seed, beam, ids):
    model = WatchedStepModel(TreeModel(seed))
    own = found(model, beam)
    return margin(model, [START, *ids, END], own.score, 1.0), own


@pytest.mark.parametrize("beam", [1, 4])
def test_tolerance_allows_rounding_but_not_other_errors(beam):
    different, other = [], []
    for seed in range(60):
        gap, own = watched_margin(seed, beam, found(TreeModel(seed), beam).ids)
        assert gap == pytest.approx(0, abs=1e-5)
        rounded = found(TreeModel(seed, noise=0.02), beam).ids
        if rounded != own.ids:
            different.append(watched_margin(seed, beam, rounded)[0])
        other.append(watched_margin(seed, beam, found(TreeModel(seed + 1000), beam).ids)[0])
    # The noise of two sums of at most STEPS scores.
    assert different and max(different) < 2 * 0.04 * (STEPS if beam > 1 else 1)
    assert np.median(other) > 0.4


def test_greedy_margin_is_that_of_the_first_different_token():
    ids = found(TreeModel(5), 1).ids
    best = TreeModel(5).log_probs((START, *ids[:2]))
    assert len(ids) > 3
    for token in set(range(VOCABULARY)) - {ids[2], END}:
        gap, _ = watched_margin(5, 1, [*ids[:2], token, *ids[3:]])
        assert gap == pytest.approx(best[ids[2]] - best[token], abs=1e-5)
