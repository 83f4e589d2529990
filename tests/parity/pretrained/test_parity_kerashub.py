"""KerasHub's backbones and presets give equal outputs here."""

import json

import numpy as np
import pytest
from keras import ops

from keras_attn import pretrained
from keras_attn.models import GPT2, Albert, Bert, Deberta

pytestmark = pytest.mark.parity

SIZES = {
    "vocabulary_size": 40, "num_layers": 2, "num_heads": 3, "hidden_dim": 24, "intermediate_dim": 20,
    "max_sequence_length": 16,
}  # fmt: skip
RENAMED = {"vocab_size" if name == "vocabulary_size" else name: size for name, size in SIZES.items()}
CASES = {
    "BertBackbone": ({**SIZES, "num_segments": 3}, Bert),
    "DistilBertBackbone": (SIZES, Bert),
    "GPT2Backbone": (SIZES, GPT2),
    "RobertaBackbone": (SIZES, Bert),
    "XLMRobertaBackbone": (SIZES, Bert),
    "AlbertBackbone": (
        {**SIZES, "num_layers": 4, "embedding_dim": 12, "num_groups": 2, "num_inner_repetitions": 2},
        Albert,
    ),
    "ElectraBackbone": ({**RENAMED, "embedding_dim": 12}, Bert),
    "ElectraBackbone of one size": ({**RENAMED, "embedding_dim": 24}, Bert),
    "DebertaV3Backbone": ({**SIZES, "bucket_size": 4}, Deberta),
}


@pytest.fixture(scope="module", params=CASES)
def backbone(request):
    """A backbone whose weights are large enough to tell mistakes."""
    hub = pytest.importorskip("keras_hub")
    made = getattr(hub.models, request.param.split()[0])(**CASES[request.param][0])
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


@pytest.mark.parametrize("kind", ["Roberta", "XLMRoberta", "Albert", "DebertaV3"])
def test_classifiers_give_kerashub_s_logits(kind):
    hub = pytest.importorskip("keras_hub")
    made = getattr(hub.models, f"{kind}Backbone")(**CASES[f"{kind}Backbone"][0])
    task = getattr(hub.models, f"{kind}TextClassifier")(made, num_classes=3, preprocessor=None)
    rng = np.random.default_rng(0)
    for variable in task.trainable_variables:
        variable.assign(rng.normal(size=variable.shape) * 0.3)
    mask = np.arange(9)[None] < np.array([[9], [5], [1]])
    given = {"token_ids": rng.integers(4, 40, (3, 9)), "padding_mask": mask}
    theirs = {**given, "segment_ids": np.zeros((3, 9), int)} if kind == "Albert" else given
    expected = np.asarray(ops.convert_to_numpy(task(theirs)))
    found = np.asarray(ops.convert_to_numpy(pretrained.load(task)(given)))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_unknown_backbones_are_refused(tmp_path):
    hub = pytest.importorskip("keras_hub")
    sizes = {**SIZES, "num_layers": 1}
    fourier = {name: size for name, size in sizes.items() if name != "num_heads"}
    with pytest.raises(pretrained.PretrainedError, match="FNetBackbone is not a supported backbone"):
        pretrained.load(hub.models.FNetBackbone(**fourier))
    with pytest.raises(pretrained.PretrainedError, match="Bert is not a supported backbone"):
        pretrained.load(Bert(**sizes))
    config = {"module": "somebody", "class_name": "Model", "registered_name": "somebody>Model", "config": {}}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(pretrained.PretrainedError, match="somebody>Model is not a supported backbone"):
        pretrained.load(tmp_path)
