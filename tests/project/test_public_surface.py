"""All public names. Adding or removing one here is a decision."""

import importlib
import subprocess
import sys

import pytest

SURFACE = {
    "keras_attn": """KerasAttnError data device evaluation export layers load models pictures pretrained prove
        train training""",
    "keras_attn.device": """Answer AnswerSpan Answerer Bundle BundleError Classification Classifier Embedder
        Embedding EncoderTokenizer Entities Entity EntityRecognizer Filling Fillings Generation Generator
        InputError KerasAttnError Label MaskFiller MissingPackage Output PairTokenizer Predictor
        PromptTokenizer Report Score Scorer TextTooLong Tokenizer Translation Translator load verify""",
    "keras_attn_export": "RECIPES ConversionError ExportError Recipe Tolerance export prove tolerance_for",
}
HEAVY = ("keras", "tensorflow", "jax", "torch", "matplotlib", "tokenizers", "rich", "typer")


@pytest.mark.parametrize("module", SURFACE)
def test_a_module_has_these_names_and_tab_completion_shows_them(module):
    loaded = importlib.import_module(module)
    names = sorted(SURFACE[module].split())
    assert (
        sorted(loaded.__all__) == names == sorted(name for name in dir(loaded) if not name.startswith("__"))
    )
    assert not any(name.startswith("_") for name in names)
    assert all(getattr(loaded, name).__doc__ for name in names if name != "RECIPES")
    with pytest.raises(AttributeError, match="no_such_name"):
        loaded.no_such_name  # noqa: B018


def test_dir_and_completion_import_nothing_heavy():
    code = (
        "import sys, keras_attn; dir(keras_attn); dir(keras_attn.device); "
        "keras_attn.export; keras_attn.load; keras_attn.prove; "
        "dir(keras_attn.train); dir(keras_attn.training); "
        f"print(*[name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


LATER = """
import sys
{first}
assert "keras_attn.models" not in sys.modules
import keras
model = keras.saving.load_model(sys.argv[1])
print(type(model).__name__)
"""


@pytest.mark.parametrize(
    "first", ["import keras_attn", "import keras\nimport keras_attn", "import keras_attn.device"]
)
def test_keras_finds_the_classes_in_a_saved_model(tmp_path, first):
    import keras

    from keras_attn.layers import TransformerEncoder

    model = keras.Sequential([keras.Input((None, 8)), TransformerEncoder(intermediate_dim=16, num_heads=2)])
    model.save(tmp_path / "model.keras")
    command = [sys.executable, "-c", LATER.format(first=first), str(tmp_path / "model.keras")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout.split() == ["Sequential"], done.stderr
