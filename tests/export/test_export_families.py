"""Encoders whose graphs nobody wrote by hand, traced and proven: RoBERTa's options to NomicBERT."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from keras_attn_export.tflite.convert import has_lowering
from tiny_encoders import LABELS, encoder_tokenizer
from tiny_families import OPTIONS, tiny_backbone
from tiny_models import sentences

from keras_attn import device, models
from keras_attn.device.proof.verify import verify
from keras_attn.encoding import keras_task

PROGRAM = Path(__file__).parents[1] / "support" / "tiny" / "tiny_families.py"


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    folder = tmp_path_factory.mktemp("families")
    environment = {
        **os.environ,
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PYTHONPATH": os.pathsep.join(entry or os.getcwd() for entry in sys.path),
    }
    done = subprocess.run(
        [sys.executable, PROGRAM, folder], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return folder


@pytest.mark.parametrize("name", OPTIONS)
def test_int8_is_proven(name, bundles):
    checks = {
        each["name"]: each
        for each in json.loads((bundles / name / "report.json").read_text("utf-8"))["rungs"]
    }
    assert checks["fp32 scores"]["ok"] and checks["int8 scores"]["ok"]
    assert verify(bundles / name).ok
    # The Keras model of this process has other random weights, but reads and answers alike.
    task, texts = device.load(bundles / name), sentences()[:3]
    keras = keras_task(models.TextEmbedder(tiny_backbone(name)), encoder_tokenizer(), [16])
    for found, wanted in zip(task.embed(texts), keras.embed(texts), strict=True):
        assert found.embedding.shape == wanted.embedding.shape
        assert np.linalg.norm(found.embedding) == pytest.approx(1, abs=1e-3)


def test_what_the_lowering_does_not_compute_is_traced():
    bert = models.Bert.from_preset("tiny", vocabulary_size=30)
    assert not has_lowering(models.TextEmbedder(tiny_backbone("roberta")))
    assert not has_lowering(models.TextEmbedder(tiny_backbone("nomic")))
    assert not has_lowering(models.TextClassifier(bert, LABELS, hidden_activation="gelu", hidden_norm=True))
    assert not has_lowering(models.MaskedLM(bert, hidden_activation="relu"))
