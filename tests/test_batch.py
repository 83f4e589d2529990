"""Sentences decoded together, against each of them decoded alone."""

import functools
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras_attn_export.convert import convert, find_lowering
from keras_attn_export.ladder_decoder import decoder_layout
from keras_attn_export.recipes import INT8
from keras_attn_export.sources import find_source
from tiny_models import in_process, layout, scratch, tiny, tokenizer

from keras_attn.device.batch import search_batch
from keras_attn.device.decoder import LiteRTStepModel
from keras_attn.device.hypotheses import Rules
from keras_attn.device.interpreter import Model
from keras_attn.device.search import search

ROWS, BATCHES = (1, 3), ((4, 1), (4, 3))
MODELS = ("transformer", "marian", "rnnsearch", "seq2seq")
FILES = ("fp32.tflite", "quantized.tflite")


@functools.cache
def opened(name, file):
    """The step model of a tiny model's file, with steps for batches of 4."""
    source, folder = find_source(tiny(name), tokenizer=tokenizer()), scratch() / f"{name}-batch"
    if not folder.exists():
        folder.mkdir()
        with in_process(), mock.patch("keras_attn_export.buckets.FEWEST_TARGET_TOKENS", 2):
            convert(
                folder,
                config=source.config,
                weights=source.weights(),
                lowering=find_lowering(source.class_name),
                buckets=layout(tiny(name)),
                options={"rows": ROWS, "batches": BATCHES},
                recipe=INT8,
            )
    with mock.patch("keras_attn_export.buckets.FEWEST_TARGET_TOKENS", 2):
        buckets = decoder_layout(layout(tiny(name)), ROWS, batches=BATCHES)
    return LiteRTStepModel(Model(folder / file), buckets, pad_id=0)


def rules(beam, **more):
    options = {"start_id": 1, "end_id": 2, "beam": beam, "n_best": beam, "length_penalty": 0.7}
    return Rules(**{**options, "alignments": True, "suppress": frozenset({0}), "force_end": False, **more})


def alone(steps, source, limit, chosen):
    options = {name: getattr(chosen, name) for name in Rules.__dataclass_fields__}
    ids = np.array([source], np.int32)
    return search(steps.for_length(limit), ids, np.ones_like(ids, bool), max_length=limit, **options)[0]


@pytest.fixture(scope="module", params=[(name, file) for name in MODELS for file in FILES], ids="-".join)
def steps(request):
    return opened(*request.param)


@settings(deadline=None, max_examples=10)
@given(
    seed=st.integers(0, 10**6),
    lengths=st.lists(st.integers(1, 8), min_size=1, max_size=11),
    beam=st.integers(1, 3),
    force_end=st.booleans(),
)
def test_together_is_as_alone(steps, seed, lengths, beam, force_end):
    rng = np.random.default_rng(seed)
    sources = [rng.integers(4, 320, length).tolist() for length in lengths]
    # Without an end token some are as long as they may be, at which signatures change.
    limits = rng.integers(1, 17, len(lengths)).tolist()
    end = int(rng.choice([2, *range(4, 320)]))
    chosen = rules(beam, force_end=force_end, end_id=end)
    found = search_batch(steps.batch(beam), sources, limits, chosen)
    for source, limit, together in zip(sources, limits, found, strict=True):
        wanted = alone(steps, source, limit, chosen)
        assert [each.ids for each in together] == [each.ids for each in wanted]
        assert [each.finished for each in together] == [each.finished for each in wanted]
        for one, other in zip(together, wanted, strict=True):
            assert one.score == pytest.approx(other.score, abs=1e-4)
            if other.alignment is None:
                assert one.alignment is None
            else:
                assert np.allclose(one.alignment, other.alignment, atol=1e-5)
