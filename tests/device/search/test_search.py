"""Search against small random Markov models, whose every target can be listed."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_attn.device.search.search import Hypothesis, search
from keras_attn.device.search.token_scores import Scores

START, END = 1, 2


class MarkovState:
    """Each row knows its sentence, and the attention of its last step."""

    def __init__(self, sentences, alignment=None):
        self.sentences = sentences
        self.alignment = alignment

    def select(self, rows):
        assert not np.array_equal(rows, np.arange(len(self.sentences))), "select was called with the identity"
        alignment = None if self.alignment is None else self.alignment[rows]
        return MarkovState(self.sentences[rows], alignment)


class Markov:
    """log p(next | last, sentence) from a table; attention names the step and the fed token."""

    def __init__(self, tables, attends=True):
        self.tables = tables  # (sentences, V, V)
        self.attends = attends
        self.rows_seen = []
        self.fed = []
        self.buffer = None

    def start(self, source_ids, source_mask):
        return MarkovState(source_ids[:, 0])

    def step(self, tokens, state):
        self.rows_seen.append(len(tokens))
        self.fed.append(tokens.copy())
        if self.buffer is None:
            self.buffer = np.empty((len(tokens), self.tables.shape[1]), np.float32)
            self.attention = np.empty((len(tokens), 2), np.float32)
        self.buffer[...] = self.tables[state.sentences, tokens]
        self.attention[:, 0] = len(self.rows_seen)
        self.attention[:, 1] = tokens
        return self.buffer, MarkovState(state.sentences, self.attention if self.attends else None)


def random_tables(seed, sentences, vocabulary, sharpness=2.0):
    logits = np.random.default_rng(seed).normal(size=(sentences, vocabulary, vocabulary)) * sharpness
    return (logits - np.log(np.exp(logits).sum(-1, keepdims=True))).astype(np.float32)


def run(model, sentences, **options):
    ids = np.arange(sentences, dtype=np.int32)[:, None]
    return search(model, ids, np.ones((sentences, 1), bool), start_id=START, end_id=END, **options)


def log_prob_of(table, ids, finished=True):
    path = [START, *ids, *([END] if finished else [])]
    return sum(float(table[a, b]) for a, b in itertools.pairwise(path))


def exhaustive(table, max_length, length_penalty, suppress=()):
    """Every finished target of at most max_length tokens, as (score, ids), the best first."""
    allowed = [v for v in range(len(table)) if v != END and v not in suppress]
    found = []
    for length in range(max_length):
        for ids in itertools.product(allowed, repeat=length):
            found.append((log_prob_of(table, ids) / (length + 1) ** length_penalty, list(ids)))
    return sorted(found, key=lambda pair: -pair[0])


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    vocabulary=st.integers(4, 5),
    max_length=st.integers(1, 4),
    length_penalty=st.sampled_from([0.0, 0.5, 1.0, 2.0]),
    suppress=st.sampled_from([(), (0,), (0, 3)]),
)
def test_wide_enough_beam_finds_the_best_targets(seed, vocabulary, max_length, length_penalty, suppress):
    tables = random_tables(seed, 2, vocabulary)
    beam = vocabulary**max_length
    n_best = min(3, beam)
    options = {"max_length": max_length, "length_penalty": length_penalty, "suppress": suppress}
    answers = run(Markov(tables), 2, beam=beam, n_best=n_best, **options)
    for table, hypotheses in zip(tables, answers, strict=True):
        best = exhaustive(table, max_length, length_penalty, suppress)[:n_best]
        finished = [h for h in hypotheses if h.finished]
        assert [h.score for h in finished] == pytest.approx([score for score, _ in best])
        # [1, 3, 1] and [3, 1, 1] use the same arrows, so ids are compared by what they score.
        own = [log_prob_of(table, h.ids) / (len(h.ids) + 1) ** length_penalty for h in finished]
        assert own == pytest.approx([score for score, _ in best])
        assert len({tuple(h.ids) for h in finished}) == len(best)


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    beam=st.integers(1, 5),
    vocabulary=st.integers(4, 200),
    max_length=st.integers(1, 8),
)
def test_hypotheses_have_the_scores_of_their_tokens(seed, beam, vocabulary, max_length):
    """Scores belong to the ids, attention rows to the chosen path's tokens, and limits hold."""
    tables = random_tables(seed, 3, vocabulary)
    model = Markov(tables)
    answers = run(
        model, 3, beam=beam, n_best=beam, max_length=max_length, length_penalty=0.7, alignments=True
    )
    for table, hypotheses in zip(tables, answers, strict=True):
        assert 1 <= len(hypotheses) <= beam
        keys = [(not h.finished, -h.score) for h in hypotheses]
        assert keys == sorted(keys)
        assert len({tuple(h.ids) for h in hypotheses}) == len(hypotheses)
        for h in hypotheses:
            length = len(h.ids) + h.finished
            assert length <= max_length and (h.finished or length == max_length)
            assert END not in h.ids
            assert h.log_prob == pytest.approx(log_prob_of(table, h.ids, h.finished), abs=1e-5)
            assert h.score == pytest.approx(h.log_prob / length**0.7)
            assert h.alignment is not None and h.alignment.shape == (len(h.ids), 2)
            assert h.alignment[:, 0].tolist() == list(range(1, len(h.ids) + 1))
            assert h.alignment[:, 1].tolist() == [START, *h.ids][: len(h.ids)]
    assert set(model.rows_seen) == {3 * beam}
    assert len(model.rows_seen) <= max_length


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 10**6),
    beam=st.integers(1, 4),
    limits=st.lists(st.integers(1, 6), min_size=4, max_size=4),
)
def test_sentences_of_a_batch_do_not_influence_each_other(seed, beam, limits):
    tables = random_tables(seed, 4, 12)
    together = run(Markov(tables), 4, beam=beam, n_best=beam, max_length=np.array(limits))
    for sentence, limit in enumerate(limits):
        alone = run(Markov(tables[sentence : sentence + 1]), 1, beam=beam, n_best=beam, max_length=limit)
        assert together[sentence] == alone[0]


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6), vocabulary=st.integers(4, 50))
def test_greedy_takes_the_best_token_each_time(seed, vocabulary):
    table = random_tables(seed, 1, vocabulary)
    [[answer]] = run(Markov(table), 1, max_length=7)
    ids, last = [], START
    while len(ids) < 7 and (last := int(table[0, last].argmax())) != END:
        ids.append(last)
    assert answer.ids == ids
    assert answer.finished == (last == END)


def table_of(arrows, vocabulary=8):
    """A table with the given probabilities, and next to nothing elsewhere."""
    table = np.full((1, vocabulary, vocabulary), 1e-9)
    for (last, token), probability in arrows.items():
        table[0, last, token] = probability
    return np.log(table).astype(np.float32)


def test_a_beam_finds_what_greedy_misses():
    table = table_of({(1, 3): 0.6, (1, 4): 0.4, (3, 5): 0.3, (3, 2): 0.3, (5, 2): 0.9, (4, 2): 0.95})
    assert run(Markov(table), 1, max_length=6)[0][0].ids == [3]
    assert run(Markov(table), 1, max_length=6, beam=2)[0][0].ids == [4]


def test_finished_hypotheses_are_frozen():
    """[3] ends early with a good score; its row is never fed again, and it still wins at the end."""
    table = table_of(
        {(1, 3): 0.9, (1, 4): 0.1, (3, 2): 0.9, (3, 5): 0.1, (4, 4): 1.0, (5, 5): 0.5, (5, 2): 0.5}
    )
    model = Markov(table)
    [hypotheses] = run(model, 1, beam=2, n_best=2, max_length=9)
    assert hypotheses[0].ids == [3] and hypotheses[0].finished
    assert hypotheses[0].log_prob == pytest.approx(math.log(0.81), abs=1e-5)
    assert all(END not in fed for fed in model.fed), "an end token was fed to a live sentence"


def test_idle_rows_are_kept_while_others_continue():
    tables = np.concatenate([table_of({(1, 2): 1.0}), table_of({(1, 3): 1.0, (3, 3): 0.9, (3, 2): 0.1})])
    model = Markov(tables)
    answers = run(model, 2, max_length=5)
    assert answers[0] == [Hypothesis([], pytest.approx(0, abs=1e-6), pytest.approx(0, abs=1e-6), True)]
    assert answers[1][0].ids == [3] * 5 and not answers[1][0].finished
    assert model.rows_seen == [2] * 5


def test_the_length_penalty_orders_short_and_long():
    table = table_of({(1, 2): 0.3, (1, 3): 0.7, (3, 4): 0.6, (3, 2): 0.1, (4, 2): 0.6})
    short = run(Markov(table), 1, beam=3, max_length=5, length_penalty=0.0)[0][0]
    long = run(Markov(table), 1, beam=3, max_length=5, length_penalty=1.0)[0][0]
    assert short.ids == [] and long.ids == [3, 4]


def test_unfinished_hypotheses_fill_up_behind_finished_ones():
    table = table_of({(1, 2): 0.01, (1, 3): 0.99, (3, 3): 1.0})
    [hypotheses] = run(Markov(table), 1, beam=2, n_best=2, max_length=4)
    assert [(h.ids, h.finished) for h in hypotheses] == [([], True), ([3, 3, 3, 3], False)]


@pytest.mark.parametrize("beam", [1, 3])
def test_ties_go_to_the_lower_token_every_time(beam):
    flat = np.full((1, 400, 400), -math.log(400), np.float32)
    [hypotheses] = run(Markov(flat), 1, beam=beam, n_best=beam, max_length=3)
    assert hypotheses[0].ids == ([0, 0, 0] if beam == 1 else [])  # a wider beam also meets the end token, 2
    assert run(Markov(flat), 1, beam=beam, n_best=beam, max_length=3)[0] == hypotheses


@pytest.mark.parametrize("beam", [1, 3])
def test_forced_end_has_no_cost(beam):
    tables = random_tables(3, 2, 6)
    tables[1, :, END] = -50.0  # never ends by itself
    limits = [5, 3]
    forced = run(Markov(tables), 2, beam=beam, n_best=beam, max_length=limits, force_end=True)
    for table, hypotheses, limit in zip(tables, forced, limits, strict=True):
        assert all(h.finished and len(h.ids) < limit for h in hypotheses)
        assert [h.score for h in hypotheses] == sorted((h.score for h in hypotheses), reverse=True)
        for h in hypotheses:
            ended = len(h.ids) < limit - 1
            assert h.log_prob == pytest.approx(log_prob_of(table, h.ids, ended), abs=1e-5)
    assert {len(h.ids) for h in forced[1]} == {2}
    # What comes before the forced end is what a search of one step less finds.
    shorter = run(Markov(tables), 2, beam=beam, n_best=beam, max_length=2)[1]
    assert [h.ids for h in forced[1]] == [h.ids for h in shorter]


@pytest.mark.parametrize("length_penalty", [0.0, 1.0])
def test_search_without_early_stopping_finds_better_hypotheses(length_penalty):
    options = {"beam": 3, "n_best": 3, "max_length": 12, "length_penalty": length_penalty}
    better = 0
    for seed in range(30):
        tables = random_tables(seed, 2, 8)
        early, late = (run(Markov(tables), 2, early_stopping=early, **options) for early in (True, False))
        for stopped, others in zip(early, late, strict=True):
            stopped.sort(key=lambda each: -each.score)  # Unfinished ones, if any, were the last.
            pairs = list(zip(stopped, others, strict=True))
            assert all(one.score <= other.score for one, other in pairs)
            better += any(one.ids != other.ids for one, other in pairs)
    assert better


def test_at_the_limit_what_is_unfinished_competes_unless_the_search_stops_early():
    table = table_of({(1, 2): 0.3, (1, 3): 0.7, (3, 2): 0.1, (3, 4): 0.9, (4, 2): 1.0})
    options = {"beam": 2, "n_best": 2, "max_length": 2}
    [found] = run(Markov(table), 1, early_stopping=False, **options)
    assert [(each.ids, each.finished) for each in found] == [([3, 4], False), ([], True)]
    assert found[0].score == pytest.approx(math.log(0.7 * 0.9) / 2)
    [stopped] = run(Markov(table), 1, early_stopping=True, **options)
    assert [(each.ids, each.finished) for each in stopped] == [([], True), ([3], True)]


def test_search_without_early_stopping_ends_when_no_hypothesis_can_win():
    # "[3, 4]" is better than the worst of the two that have ended when the first two are found.
    table = table_of({(1, 2): 0.3, (1, 3): 0.7, (3, 2): 0.1, (3, 4): 0.9, (4, 2): 1.0})
    options = {"beam": 2, "n_best": 2, "max_length": 9, "length_penalty": 0.0}
    model = Markov(table)
    [found] = run(model, 1, early_stopping=False, **options)
    assert [one.ids for one in found] == [[3, 4], []] and len(model.rows_seen) < 9
    [stopped] = run(Markov(table), 1, early_stopping=True, **options)
    assert [one.ids for one in stopped] == [[], [3]]


@pytest.mark.parametrize("beam", [1, 2, 4])
def test_suppressed_tokens_are_never_produced(beam):
    table = random_tables(5, 1, 20)
    table[0, :, [0, 1, 3]] = -0.01
    for h in run(Markov(table), 1, beam=beam, n_best=beam, max_length=6, suppress=(0, 1, 3))[0]:
        assert not set(h.ids) & {0, 1, 3}
        assert h.log_prob == pytest.approx(log_prob_of(table[0], h.ids, h.finished), abs=1e-5)


@pytest.mark.parametrize("beam", [1, 2])
def test_models_without_attention_give_no_alignment(beam):
    tables = random_tables(0, 1, 6)
    assert (
        run(Markov(tables, attends=False), 1, beam=beam, max_length=3, alignments=True)[0][0].alignment
        is None
    )
    assert run(Markov(tables), 1, beam=beam, max_length=3)[0][0].alignment is None


@pytest.mark.parametrize("beam", [1, 2])
@pytest.mark.parametrize("vocabulary", [6, 500])
def test_scores_that_are_not_numbers_are_reported(beam, vocabulary):
    with pytest.raises(ValueError, match="step 0 are not numbers"):
        run(Markov(np.full((1, vocabulary, vocabulary), np.nan, np.float32)), 1, beam=beam, max_length=3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beam": 0}, "beam must be"),
        ({"beam": 2.0}, "beam must be"),
        ({"beam": True}, "beam must be"),
        ({"beam": 2, "n_best": 3}, "increase beam"),
        ({"max_length": 0}, "max_length must be at least 1"),
        ({"max_length": 2.5}, "max_length must be a whole number"),
        ({"max_length": [1, 2]}, "one whole number per sentence"),
        ({"length_penalty": float("nan")}, "length_penalty"),
        ({"length_penalty": -1}, "length_penalty"),
        ({"length_penalty": "1"}, "length_penalty"),
        ({"suppress": (END,)}, "suppress"),
    ],
)
def test_bad_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        run(Markov(random_tables(0, 1, 6)), 1, **{"max_length": 3, **options})


def test_no_sentences_no_answers():
    assert run(Markov(random_tables(0, 1, 6)), 0, max_length=3) == []


@settings(deadline=None, max_examples=100)
@given(
    seed=st.integers(0, 10**6),
    vocabulary=st.integers(1, 700),
    count=st.integers(1, 12),
    levels=st.integers(1, 50),
)
def test_candidates_hold_the_best_tokens_with_their_ties(seed, vocabulary, count, levels):
    scores = np.random.default_rng(seed).integers(0, levels, (3, vocabulary)).astype(np.float32)
    live = np.array([True, False, True])
    rows, tokens, _ = Scores(scores).candidates(live, count)
    assert 1 not in rows
    for row in (0, 2):
        best = np.argsort(-scores[row], kind="stable")[:count]
        assert set(best) <= set(tokens[rows == row])


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 9), known=st.integers(1, 12))
def test_candidates_of_the_model_are_those_of_the_vocabulary(seed, count, known):
    """A model that knows its best tokens saves looking for them, if it tells enough of them."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(3, 40)).astype(np.float32)
    normalizer = np.log(np.exp(logits).sum(1, keepdims=True))
    top = np.argsort(-logits, axis=1)[:, :known]
    shortlisted = Scores(logits, normalizer, top.astype(np.int32), np.take_along_axis(logits, top, 1))
    live = np.array([True, False, True])
    found = []
    for scores in (shortlisted, Scores(logits - normalizer)):
        rows, tokens, log_probs = scores.candidates(live, count)
        each = sorted(zip(rows.tolist(), (-log_probs).tolist(), tokens.tolist(), strict=True))
        found.append([[token for row, _, token in each if row == wanted][:count] for wanted in (0, 2)])
    assert found[0] == found[1]
    assert shortlisted.best(()) == logits.argmax(1).tolist()
    assert np.isclose(shortlisted.log_prob(1, 5), np.asarray(shortlisted)[1, 5])
    assert np.allclose(shortlisted[:, 3], (logits - normalizer)[:, 3])
