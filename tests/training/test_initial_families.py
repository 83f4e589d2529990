"""Trainings from a checkpoint of every encoder that is loaded: all heads, frozen layers, dropout."""

import json
from typing import Any

import numpy as np
import pytest
from tiny_encoders import encoder_tokenizer
from tiny_families import OPTIONS, tiny_backbone

from keras_attn import pretrained
from keras_attn.training import TokenClassificationConfig, load_run, train
from keras_attn.training.errors import TrainingError
from keras_attn.training.initialization import InitialModel, load_initial_model, with_settings
from keras_attn.training.optimization.layerwise import freeze, rate_factors
from keras_attn.training.progress import Silent

SMALL: dict[str, Any] = {"max_tokens": 12, "batch_size": 8, "steps": 2, "warmup": 1, "evaluations": 1}


SAVED = ("albert", "deberta")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Checkpoints with their tokenizer."""
    base = tmp_path_factory.mktemp("families")
    for name in SAVED:
        pretrained.save(tiny_backbone(name), base / name)
        encoder_tokenizer().tokenizer.save(str(base / name / "tokenizer.json"))
        roles = {f"{role}_token": f"[{role.upper()}]" for role in ("pad", "unk", "cls", "sep", "mask")}
        options = {"tokenizer_class": "PreTrainedTokenizerFast", **roles}
        (base / name / "tokenizer_config.json").write_text(json.dumps(options), "utf-8")
    return base


@pytest.mark.parametrize("name", OPTIONS)
def test_settings_keep_the_weights_and_set_the_dropout(name):
    initial = InitialModel(tiny_backbone(name), None, {})
    config = TokenClassificationConfig(train="x", init=name, dropout=0.25, max_tokens=12)
    made = with_settings(initial, config, type(initial.backbone)).backbone
    assert (made.dropout, made.attention_dropout) == (0.25, 0.25)
    for ours, theirs in zip(made.trainable_variables, initial.backbone.trainable_variables, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    with pytest.raises(TrainingError, match=r"`max_tokens` is 99, but .* has 1[46] positions"):
        long = TokenClassificationConfig(train="x", init=name, max_tokens=99)
        with_settings(initial, long, type(initial.backbone))


@pytest.mark.parametrize("name", OPTIONS)
def test_rates_and_frozen_layers_reach_every_variable_below_the_first_layer(name):
    from keras_attn.models import TokenClassifier

    model = TokenClassifier(tiny_backbone(name), ["O", "B-X"])
    shared = len(model.backbone.encoder_layers) < model.backbone.num_layers
    paths = [variable.path for variable in model.trainable_variables]
    factors = dict(zip(paths, rate_factors(model, 0.5), strict=True))
    head = [path for path, factor in factors.items() if factor == 1.0]
    assert all("output_dense" in path or "pooler" in path or "final_norm" in path for path in head), head
    freeze(model.backbone, 0)
    frozen = set(paths) - {variable.path for variable in model.trainable_variables}
    lowest = min(factors.values())
    assert frozen == {path for path, factor in factors.items() if factor == lowest}
    if shared:
        with pytest.raises(TrainingError, match="2 layers share the weights of 1: choose 0 or -1"):
            freeze(model.backbone, 1)


@pytest.mark.parametrize("name", SAVED)
def test_a_recognizer_is_trained_from_the_folder(folders, tmp_path, name):
    rows = [{"text": "the red cat", "entities": [{"start": 8, "end": 11, "label": "X"}]}] * 2
    rows += [{"text": f"the old tree {'is green ' * n}", "entities": []} for n in range(9)]
    path = tmp_path / "t.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    config = TokenClassificationConfig(train=str(path), init=str(folders / name), layer_decay=0.9, **SMALL)
    train(config, tmp_path / "run", progress=Silent())
    before = load_initial_model(str(folders / name), without_head=True).backbone
    after = load_run(tmp_path / "run").model.backbone
    assert type(after) is type(before)
    moved = [
        not np.array_equal(one.numpy(), other.numpy())
        for one, other in zip(before.trainable_variables, after.trainable_variables, strict=False)
    ]
    assert sum(moved) > len(moved) / 2
