"""KerasHub's backbones and presets give equal outputs here."""

import json

import numpy as np
import pytest
from keras import ops

from keras_attn import pretrained
from keras_attn.models import GPT2, Bert

pytestmark = pytest.mark.parity

SIZES = {
    "vocabulary_size": 40, "num_layers": 2, "num_heads": 3, "hidden_dim": 24, "intermediate_dim": 20,
    "max_sequence_length": 16,
}  # fmt: skip
CASES = {
    "BertBackbone": ({**SIZES, "num_segments": 3}, Bert),
    "DistilBertBackbone": (SIZES, Bert),
    "GPT2Backbone": (SIZES, GPT2),
}


@pytest.fixture(scope="module", params=CASES)
def backbone(request):
    """A backbone whose weights are large enough to tell mistakes."""
    hub = pytest.importorskip("keras_hub")
    made = getattr(hub.models, request.param)(**CASES[request.param][0])
    rng = np.random.default_rng(0)
    for variable in made.trainable_variables:
        variable.assign(rng.normal(size=variable.shape) * 0.3)
    return made


def outputs(model, segments):
    """Outputs where there are tokens, by name."""
    rng, mask = np.random.default_rng(0), np.arange(9)[None] < np.array([[9], [5], [1]])
    given = {"token_ids": rng.integers(4, 40, (3, 9)), "padding_mask": mask}
    if segments:
        given["segment_ids"] = rng.integers(0, segments, (3, 9))
    found = model(given)
    # Some of KerasHub's backbones return their one output as it is.
    found = found if isinstance(found, dict) else {"sequence_output": found}
    found = {name: np.asarray(ops.convert_to_numpy(x)) for name, x in found.items()}
    return {**found, "sequence_output": found["sequence_output"][mask]}


def assert_equal_outputs(model, backbone):
    segments = getattr(backbone, "num_segments", 0)
    found, expected = outputs(model, segments), outputs(backbone, segments)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, atol=1e-5)


def test_a_backbone_gives_kerashub_s_outputs(backbone):
    model = pretrained.load(backbone, attention_dropout=0.0)
    assert type(model) is CASES[type(backbone).__name__][1]
    assert model.attention_dropout == 0.0
    assert_equal_outputs(model, backbone)


def test_a_preset_s_folder_is_read(backbone, tmp_path):
    folder = tmp_path / "preset"
    backbone.save_to_preset(str(folder))
    assert_equal_outputs(pretrained.load(folder), backbone)
    with pytest.raises(pretrained.PretrainedError, match="without a tokenizer"):
        pretrained.load_tokenizer(folder)
    (folder / "model.weights.h5").unlink()
    with pytest.raises(pretrained.PretrainedError, match="preset cannot be read by KerasHub"):
        pretrained.load(folder)


def test_unknown_backbones_are_refused(tmp_path):
    hub = pytest.importorskip("keras_hub")
    sizes = {**SIZES, "num_layers": 1}
    with pytest.raises(pretrained.PretrainedError, match="RobertaBackbone is not a supported backbone"):
        pretrained.load(hub.models.RobertaBackbone(**sizes))
    with pytest.raises(pretrained.PretrainedError, match="Bert is not a supported backbone"):
        pretrained.load(Bert(**sizes))
    config = {"module": "somebody", "class_name": "Model", "registered_name": "somebody>Model", "config": {}}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(pretrained.PretrainedError, match="somebody>Model is not a supported backbone"):
        pretrained.load(tmp_path)
