"""Length-bucketed batches: nothing lost, nothing twice, few shapes, and the same again after a resume."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_attn.data.batching.batches import BucketedBatches
from keras_attn.data.errors import DataError

PAD, START, END = 0, 1, 2
IDS = {"pad_id": PAD, "start_id": START, "end_id": END}

side = st.lists(st.integers(3, 50), max_size=20)
corpora = st.lists(st.tuples(side, side), min_size=1, max_size=150).filter(
    lambda pairs: any(max(len(source), len(target)) < 16 for source, target in pairs)
)
options = st.fixed_dictionaries(
    {
        "tokens_per_batch": st.sampled_from([1, 64, 128, 256]),
        "boundaries": st.sampled_from([(4, 8, 16), (16,), (5, 6, 7, 16)]),
        "min_batches": st.integers(0, 3),
        "seed": st.integers(0, 3),
    }
)


def examples_of(batch):
    """The (source, target) ids of a batch, read back through its masks; the padding is checked on the way."""
    found = []
    for row in range(len(batch.source_ids)):
        source = batch.source_ids[row][batch.source_mask[row]].tolist()
        target = batch.target_ids[row][batch.target_mask[row]].tolist()
        given_to_decoder = batch.decoder_ids[row][batch.target_mask[row]].tolist()
        assert np.all(batch.source_ids[row][~batch.source_mask[row]] == PAD)
        assert np.all(batch.target_ids[row][~batch.target_mask[row]] == PAD)
        assert np.all(batch.decoder_ids[row][~batch.target_mask[row]] == PAD)
        if not source:
            assert not target
            continue
        assert source[-1] == END and target[-1] == END
        assert given_to_decoder == [START, *target[:-1]]
        found.append((tuple(source[:-1]), tuple(target[:-1])))
    return found


def contents(batch):
    return [array.tolist() for array in vars(batch).values() if isinstance(array, np.ndarray)]


@given(pairs=corpora, options=options, epoch=st.integers(0, 5))
@settings(max_examples=120, deadline=None)
def test_every_example_once_per_epoch(pairs, options, epoch):
    batches = BucketedBatches(pairs, **options, **IDS)
    made = list(batches.epoch(epoch))
    seen = sorted(example for batch in made for example in examples_of(batch))
    short = [pair for pair in pairs if max(map(len, pair)) < 16]
    assert seen == sorted((tuple(source), tuple(target)) for source, target in short)
    assert batches.left_out == len(pairs) - len(short)
    assert batches.n_examples == len(short)
    assert batches.batches_per_epoch == len(made)


@given(pairs=corpora, options=options)
@settings(max_examples=80, deadline=None)
def test_shapes_are_static_and_counted(pairs, options):
    batches = BucketedBatches(pairs, **options, **IDS)
    expected = tuple(
        (max(8, options["tokens_per_batch"] // max(widths) // 8 * 8), *widths) for widths in batches.lengths
    )
    assert batches.shapes == expected and len(expected) <= len(options["boundaries"])
    for batch in batches.epoch(0):
        assert (*batch.source_ids.shape, batch.target_ids.shape[1]) in batches.shapes
        assert batch.decoder_ids.shape == batch.target_ids.shape
        for array in (batch.source_ids, batch.decoder_ids, batch.target_ids):
            assert array.dtype == np.int32
        for mask, ids in ((batch.source_mask, batch.source_ids), (batch.target_mask, batch.target_ids)):
            assert mask.shape == ids.shape and mask.dtype == bool
        assert batch.n_target_tokens == batch.target_mask.sum() > 0


@given(pairs=corpora, options=options)
@settings(max_examples=80, deadline=None)
def test_each_side_is_as_wide_as_its_longest_example(pairs, options):
    batches = BucketedBatches(pairs, **options, **IDS)
    longest: dict[tuple, np.ndarray] = {}
    for batch in batches.epoch(0):
        found = (batch.source_mask.sum(axis=1).max(), batch.target_mask.sum(axis=1).max())
        shape = (batch.source_ids.shape[1], batch.target_ids.shape[1])
        longest[shape] = np.maximum(longest.get(shape, 0), found)
    for shape, needed in longest.items():
        assert np.all(np.array(shape) - needed < 4)


@given(pairs=corpora, others=corpora, options=options)
@settings(max_examples=80, deadline=None)
def test_given_widths_are_kept(pairs, others, options):
    first = BucketedBatches(pairs, **options, **IDS)
    later = BucketedBatches(
        others, **{**options, "boundaries": first.lengths, "min_batches": 0}, max_length=16, **IDS
    )
    assert len(set(later.shapes) - set(first.shapes)) <= 1  # one more bucket, for what fits into none
    seen = sorted(example for batch in later.epoch(0) for example in examples_of(batch))
    assert seen == sorted((tuple(s), tuple(t)) for s, t in others if max(len(s), len(t)) < 16)


@given(pairs=corpora, options=options, epoch=st.integers(0, 3), skip=st.integers(0, 30))
@settings(max_examples=80, deadline=None)
def test_skipping_batches_equals_dropping_them(pairs, options, epoch, skip):
    all_batches = [contents(batch) for batch in BucketedBatches(pairs, **options, **IDS).epoch(epoch)]
    resumed = BucketedBatches(pairs, **options, **IDS)
    list(resumed.epoch(0))  # what was drawn before must not matter
    assert [contents(batch) for batch in resumed.epoch(epoch, skip=skip)] == all_batches[skip:]


@given(pairs=corpora)
@settings(max_examples=50, deadline=None)
def test_without_merging_each_example_is_in_its_smallest_bucket(pairs):
    boundaries = (4, 8, 16)
    for batch in BucketedBatches(pairs, boundaries=boundaries, min_batches=0, **IDS).epoch(0):
        needed = {max(len(source), len(target)) + 1 for source, target in examples_of(batch)}
        assert len({min(length for length in boundaries if length >= each) for each in needed}) == 1


def test_small_buckets_move_up_and_the_largest_stays():
    pairs = [([5], [5])] * 3 + [([5] * 6, [5])] * 40 + [([5] * 12, [5])]
    common = {"boundaries": (4, 8, 16), "tokens_per_batch": 64, **IDS}
    assert BucketedBatches(pairs, min_batches=0, **common).lengths == ((4, 4), (8, 4), (16, 4))
    merged = BucketedBatches(pairs, min_batches=2, **common)
    assert merged.lengths == ((8, 4), (16, 4))
    assert merged.n_examples == len(pairs)


def test_epochs_and_seeds_differ():
    pairs = [([5 + i % 40], [6 + i % 40]) for i in range(100)]
    batches = BucketedBatches(pairs, tokens_per_batch=64, **IDS)
    orders = {
        str([contents(batch) for batch in source.epoch(n)])
        for source in (batches, BucketedBatches(pairs, tokens_per_batch=64, seed=1, **IDS))
        for n in (0, 1)
    }
    assert len(orders) == 4


def test_max_length_leaves_out_and_never_cuts():
    pairs = [([5] * 9, [5]), ([5] * 10, [5]), ([5], [5] * 30)]
    batches = BucketedBatches(pairs, max_length=10, **IDS)
    assert batches.left_out == 2 and batches.lengths == ((10, 4),)
    (batch,) = batches.epoch(0)
    assert examples_of(batch) == [((5,) * 9, (5,))]
    # Above the last boundary it adds a bucket.
    assert BucketedBatches([([5] * 199, [5])], max_length=200, **IDS).lengths == ((200, 4),)


def test_clear_errors():
    with pytest.raises(DataError, match="at most 4 tokens"):
        BucketedBatches([([5] * 9, [5])], max_length=4, **IDS)
    with pytest.raises(DataError, match="None of 0"):
        BucketedBatches([], **IDS)
    wrongs = [{"boundaries": (8, 4)}, {"boundaries": ()}, {"boundaries": ((8, 4), (4, 8))}]
    wrongs += [{"max_length": 0}, {"tokens_per_batch": 0}]
    for wrong in wrongs:
        with pytest.raises(ValueError):
            BucketedBatches([([5], [5])], **wrong, **IDS)
    with pytest.raises(ValueError, match="negative"):
        BucketedBatches([([5], [5])], **IDS).epoch(-1)
