"""BERT with XLM-R's tokenizer, which gives both texts of a pair the segment 0, as in transformers."""

import numpy as np
import pytest
from keras import ops
from tiny_encoders import encoder_tokenizer
from tiny_tasks import tiny_task
from tokenizers import Tokenizer, processors

from keras_attn.device.text.tokenizer import EncoderTokenizer
from keras_attn.encoding import keras_task
from keras_attn.sources.find_source import find_source, reading_pairs

PAIR = "[CLS]:0 $A:0 [SEP]:0 [SEP]:0 $B:{0} [SEP]:{0}"


def tokenizer(segment):
    """A tokenizer that encloses pairs as XLM-R's does, and gives the second text a segment."""
    made = Tokenizer.from_str(encoder_tokenizer().tokenizer.to_str())
    special = [(name, made.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    made.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0", pair=PAIR.format(segment), special_tokens=special
    )
    return EncoderTokenizer(made, encoder_tokenizer().special_ids)


@pytest.mark.parametrize("name", ["reranker", "answers"])
def test_a_pair_without_segments_is_read(name):
    model, one = tiny_task(name), tokenizer(0)
    source = find_source(model, tokenizer=one)
    assert (source.pairs, source.segments) == (True, False)
    ids = one.encode("the cat", "a dog")
    given = {"token_ids": np.array([ids]), "padding_mask": np.ones((1, len(ids)), bool)}
    plain = np.asarray(ops.convert_to_numpy(model({**given, "segment_ids": np.zeros((1, len(ids)), int)})))
    marked = np.asarray(
        ops.convert_to_numpy(model({**given, "segment_ids": (np.arange(len(ids)) > 3)[None] * 1}))
    )
    encoder = keras_task(model, one, [len(ids)]).encoder
    found, wanted = encoder.run(ids), plain[0]
    if name == "answers":
        wanted = np.asarray(ops.convert_to_numpy(ops.log_softmax(plain)))[0]
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert np.abs(marked - plain).max() > 1e-3


def test_classifiers_read_such_pairs_when_asked():
    source = find_source(tiny_task("inference"), tokenizer=tokenizer(0))
    assert not source.pairs
    assert reading_pairs(source).pairs and not reading_pairs(source).segments
