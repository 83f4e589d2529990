"""Fine-tuning a translator: what it begins with, what stays as it is, and what is exported and saved."""

import shutil

import keras
import numpy as np
import pytest
from keras import ops
from tiny_checkpoint import WORDS, write_nllb

import keras_attn
from keras_attn import pretrained
from keras_attn.models import Transformer
from keras_attn.sources.find_source import find_source
from keras_attn.training import TrainingError, TranslationConfig, load_run, train
from keras_attn.training.initial_translator import freeze_parts
from keras_attn.training.optimization.lora import add_adapters
from keras_attn.training.progress import Silent

SIZES = {
    "max_tokens": 40,
    "batch_tokens": 640,
    "steps": 2,
    "warmup": 1,
    "evaluations": 1,
    "validation_sentences": 4,
    "average": 0,
    "boundaries": (40,),
    "learning_rate": 0.01,
}


def numpy(x):
    return np.asarray(ops.convert_to_numpy(x))


def weights(model):
    """Its trained arrays, by their names below the model's."""
    return {variable.path.partition("/")[2]: numpy(variable) for variable in model.trainable_variables}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint") / "nllb"
    write_nllb(folder)
    return folder


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    for split, rows in (("train", 24), ("validation", 4)):
        texts = [f"{WORDS[i % 6]} {WORDS[i // 6]}" for i in range(rows)]
        for code, write in (("en", str.lower), ("de", str.upper), ("fr", lambda text: text[::-1])):
            (folder / f"{split}.{code}").write_text("".join(f"{write(text)}\n" for text in texts), "utf-8")
    return folder


def config(checkpoint, corpus, **changes):
    files = {"train": str(corpus / "train"), "validation": str(corpus / "validation")}
    return TranslationConfig.recommended(**{**files, **SIZES, "init": str(checkpoint), **changes})


class Broken(Silent):
    """Stops a training at its second step."""

    def stepped(self, step, loss, target_tokens):
        if step == 2:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def tuned(checkpoint, corpus, tmp_path_factory):
    """A checkpoint that was fine-tuned in two directions with LoRA, interrupted, and continued without it."""
    folder = tmp_path_factory.mktemp("run")
    moved = folder / "init"
    shutil.copytree(checkpoint, moved)
    settings = config(moved, corpus, directions=("en-de", "fr-en"), lora_rank=2)
    from keras_attn.training.config.run_options import RunOptions

    saving = {"run_options": RunOptions(checkpoint_every=1)}
    with pytest.raises(KeyboardInterrupt):
        train(settings, folder / "run", progress=Broken(), **saving)
    shutil.rmtree(moved)
    return load_run(train(settings, folder / "run", resume=True, **saving).folder)


def test_an_adapted_run_has_plain_weights_that_differ_by_matrices_of_the_rank(tuned, checkpoint):
    before, after = weights(pretrained.load(checkpoint)), weights(tuned.model)
    changed = {path for path in after if not np.array_equal(before[path], after[path])}
    assert changed and all(path.endswith("kernel") for path in changed)
    kernel = next(path for path in changed if after[path].ndim == 2 and min(after[path].shape) > 2)
    difference = after[kernel] - before[kernel]
    assert np.linalg.matrix_rank(difference, tol=1e-5) <= 2
    assert not any(getattr(layer, "lora_enabled", False) for layer in tuned.model._flatten_layers())


def test_a_tuned_run_translates_between_its_checkpoints_languages(tuned, checkpoint):
    translator = keras_attn.load(tuned.folder, task="translation")
    assert translator.languages == ("deu_Latn", "eng_Latn", "fra_Latn")
    translator.translate("one two", source="fr", target="en", max_length=4)
    source = find_source(tuned.folder)
    assert source.languages == {"source": "eng_Latn", "target": "deu_Latn"}
    assert len(source.pairs) == 4 and source.pairs[0] == ("one one", "ONE ONE")
    other = find_source(tuned.folder, languages={"source": "fr", "target": "en"})
    assert other.pairs[0] == ("eno eno", "one one")
    original = find_source(checkpoint)
    assert other.template.languages == original.template.languages


def test_a_tuned_run_is_saved_as_a_folder_of_transformers(tuned, checkpoint, tmp_path):
    tuned.save(tmp_path / "saved")
    names = {path.name for path in checkpoint.iterdir()}
    assert {path.name for path in (tmp_path / "saved").iterdir()} == names
    again = pretrained.load(tmp_path / "saved")
    for path, array in weights(again).items():
        np.testing.assert_array_equal(array, weights(tuned.model)[path])
    text = "one two three"
    both = [keras_attn.load(folder, task="translation") for folder in (tmp_path / "saved", tuned.folder)]
    mine, theirs = (each.translate(text, target="de", max_length=6).outputs[0] for each in both)
    assert mine.ids == theirs.ids
    with pytest.raises(pretrained.PretrainedError, match="already exists"):
        tuned.save(tmp_path / "saved")


def test_a_damaged_file_of_the_checkpoint_is_named(tuned, tmp_path):
    shutil.copytree(tuned.folder, tmp_path / "run")
    (tmp_path / "run" / "initial" / "tokenizer_config.json").write_text("{}", "utf-8")
    with pytest.raises(TrainingError, match=r"initial/tokenizer_config\.json is damaged"):
        load_run(tmp_path / "run")


def tiny_transformer():
    keras.utils.set_random_seed(0)
    sizes = {"num_encoder_layers": 1, "num_decoder_layers": 1, "num_heads": 2, "dropout": 0.0}
    return Transformer(20, hidden_dim=8, intermediate_dim=12, position_encoding="learned", **sizes)


@pytest.mark.parametrize("part", ["embeddings", "encoder", "decoder"])
def test_a_frozen_part_is_not_trained(part):
    model = tiny_transformer()
    every = {variable.path for variable in model.trainable_variables}
    freeze_parts(model, [part])
    frozen = every - {variable.path for variable in model.trainable_variables}
    sides = {path.split("/")[1] for path in frozen}
    expected = {
        "embeddings": {"token_embedding", "encoder_position", "decoder_position"},
        "encoder": {"encoder_position", "encoder_layer_0", "encoder_norm"},
        "decoder": {"decoder_position", "decoder_layer_0", "decoder_norm"},
    }
    assert sides == expected[part]


def test_an_adapter_is_added_when_the_model_is_saved(tmp_path):
    model = tiny_transformer()
    inputs = {"encoder_token_ids": ops.array([[3, 4, 5]]), "decoder_token_ids": ops.array([[1, 6]])}
    plain = numpy(model(inputs))
    add_adapters(model, 2)
    assert all("lora" in variable.path for variable in model.trainable_variables)
    np.testing.assert_allclose(numpy(model(inputs)), plain, atol=1e-6)
    rng = np.random.default_rng(0)
    for variable in model.trainable_variables:
        variable.assign(rng.normal(size=variable.shape, scale=0.3))
    adapted = numpy(model(inputs))
    assert np.abs(adapted - plain).max() > 0.01
    model.save(tmp_path / "model.keras")
    merged = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(numpy(merged(inputs)), adapted, atol=1e-5)


def test_contradicting_settings_are_refused(checkpoint, corpus):
    for changes, message in (
        ({"vocabulary_size": 500}, "which decides them"),
        ({"bpe_dropout": 0.1}, "`bpe_dropout`"),
        ({"freeze": ("head",)}, "not head"),
        ({"freeze": "embeddings", "lora_rank": 2}, "leave `freeze` out"),
        ({"init": None, "lora_rank": 2}, "need `init`"),
    ):
        with pytest.raises(TrainingError, match=message):
            config(checkpoint, corpus, **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_tokens": 400, "boundaries": (400,)}, "has 48 positions"),
        ({"directions": ("en-zz",)}, "zz"),
        ({"init": "BUNDLE"}, "is a bundle"),
    ],
)
def test_what_cannot_be_tuned_is_refused(checkpoint, corpus, tmp_path, changes, message):
    if "init" in changes:
        (tmp_path / "bundle").mkdir()
        (tmp_path / "bundle" / "manifest.json").write_text("{}", "utf-8")
        changes = {"init": str(tmp_path / "bundle")}
    languages = {} if "directions" in changes else {"source_language": "en", "target_language": "de"}
    with pytest.raises(keras_attn.KerasAttnError, match=message):
        train(config(checkpoint, corpus, **languages, **changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()
