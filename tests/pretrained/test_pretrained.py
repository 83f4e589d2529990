"""Checkpoints of others, against outputs that Hugging Face gave for them (tests/golden)."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras import ops

import keras_attn
from keras_attn import pretrained
from keras_attn.models import Bert, TextEmbedder, Transformer
from keras_attn.pretrained import PretrainedError

GOLDEN = Path(__file__).parents[1] / "golden"


def outputs(model, expected):
    found = model({name: expected[name] for name in ("token_ids", "padding_mask")})
    return {name: np.asarray(ops.convert_to_numpy(x)) for name, x in found.items()}


@pytest.mark.parametrize("name", ["bert", "distilbert"])
def test_a_checkpoint_gives_the_outputs_it_was_published_with(name, tmp_path):
    expected = np.load(GOLDEN / name / "expected.npz")
    model = pretrained.load(GOLDEN / name)
    found, exists = outputs(model, expected), expected["padding_mask"]
    np.testing.assert_allclose(
        found["sequence_output"][exists], expected["sequence_output"][exists], atol=1e-5
    )
    assert ("pooled_output" in found) == (name == "bert")
    if name == "bert":
        np.testing.assert_allclose(found["pooled_output"], expected["pooled_output"], atol=1e-5)
    # Saved both ways it is the same model, to the bit.
    pretrained.save(model, tmp_path / "folder")
    model.save(tmp_path / "model.keras")
    for again in (pretrained.load(tmp_path / "folder"), keras.saving.load_model(tmp_path / "model.keras")):
        for key, value in outputs(again, expected).items():
            np.testing.assert_array_equal(value, found[key])


def test_scores_of_every_layer_come_when_asked_for():
    expected = np.load(GOLDEN / "bert" / "expected.npz")
    model = pretrained.load(GOLDEN / "bert")
    given = {"token_ids": expected["token_ids"], "padding_mask": expected["padding_mask"]}
    scores = np.asarray(ops.convert_to_numpy(model(given, return_attention_scores=True)["attention_scores"]))
    assert scores.shape == (2, 3, 3, 9, 9)
    np.testing.assert_allclose(scores.sum(-1), 1, atol=1e-5)
    assert (scores[:, 1, :, :, 5:] == 0).all()


def test_padding_is_found_by_its_token_when_no_mask_is_given():
    model = Bert.from_preset("tiny", vocabulary_size=10, pad_id=7)
    ids = np.array([[3, 1, 7, 7]])
    by_token = ops.convert_to_numpy(model({"token_ids": ids})["pooled_output"])
    by_mask = model({"token_ids": ids, "padding_mask": ids != 7})["pooled_output"]
    short = model({"token_ids": ids[:, :2]})["pooled_output"]
    np.testing.assert_array_equal(by_token, ops.convert_to_numpy(by_mask))
    np.testing.assert_allclose(by_token, ops.convert_to_numpy(short), atol=1e-5)


def test_segments_are_refused_by_a_model_without():
    model = Bert.from_preset("tiny", vocabulary_size=10, num_segments=0)
    ids = np.array([[3, 1]])
    with pytest.raises(ValueError, match="segment_ids"):
        model({"token_ids": ids, "segment_ids": ids})


@pytest.fixture
def folder(tmp_path):
    return Path(shutil.copytree(GOLDEN / "bert", tmp_path / "bert"))


def edited(folder, **options):
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, **options}), encoding="utf-8")


def test_wrong_folders_are_distinguished(folder, tmp_path):
    with pytest.raises(PretrainedError, match=r"There is no folder .*nowhere"):
        pretrained.load(tmp_path / "nowhere")
    with pytest.raises(PretrainedError, match=r"config.json is missing"):
        pretrained.load(tmp_path)
    edited(folder, model_type="mamba")
    with pytest.raises(PretrainedError, match="architecture 'mamba' is not known, only bert"):
        pretrained.load(folder)


@pytest.fixture
def hub_cache(tmp_path, monkeypatch):
    """An empty cache of the hub's downloads, and no network."""
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


def test_a_name_on_the_hub_is_found_in_its_cache(hub_cache):
    repository = hub_cache / "models--somebody--bert"
    shutil.copytree(GOLDEN / "bert", repository / "snapshots" / "1234")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("1234", encoding="utf-8")
    assert pretrained.load("somebody/bert").vocabulary_size == 40


def test_without_a_network_a_name_says_what_to_do(hub_cache):
    with pytest.raises(
        PretrainedError, match=r"^There is no folder somebody/bert: .* a name on the hub(.|\n)*its folder"
    ):
        pretrained.load("somebody/bert")
    for path in ("a/b/c", "runs/dates.zip"):
        with pytest.raises(PretrainedError, match=rf"There is no folder {path}\."):
            pretrained.load(path)


def test_a_mistyped_path_is_neither_a_folder_nor_a_name_on_the_hub(monkeypatch, tmp_path):
    hub, errors = (pytest.importorskip(f"huggingface_hub{end}") for end in ("", ".errors"))

    def unknown(name, **options):
        reply = SimpleNamespace(headers={}, request=None)
        raise errors.RepositoryNotFoundError(f"404 Client Error. {name}", response=reply)

    monkeypatch.setattr(hub, "snapshot_download", unknown)
    for load in (pretrained.load, keras_attn.load):
        with pytest.raises(PretrainedError, match=r"^There is no folder runs/x, and no public .* on the hub"):
            load("runs/x")
    (tmp_path / "x").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PretrainedError, match=r"^x is a file: give a folder\.$"):
        pretrained.load("x")


def test_a_file_is_opened_once(folder, monkeypatch):
    import safetensors

    opened, really = [], safetensors.safe_open

    def counting(path, **options):
        opened.append(path.name)
        return really(path, **options)

    monkeypatch.setattr(safetensors, "safe_open", counting)
    pretrained.load(folder)
    assert opened == ["model.safetensors"]


def test_a_truncated_file_is_named(folder):
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:-100])
    with pytest.raises(PretrainedError, match=r"model.safetensors cannot be read"):
        pretrained.load(folder)
    (folder / "config.json").write_text("{", encoding="utf-8")
    with pytest.raises(PretrainedError, match=r"config.json cannot be read"):
        pretrained.load(folder)


def test_a_pickle_is_refused_with_the_way_to_convert_it(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(PretrainedError, match=r"pytorch_model.bin is a pickle(.|\n)*save_pretrained"):
        pretrained.load(folder)


def test_all_mismatches_are_reported_together(folder):
    edited(folder, type_vocab_size=3, num_hidden_layers=1)
    with pytest.raises(PretrainedError) as message:
        pretrained.load(folder)
    assert "token_type_embeddings.weight is (2, 12), the model expects (3, 12)" in str(message.value)
    assert str(message.value).count("encoder.layer.1.") == 16
    edited(folder, is_decoder=True, hidden_act="mish", position_embedding_type="relative_key")
    with pytest.raises(PretrainedError, match=r"relative_key(.|\n)*is_decoder=True(.|\n)*'mish'"):
        pretrained.load(folder)


def test_saving_never_overwrites_and_refuses_unsupported_models(folder, tmp_path):
    model = pretrained.load(folder)
    with pytest.raises(PretrainedError, match="already exists"):
        pretrained.save(model, folder)
    with pytest.raises(PretrainedError, match="MarianMTModel with `normalize_first=True`"):
        pretrained.save(Transformer.from_preset("tiny", vocabulary_size=10), tmp_path / "other")
    half = Bert.from_preset("tiny", vocabulary_size=10, num_segments=0)
    with pytest.raises(PretrainedError, match="without segments"):
        pretrained.save(half, tmp_path / "other")
    assert [path.name for path in tmp_path.iterdir()] == ["bert"]


@pytest.fixture
def sentence_encoder(folder):
    kinds = {"": "Transformer", "1_Pooling": "Pooling", "2_Normalize": "Normalize"}
    modules = [{"path": path, "type": f"sentence_transformers.models.{kind}"} for path, kind in kinds.items()]
    (folder / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
    (folder / "1_Pooling").mkdir()
    switches = {"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(switches), encoding="utf-8")
    return folder


def test_sentence_encoder_applies_its_modules(sentence_encoder, tmp_path):
    expected = np.load(GOLDEN / "bert" / "expected.npz")
    given = {name: expected[name] for name in ("token_ids", "padding_mask")}
    model = pretrained.load(sentence_encoder)
    exists = expected["padding_mask"][..., None]
    means = (expected["sequence_output"] * exists).sum(1) / exists.sum(1)
    means /= np.linalg.norm(means, axis=-1, keepdims=True)
    vectors = np.asarray(ops.convert_to_numpy(model(given)))
    np.testing.assert_allclose(vectors, means, atol=1e-5)
    pretrained.save(model, tmp_path / "saved")
    model.save(tmp_path / "model.keras")
    for again in (pretrained.load(tmp_path / "saved"), keras.saving.load_model(tmp_path / "model.keras")):
        np.testing.assert_array_equal(ops.convert_to_numpy(again(given)), vectors)


def test_dense_layers_and_ways_of_pooling_are_saved_as_they_are(sentence_encoder, tmp_path):
    expected = np.load(GOLDEN / "bert" / "expected.npz")
    given = {name: expected[name] for name in ("token_ids", "padding_mask")}
    dense = [{"units": 7, "activation": "tanh", "use_bias": True},
             {"units": 5, "activation": "linear", "use_bias": False}]  # fmt: skip
    backbone = pretrained.load(GOLDEN / "bert")
    model = TextEmbedder(backbone, ["weighted_mean", "last"], dense=dense, dimensions=4)
    exists, x = expected["padding_mask"], expected["sequence_output"]
    weights = exists * np.arange(1, x.shape[1] + 1)
    mean = np.einsum("bt,btd->bd", weights, x) / weights.sum(1, keepdims=True)
    both = np.concatenate([mean, x[np.arange(len(x)), exists.sum(1) - 1]], 1)
    first, second = (layer.get_weights() for layer in model.dense_layers)
    vectors = np.tanh(both @ first[0] + first[1]) @ second[0]
    vectors = (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))[:, :4]
    found = np.asarray(ops.convert_to_numpy(model(given)))
    np.testing.assert_allclose(found, vectors, atol=1e-5)
    pretrained.save(model, tmp_path / "saved")
    model.save(tmp_path / "model.keras")
    for again in (pretrained.load(tmp_path / "saved"), keras.saving.load_model(tmp_path / "model.keras")):
        np.testing.assert_array_equal(ops.convert_to_numpy(again(given)), found)
    with pytest.raises(ValueError, match="`pooling` must name"):
        TextEmbedder(backbone, [])
    with pytest.raises(ValueError, match="`dimensions` must be from 1 to 5"):
        TextEmbedder(backbone, dense=dense, dimensions=6)


def test_modules_that_are_not_supported_are_named(sentence_encoder):
    (sentence_encoder / "1_Pooling" / "config.json").write_text('{"pooling_mode": ["cls", "median"]}')
    with pytest.raises(PretrainedError, match=r"pooling by cls, median is not supported"):
        pretrained.load(sentence_encoder)
    modules = json.loads((sentence_encoder / "modules.json").read_text())
    modules[2]["type"] = "sentence_transformers.models.CNN"
    (sentence_encoder / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(PretrainedError, match="Transformer, Pooling, CNN are not supported"):
        pretrained.load(sentence_encoder)
    (sentence_encoder / "modules.json").write_text("[1]")
    with pytest.raises(PretrainedError, match=r"modules.json cannot be read"):
        pretrained.load(sentence_encoder)
