"""KerasHub's encoders, built from scratch as models of arrays."""

import numpy as np

from zoo.case import WORDS, Case, ids

SIZES = {"num_layers": 1, "num_heads": 2, "hidden_dim": 8, "intermediate_dim": 16, "dropout": 0.0}


def backbone(name, size="vocabulary_size", **options):
    def build():
        import keras_hub

        return getattr(keras_hub.models, name)(**{size: WORDS}, **options)

    return build


def padded(rng, count, length):
    tokens = ids(rng, count, length)
    return {"token_ids": tokens, "padding_mask": np.ones_like(tokens)}


def segmented(rng, count, length):
    given = padded(rng, count, length)
    return {**given, "segment_ids": rng.integers(0, 2, given["token_ids"].shape).astype("int32")}


def without_mask(rng, count, length):
    given = segmented(rng, count, length)
    del given["padding_mask"]
    return given


BERT = {**SIZES, "max_sequence_length": 12}
LENGTHS = [5, 9]
CASES = {
    "hub_bert": Case(backbone("BertBackbone", **BERT), segmented, LENGTHS, padded=True),
    "hub_roberta": Case(backbone("RobertaBackbone", **BERT), padded, LENGTHS, padded=True),
    "hub_distil_bert": Case(backbone("DistilBertBackbone", **BERT), padded, LENGTHS, padded=True),
    "hub_albert": Case(backbone("AlbertBackbone", embedding_dim=6, **BERT), segmented, LENGTHS, padded=True),
    "hub_electra": Case(
        backbone("ElectraBackbone", "vocab_size", embedding_dim=6, **BERT), segmented, LENGTHS, padded=True
    ),
    "hub_xlm_roberta": Case(backbone("XLMRobertaBackbone", **BERT), padded, LENGTHS, padded=True),
    "hub_deberta": Case(backbone("DebertaV3Backbone", bucket_size=4, **BERT), padded, LENGTHS, padded=True),
    "hub_f_net": Case(
        backbone("FNetBackbone", **{k: v for k, v in BERT.items() if k != "num_heads"}), without_mask, LENGTHS
    ),
}
