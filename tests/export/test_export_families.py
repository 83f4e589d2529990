"""Encoders whose graphs nobody wrote by hand, traced and proven: RoBERTa's options to NomicBERT."""

import functools
import json

import pytest
from keras_attn_export import export
from keras_attn_export.tflite.convert import has_lowering
from tiny_encoders import LABELS, encoder_tokenizer
from tiny_models import in_process, sentences, stir

from keras_attn import models
from keras_attn.device.proof.verify import verify

OPTIONS = {
    "roberta": ("Bert", {"position_offset": 2, "embedding_dim": 8}),
    "albert": ("Albert", {"embedding_dim": 8}),
    "mpnet": ("MPNet", {}),
    "deberta": ("Deberta", {"num_buckets": 4, "max_distance": 8, "convolution": 3}),
    "modernbert": ("ModernBert", {"num_layers": 4, "local_attention": 4}),
    "nomic": ("NomicBert", {}),
}


@functools.cache
def backbone(name):
    import keras

    keras.utils.set_random_seed(5)
    kind, options = OPTIONS[name]
    tokenizer = encoder_tokenizer()
    sizes = {
        "vocabulary_size": tokenizer.tokenizer.get_vocab_size(),
        "pad_id": tokenizer.special_ids["pad"],
        **{"num_layers": 2, "num_heads": 2, "hidden_dim": 16, "intermediate_dim": 24},
        "max_sequence_length": 16,
    }
    made = getattr(models, kind)(**{**sizes, **options})
    stir(made)
    for variable in made.variables:
        if variable.path.endswith(("kernel", "embeddings")):
            variable.assign(8.0 * variable.value)
    return made


@pytest.mark.parametrize("name", OPTIONS)
def test_int8_is_proven(name, tmp_path):
    model = models.TextEmbedder(backbone(name))
    with in_process():
        export(
            model, tmp_path / "bundle", "int8", tokenizer=encoder_tokenizer(), buckets=(16,),
            examples=sentences()[:20], proof_sentences=8,
        )  # fmt: skip
    checks = {
        each["name"]: each
        for each in json.loads((tmp_path / "bundle/report.json").read_text("utf-8"))["rungs"]
    }
    assert checks["fp32 scores"]["ok"] and checks["int8 scores"]["ok"]
    assert verify(tmp_path / "bundle").ok


def test_what_the_lowering_does_not_compute_is_traced():
    bert = models.Bert.from_preset("tiny", vocabulary_size=30)
    assert not has_lowering(models.TextEmbedder(backbone("roberta")))
    assert not has_lowering(models.TextEmbedder(backbone("nomic")))
    assert not has_lowering(models.TextClassifier(bert, LABELS, hidden_activation="gelu", hidden_norm=True))
    assert not has_lowering(models.MaskedLM(bert, hidden_activation="relu"))
