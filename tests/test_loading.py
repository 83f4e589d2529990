"""`keras_attn.load`: whatever a trained model lies in becomes the object of its task."""

import json
import shutil
from itertools import pairwise
from pathlib import Path

import pytest
from test_device_text import byte_pair_tokenizer
from tiny_marian import marian_folder
from toy_bundle import make_bundle

import keras_attn

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("bundles") / "toy", "recurrent", byte_pair_tokenizer())


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return marian_folder(tmp_path_factory.mktemp("checkpoints") / "marian")


def test_a_bundle_and_a_checkpoint_become_translators(bundle, checkpoint):
    for path in (bundle, str(bundle), checkpoint, str(checkpoint)):
        translator = keras_attn.load(path, task="translation")
        assert isinstance(translator, keras_attn.device.Translator)
        assert isinstance(translator.translate("a dog", max_length=4).text, str)


def test_a_checkpoint_translates_as_its_own_search_does(checkpoint):
    """`forced_eos_token_id` and the like are the folder's: no caller has to know of them."""
    assert keras_attn.load(checkpoint).force_end is True
    assert json.loads((checkpoint / "config.json").read_text())["forced_eos_token_id"] is not None


def test_another_task_is_refused(bundle, checkpoint):
    for path in (bundle, checkpoint):
        with pytest.raises(keras_attn.KerasAttnError, match="is for translation, not for embedding"):
            keras_attn.load(path, task="embedding")


def test_path_without_a_model_lists_the_expected_files(tmp_path):
    for path in (tmp_path, tmp_path / "missing", str(tmp_path / "missing")):
        with pytest.raises(keras_attn.KerasAttnError) as error:
            keras_attn.load(path)
        for name in ("run.json", "manifest.json", "config.json"):
            assert name in str(error.value)


def test_a_backbone_names_the_function_that_loads_it(tmp_path):
    shutil.copytree(GOLDEN / "bert", tmp_path / "bert")
    with pytest.raises(keras_attn.KerasAttnError, match=r"holds a Bert .* keras_attn\.pretrained\.load"):
        keras_attn.load(tmp_path / "bert")


def test_a_run_folder_is_not_a_bundle(tmp_path, capsys):
    from keras_attn.device.__main__ import main

    (tmp_path / "run.json").write_text("{}")
    assert main([str(tmp_path), "text"]) == 2
    assert f"keras-attn export {tmp_path} BUNDLE" in capsys.readouterr().err


def test_default_lengths_cover_the_training_lengths():
    from keras_attn.sources.lengths import ENCODER_LENGTHS, default_lengths

    lengths = [32, 64, 128, 256, 512]
    assert default_lengths(lengths, 300) == [32, 64, 128, 256]
    assert default_lengths(lengths, 300, longest_trained=100) == [32, 64, 128]
    assert default_lengths(lengths, None, longest_text=200) == [32, 64, 128, 200]
    assert default_lengths(lengths, 16) == [16]
    assert all(longer <= 1.5 * length for length, longer in pairwise(ENCODER_LENGTHS[1:]))
    assert default_lengths([64, 100], None, fitting=lambda length: length // 8 * 8) == [64, 96]
