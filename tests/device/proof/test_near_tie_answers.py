"""Answers that tie for the Keras model count as its own; others do not."""

import numpy as np
import pytest

from keras_attn.device.proof.encoder_proof import EncoderProof, measure_encoder


class FixedScores:
    """An encoder that returns the same scores for every text."""

    def __init__(self, probabilities):
        self.scores = np.log(np.array(probabilities, np.float32))

    def run(self, ids, position=0):
        return self.scores


def proof_of(probabilities):
    scores = np.log(np.array([probabilities], np.float32))
    return EncoderProof(
        source_ids=np.array([[5, 6]], np.int32),
        source_lengths=np.array([2], np.int32),
        positions=np.zeros(1, np.int32),
        best=scores.argmax(-1).astype(np.int32),
        check_ids=np.arange(scores.shape[1], dtype=np.int32)[None],
        check_scores=scores,
    )


@pytest.mark.parametrize(
    ("reference", "found", "agreement"),
    [
        ([0.51, 0.49], [0.49, 0.51], 1.0),
        ([0.60, 0.40], [0.49, 0.51], 0.0),
        ([0.34, 0.33, 0.33], [0.33, 0.33, 0.34], 1.0),
        ([0.45, 0.35, 0.20], [0.30, 0.25, 0.45], 0.0),
    ],
)
def test_only_an_answer_that_ties_for_the_model_may_differ(reference, found, agreement):
    assert measure_encoder(FixedScores(found), proof_of(reference)).agreement == agreement
