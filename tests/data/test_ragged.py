"""Tokens end to end in one array, on disk or not, and batches that are made ahead."""

import threading

import numpy as np
import pytest

from keras_attn.data import BucketedBatches
from keras_attn.data.batching.prefetch import prefetched
from keras_attn.data.batching.ragged import Ragged, stored

ROWS = [[5, 6, 7], [], [8], [9, 10]]


def test_ragged_rows_round_trip():
    ragged = Ragged.of(ROWS)
    assert [row.tolist() for row in ragged] == ROWS
    assert ragged[-1].tolist() == [9, 10]
    assert ragged.lengths.tolist() == [3, 0, 1, 2]
    with pytest.raises(IndexError):
        ragged[4]
    padded = ragged.padded(np.array([3, 0, 1]), 4, -1)
    assert padded.tolist() == [[9, 10, -1, -1], [5, 6, 7, -1], [-1] * 4]
    assert len(Ragged.of([])) == 0


def test_stored_arrays_are_made_once_and_mapped(tmp_path):
    made = []

    def make():
        made.append(1)
        return {"ids": np.arange(5, dtype=np.int32), "none": np.zeros(0, np.int32)}

    for _ in range(2):
        found = stored(tmp_path / "tokens", make)
        assert found["ids"].tolist() == [0, 1, 2, 3, 4]
        assert len(found["none"]) == 0
        assert not found["ids"].flags.writeable
    assert made == [1]
    assert [path.name for path in tmp_path.iterdir()] == ["tokens"]


def test_batches_are_the_same_from_lists_and_from_disk(tmp_path):
    rng = np.random.default_rng(0)
    pairs = [tuple(rng.integers(4, 99, rng.integers(1, 12)).tolist() for _ in range(2)) for _ in range(60)]
    settings = {
        "tokens_per_batch": 96,
        "boundaries": (6, 12),
        "seed": 3,
        "start_id": 1,
        "end_id": 2,
        "pad_id": 0,
    }
    arrays = {}
    for number, side in enumerate(("source", "target")):
        ids = Ragged.of(pair[number] for pair in pairs)
        arrays |= {f"{side}_ids": ids.flat, f"{side}_ends": ids.ends}
    mapped = stored(tmp_path / "tokens", lambda: arrays)
    sides = tuple(Ragged(mapped[f"{side}_ids"], mapped[f"{side}_ends"]) for side in ("source", "target"))
    for from_lists, from_disk in zip(
        BucketedBatches(pairs, **settings).epoch(1), BucketedBatches(sides, **settings).epoch(1), strict=True
    ):
        for name in ("source_ids", "decoder_ids", "target_ids", "source_mask", "target_mask"):
            np.testing.assert_array_equal(getattr(from_lists, name), getattr(from_disk, name))


def test_prefetching_keeps_the_order_and_ends_with_the_reader():
    assert list(prefetched(iter(range(20)), ahead=3)) == list(range(20))
    endless = prefetched(iter(int, 1), ahead=2)
    assert next(endless) == 0
    endless.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "prefetch"]


def test_prefetching_raises_what_the_items_raise_in_their_place():
    def items():
        yield 1
        raise RuntimeError("spoilt")

    given = prefetched(items())
    assert next(given) == 1
    with pytest.raises(RuntimeError, match="spoilt"):
        next(given)
