"""Translators of others, with the logits and tokens that Hugging Face gives (tests/golden)."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from keras import ops

from keras_attn import pretrained
from keras_attn.device.search.search import search
from keras_attn.generation import KerasStepModel
from keras_attn.models import Transformer
from keras_attn.pretrained import PretrainedError

GOLDEN = Path(__file__).parents[1] / "golden"
NAMES = ("bart", "mbart", "m2m100", "pegasus", "t5", "flan-t5", "umt5")
END, PAD, FIRST = 0, 3, 7


@pytest.fixture(scope="module", params=NAMES)
def golden(request):
    """A model, what it was published with, and its name."""
    folder = GOLDEN / request.param
    return pretrained.load(folder), np.load(folder / "expected.npz"), request.param


def inputs(expected):
    return {
        "encoder_token_ids": expected["token_ids"],
        "encoder_padding_mask": expected["padding_mask"],
        "decoder_token_ids": expected["tokens"][:, :-1],
    }


def logits(model, expected):
    return np.asarray(ops.convert_to_numpy(model(inputs(expected))))


def test_logits_are_hugging_face_s(golden):
    model, expected, _ = golden
    wanted = expected["logits"]
    assert np.abs(logits(model, expected) - wanted).max() <= 2e-6 * np.abs(wanted).max()


def test_saving_keeps_every_bit(golden, tmp_path):
    model, expected, name = golden
    pretrained.save(model, tmp_path / "folder", {"eos_token_id": END})
    again = pretrained.load(tmp_path / "folder")
    assert again.get_config() == {**model.get_config(), "name": again.name}
    np.testing.assert_array_equal(logits(again, expected), logits(model, expected))
    config, saved = (
        json.loads((each / "config.json").read_text()) for each in (GOLDEN / name, tmp_path / "folder")
    )
    assert saved["model_type"] == config["model_type"] and saved["architectures"] == config["architectures"]


def test_the_search_begins_with_the_forced_token_and_gives_the_tokens_of_generate(golden):
    model, expected, name = golden
    options = pretrained.search_options(GOLDEN / name)
    assert (options["first_id"], options["beam"]) == (FIRST, 4)
    options |= {"max_length": 8, "early_stopping": True}  # as the golden files were made
    found = search(
        KerasStepModel(model, 8), expected["token_ids"], expected["padding_mask"], n_best=4, **options
    )
    # Where no end is forced, generate() lets what is unfinished compete.
    best = [max(sentence, key=lambda each: each.score).ids for sentence in found]
    assert all(ids[0] == FIRST for ids in best)
    assert best == [
        [int(token) for token in row[1:] if token not in (END, PAD)] for row in expected["tokens"]
    ]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("bart", {"tie_word_embeddings": False}, "tie_word_embeddings=False is not supported"),
        ("bart", {"normalize_before": True}, "normalize_before=True is not supported"),
        ("mbart", {"decoder_ffn_dim": 8}, "decoder_ffn_dim=8 and encoder_ffn_dim=10 differ"),
        ("m2m100", {"mystery": 1}, "mystery=1 is not known"),
        ("pegasus", {"activation_function": "swiglu"}, "activation_function='swiglu' is not supported"),
        ("t5", {"feed_forward_proj": "gated-swiglu"}, "dense_act_fn='swiglu' is not supported"),
        ("t5", {"is_decoder": True}, "is_decoder=True is not supported"),
        ("umt5", {"mystery": 1}, "mystery=1 is not known"),
        (
            "bart",
            {"architectures": ["BartForSequenceClassification"]},
            "BartForSequenceClassification is not",
        ),
    ],
)
def test_what_is_not_computed_is_refused_by_name(name, options, message, tmp_path):
    folder = Path(shutil.copytree(GOLDEN / name, tmp_path / name))
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, **options}), encoding="utf-8")
    with pytest.raises(PretrainedError, match=message):
        pretrained.load(folder)


def test_other_layouts_are_not_saved_and_rates_of_training_are_read(tmp_path):
    model = Transformer(20, hidden_dim=8, num_heads=2, position_encoding="learned", normalize_embedding=True)
    with pytest.raises(PretrainedError, match="position_encoding='learned'"):
        pretrained.save(model, tmp_path / "folder")
    folder = Path(shutil.copytree(GOLDEN / "m2m100", tmp_path / "m2m100"))
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config |= {"encoder_layerdrop": 0.05, "decoder_layerdrop": 0.05, "activation_dropout": 0.1}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    assert pretrained.load(folder).position_offset == PAD + 1
