"""A `.keras` file on the command line: exported with its module, run, verified, inspected and timed."""

import json
import re
import sys

import keras
import numpy as np
import pytest

import keras_attn
from keras_attn import cli

MODULE = """
import keras

@keras.saving.register_keras_serializable(package="doors")
class Twice(keras.layers.Layer):
    def __init__(self, **options):
        super().__init__(**options)
        self.supports_masking = True

    def call(self, x):
        return 2 * x
"""
EXPORT = ["--recipe", "fp32", "--lengths", "4,8", "--batch", "2,3", "--examples", "ids.npz"]


def program(capsys, *arguments):
    """The exit code, and what was printed on both streams."""
    capsys.readouterr()
    code = cli.run_program([*map(str, arguments)])
    return code, *capsys.readouterr()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a user's module, a model with its class, examples, and a bundle of the model."""
    made = tmp_path_factory.mktemp("doors")
    (made / "users_layers.py").write_text(MODULE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(made)
        patch.syspath_prepend(str(made))
        import users_layers  # pyright: ignore[reportMissingImports]

        keras.utils.set_random_seed(0)
        ids = keras.Input((None,), dtype="int32", name="ids")
        x = users_layers.Twice()(keras.layers.Embedding(20, 6, mask_zero=True)(ids))
        kind = keras.layers.Dense(3, name="kind")(keras.layers.GlobalAveragePooling1D()(x))
        keras.Model(ids, {"kind": kind, "tags": keras.layers.Dense(2, name="tags")(x)}).save("own.keras")
        other = keras.Input((5,), name="signal")
        keras.Model(other, keras.layers.Dense(2)(other)).save("other.keras")
        np.savez("ids.npz", ids=np.random.default_rng(0).integers(1, 20, (12, 8)))
    forget_users_classes()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(made)
        patch.setattr(sys, "path", list(sys.path))
        arguments = ["export", "own.keras", "bundle", *EXPORT, "--module", "users_layers"]
        assert cli.run_program(arguments) == 0
    return made


def forget_users_classes():
    sys.modules.pop("users_layers", None)
    for name in [name for name in keras.saving.get_custom_objects() if name.startswith("doors>")]:
        del keras.saving.get_custom_objects()[name]


@pytest.fixture(autouse=True)
def inside(folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])


def test_a_class_that_is_not_imported_is_refused_with_the_remedy(capsys, tmp_path):
    forget_users_classes()
    code, _, told = program(capsys, "export", "own.keras", tmp_path / "bundle")
    assert code == 2 and "--module PKG.MOD" in told and len(told.splitlines()) == 1
    code, _, told = program(capsys, "export", "own.keras", tmp_path / "bundle", "--module", "no_such")
    assert code == 2 and "--module no_such cannot be imported" in told


def test_the_bundle_has_the_lengths_and_batches_that_were_asked_for(folder, capsys):
    code, shown, _ = program(capsys, "inspect", "bundle", "--json")
    found = json.loads(shown)
    assert code == 0 and found["task"] == "prediction"
    assert [(b["source"], list(b["predict"])) for b in found["buckets"]] == [
        (4, ["1", "2", "3"]),
        (8, ["1", "2", "3"]),
    ]
    _, shown, _ = program(capsys, "inspect", "bundle")
    assert "'ids' of shape (batch, length) and type int32" in shown
    assert "4, 8; shorter inputs are padded" in shown


def test_run_answers_json_and_files(folder, capsys):
    code, shown, _ = program(capsys, "run", "bundle", '{"ids": [[3, 5, 2]]}', "[[1, 2], [3, 4]]", "--json")
    first, second = map(json.loads, shown.splitlines())
    assert code == 0 and first["input"] == {"ids": [[3, 5, 2]]}
    assert np.shape(first["outputs"]["kind"]) == (1, 3)
    assert np.shape(second["outputs"]["tags"]) == (2, 2, 2)
    assert program(capsys, "run", "bundle", "ids.npz", "--output", "outputs.npz")[0] == 0
    with np.load("outputs.npz") as written:
        assert {name: array.shape for name, array in written.items()} == {"kind": (12, 3), "tags": (12, 8, 2)}


def test_verify_computes_the_references_again(capsys):
    code, shown, _ = program(
        capsys, "verify", "bundle", "--against", "own.keras", "--module", "users_layers", "--json"
    )
    checks = {each["name"]: each for each in json.loads(shown)["rungs"]}
    assert code == 0 and checks["references"]["ok"]
    model = keras.saving.load_model("own.keras")
    model.get_layer("tags").kernel.assign(model.get_layer("tags").kernel[:, ::-1])
    model.save("changed.keras")
    code, shown, _ = program(capsys, "verify", "bundle", "--against", "changed.keras", "--json")
    assert code == 1 and not json.loads(shown)["rungs"][-1]["ok"]
    code, shown, _ = program(capsys, "verify", "bundle", "--against", "other.keras", "--json")
    assert code == 1 and "does not take the bundle's inputs" in json.loads(shown)["rungs"][-1]["detail"]


def test_the_bundles_file_is_proven_signature_by_signature(capsys):
    arguments = ["bundle/model.tflite", "--against", "own.keras", "--module", "users_layers", "--json"]
    code, shown, _ = program(capsys, "prove", *arguments)
    found = json.loads(shown)
    assert code == 0, found
    measured = {(each["length"], each["batch"]) for each in found["signatures"].values()}
    assert measured == {(length, batch) for length in (4, 8) for batch in (1, 2, 3)}


def test_the_model_predicts_on_keras_as_on_the_device(capsys):
    arrays = np.arange(1, 9).reshape(2, 4)
    program(capsys, "inspect", "bundle")
    ours = keras_attn.load("bundle").predict(arrays)
    import users_layers  # noqa: F401  # pyright: ignore[reportMissingImports]

    theirs = keras_attn.load("own.keras").predict(arrays)
    assert list(ours) == list(theirs)
    np.testing.assert_allclose(ours["tags"], theirs["tags"], atol=1e-5)


def test_benchmark_measures_each_signature(capsys):
    code, shown, _ = program(capsys, "benchmark", "bundle", "--json", "--repeats", "1")
    figures = json.loads(shown)
    assert code == 0 and figures["floor_ms"] > 0 and figures["latency_ms"] > 0
    measured = [(each["length"], each["batch"]) for each in figures["by_signature"]]
    assert measured == [(length, batch) for length in (4, 8) for batch in (1, 2, 3)]
    code, shown, _ = program(capsys, "benchmark", "bundle", "--repeats", "1")
    assert code == 0 and "length 8 × 3 together" in shown


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["evaluate", "bundle", "--test", "x.csv"], "a model of arrays has no score of its own"),
        (["attention", "bundle", "text", "--output", "x.png"], "is a model of arrays"),
        (["evaluate", "other.keras", "--test", "x.csv"], "a model of arrays has no score of its own"),
        (["attention", "other.keras", "text", "--output", "x.png"], "is a model of arrays"),
        (["benchmark", "bundle", "--beam", "2"], "only translators have a beam"),
        (["inspect", "other.keras"], "other.keras is a Keras model, not a bundle: keras-attn export"),
        (["run", "other.keras", "[[1]]"], "is a Keras model, not a bundle"),
        (["run", "bundle", "[[1]]", "--beam", "2"], "--beam: this bundle is a Predictor"),
        (["export", "other.keras", "x", "--lengths", "4", "--buckets", "4"], "give one of them"),
        (["export", "other.keras", "x", "--lengths", "four"], "--lengths 'four' is not a list of numbers"),
        (["export", "other.keras", "x", "--batch", "1"], "--batch '1': the numbers must be at least 2"),
        (["export", "runs/none", "x", "--examples", "ids.npz"], "--examples are inputs of a .keras file"),
        (["export", "other.keras", "x", "--examples", "none.npz"], "There is no file none.npz"),
        (["export", "other.keras", "x", "--lengths", "4"], "all sizes of the model's inputs are fixed"),
        (["export", "other.keras", "x", "--examples", "ids.npz"], "The inputs lack 'signal' and have 'ids'"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(capsys, arguments, told):
    code, _, complaint = program(capsys, *arguments)
    assert code == 2 and told in complaint and len(complaint.splitlines()) == 1, complaint


def test_buckets_is_an_alias_that_the_help_does_not_show(capsys):
    _, shown, _ = program(capsys, "export", "--help")
    assert "--lengths" in shown and not re.search(r"--buckets", shown)
    _, _, told = program(capsys, "export", "other.keras", "x", "--buckets", "4")
    assert "all sizes of the model's inputs are fixed" in told


@pytest.mark.parametrize("number", [-1, 20])
def test_an_id_that_no_table_has_is_the_inputs_error(folder, number):
    predictor = keras_attn.device.load(folder / "bundle")
    predictor.predict({"ids": [[3, 4]]})
    for _ in range(2):  # an interpreter repeats what it said before
        with pytest.raises(keras_attn.device.InputError, match=rf"no row \(Got {number}, .*0, 19"):
            predictor.predict({"ids": [[3, number]]})
    with pytest.raises(keras_attn.device.InputError, match=r"no row .Got 77"):
        predictor.predict({"ids": [[3, 77]]})
