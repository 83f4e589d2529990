"""Models of arrays in the web app: outputs against Keras', proofs repeated, and the form of their inputs."""

import contextlib
import dataclasses
import io
import json

import keras
import numpy as np
import pytest
import web_arrays
from keras_attn_export import export
from test_web import copied
from web_browser import drive, require_browser

from keras_attn.cli import run_program
from keras_attn.commands.web.site import write_site
from keras_attn.device.errors import InputError
from keras_attn.device.files.bundle import Bundle
from keras_attn.device.proof.verify import verify

pytestmark = pytest.mark.web
CLOSE = 1e-4


@pytest.fixture(scope="module")
def models():
    keras.utils.set_random_seed(5)
    return {name: make() for name, make in web_arrays.MODELS.items()}


@pytest.fixture(scope="module")
def bundles(models, tmp_path_factory):
    require_browser()
    folder, made = tmp_path_factory.mktemp("bundles"), {}
    options = {"sequence": {"lengths": web_arrays.LENGTHS}}
    photos = np.stack([each["photo"] for each in web_arrays.examples("picture", 8)])
    options["picture"] = {"examples": photos}
    with contextlib.redirect_stdout(None):
        for name, recipe in [*((name, "fp32") for name in models), ("sequence", "int8")]:
            made[f"{name}-{recipe}"] = path = folder / f"{name}-{recipe}"
            export(models[name], path, recipe, proof_sentences=8, **options.get(name, {}))
    inputs = made["inputs-fp32"]
    low, high = (f"output_{place_of(inputs, name)}" for name in ("low", "high"))
    proof = Bundle.open(inputs).read("proof.npz")
    with np.load(io.BytesIO(proof)) as arrays:
        exchanged = {low: arrays[high], high: arrays[low]}
        damaged = {low: np.where(np.arange(len(arrays[low]))[:, None] == 2, np.nan, arrays[low])}
        shifted = {low: arrays[low] + np.float32(0.01)}
    for name, changed in {"exchanged": exchanged, "damaged": damaged, "shifted": shifted}.items():
        made[name] = copied(inputs, folder / name, {"proof.npz": with_arrays(proof, changed)})
    interface = json.loads(json.dumps(Bundle.open(inputs).manifest["interface"]))
    interface["output_structure"] |= {"low": "high", "high": "low"}
    made["renamed"] = copied(inputs, folder / "renamed", interface=interface)
    model = bytearray(inputs.joinpath("model.tflite").read_bytes())
    kernel = models["inputs"].get_layer(index=-1).kernel
    start = model.find(np.float32(np.array(kernel)[0, 0]).tobytes())
    model[start : start + 4] = np.float32(9).tobytes()
    made["wrong"] = copied(inputs, folder / "wrong", {"model.tflite": bytes(model)})
    return made


def place_of(bundle, output):
    outputs = Bundle.open(bundle).manifest["interface"]["outputs"]
    return [each["name"] for each in outputs].index(output)


def with_arrays(proof, changed):
    """A proof with some of its arrays exchanged."""
    with np.load(io.BytesIO(proof)) as arrays:
        typed = {name: array.astype(arrays[name].dtype) for name, array in changed.items()}
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **{**arrays, **typed})
    return buffer.getvalue()


@pytest.fixture(scope="module")
def site(bundles, tmp_path_factory):
    site = tmp_path_factory.mktemp("site") / "site"
    assert run_program(["web", *map(str, bundles.values()), "--output", str(site)]) == 0
    return site


def expected(model, example):
    """The outputs of a Keras model for one example, by name."""
    batch = {name: array[None] for name, array in example.items()}
    outputs = model.predict(batch if len(batch) > 1 else next(iter(batch.values())), verbose=0)
    return outputs if isinstance(outputs, dict) else {"": outputs}


def as_given(array):
    return {"shape": list(array.shape), "data": array.ravel().astype(float).tolist()}


def test_the_browser_predicts_as_keras_does(models, site):
    given = {name: web_arrays.examples(name, 9) for name in models}
    asked = [
        {"bundle": f"{name}-fp32", "examples": [{k: as_given(v) for k, v in each.items()} for each in some]}
        for name, some in given.items()
    ]
    answers = drive("predict", site, given=asked)
    for (name, some), outputs in zip(given.items(), answers, strict=True):
        for example, found in zip(some, outputs, strict=True):
            wanted = expected(models[name], example)
            assert len(found) == len(wanted), found
            for output, array in wanted.items():
                one = found[output] if output else next(iter(found.values()))
                assert one["shape"] == list(array.shape[1:])
                np.testing.assert_allclose(one["data"], array.ravel(), atol=CLOSE)


def test_inputs_that_do_not_fit_are_refused_by_name(site):
    series = {"shape": [10, 3], "data": [0.0] * 30}
    right = {name: as_given(array) for name, array in web_arrays.examples("inputs", 1)[0].items()}
    wrong = [
        {**right, "item": {"shape": [], "data": [0.5]}},
        {**right, "taste": {"shape": [5], "data": [0.0] * 5}},
        {name: array for name, array in right.items() if name != "age"} | {"agee": right["age"]},
    ]
    asked = [
        {"bundle": "sequence-fp32", "examples": [{"series": series}]},
        {"bundle": "inputs-fp32", "examples": wrong},
    ]
    [[long], [item, taste, age]] = drive("predict", site, given=asked)
    assert "have length 10, and this model takes 1 to 9" in long["error"]
    assert "Input 'item' takes whole numbers" in item["error"]
    assert "Input 'taste' has shape (5); the model takes (6)" in taste["error"]
    assert "lack 'age' and have 'agee'" in age["error"]


@pytest.mark.parametrize("name", ["inputs-fp32", "sequence-fp32", "picture-fp32", "sequence-int8"])
def test_the_proof_is_repeated_in_the_browser(bundles, site, name):
    found, here = drive("verify", site, name), verify(bundles[name])
    assert found["ok"] and here.ok
    assert [check["name"] for check in found["rungs"]] == [check.name for check in here.checks[1:]]
    ours, theirs = found["rungs"][1]["figures"], here.checks[2].figures
    assert ours["signatures"] == theirs["signatures"]
    assert ours["by_output"].keys() == theirs["by_output"].keys()
    assert ours["mean_error"] == pytest.approx(theirs["mean_error"], abs=1e-5)
    assert ours["agreement"] == pytest.approx(theirs["agreement"], abs=1e-6)
    changes = [each["figures"]["mean_change"] for each in (found["rungs"][3], here.to_json()["rungs"][4])]
    np.testing.assert_allclose(*changes, rtol=1e-3)


@pytest.mark.parametrize(
    ("name", "check"),
    [
        ("wrong", "values"),
        ("exchanged", "values"),
        ("shifted", "values"),
        ("renamed", "settings"),
        ("damaged", "scores"),
    ],
)
def test_what_was_changed_fails_its_proof(bundles, site, name, check):
    found, here = drive("verify", site, name, fails=True), verify(bundles[name])
    assert not found["ok"] and not here.ok
    assert check in [each["name"] for each in found["rungs"] if not each["ok"]]
    if name != "damaged":  # Python reads the proof before it measures anything.
        failed = [each["name"] for each in here.to_json()["rungs"] if not each["ok"]]
        assert [each["name"] for each in found["rungs"] if not each["ok"]] == failed


def test_models_that_read_texts_themselves_are_not_published(bundles, tmp_path):
    opened = Bundle.open(bundles["inputs-fp32"])
    changed = dataclasses.replace(opened, manifest=opened.manifest | {"preprocessing": {}})
    with pytest.raises(InputError, match="Texts: the model begins with layers that read texts"):
        write_site(tmp_path, [("Texts", changed)], tmp_path / "site")


def test_the_form_is_filled_in_as_a_person_would(models, site, tmp_path):
    photo = web_arrays.examples("picture", 1)[0]["photo"]
    path = web_arrays.write_png(tmp_path / "photo.png", photo)
    written = {"age": 0.5, "item": 3, "tags": [True, False, True], "taste": "1, 2 -3\n4 5e-1;6"}
    visits = [
        {"bundle": "inputs-fp32", "inputs": written},
        {"bundle": "sequence-fp32", "inputs": {"series": "[[1, 2, 3], [0, 0, 1.5]]"}},
        {"bundle": "sequence-fp32", "inputs": {"series": "1 2 3 0 0 1.5"}},
        {"bundle": "picture-fp32", "inputs": {"photo": {"picture": str(path)}}},
        {"bundle": "picture-fp32", "inputs": {"photo": {"picture": str(path), "scale": "0–1"}}},
        {"bundle": "inputs-fp32", "inputs": {"taste": "1 2 3"}},
        {"bundle": "inputs-fp32", "inputs": {"item": 2.5}},
        {"bundle": "sequence-fp32", "inputs": {"series": "1 2"}},
        {"bundle": "sequence-fp32", "inputs": {"series": "1 2 three"}},
    ]
    found = drive("form", site, given=visits)
    assert not found["errors"] and not found["unlabelled"]
    several, by_json, by_rows, whole, unit, *refused = found["visits"]
    given = {
        "age": np.array([0.5], "float32"),
        "item": np.array(3, "int32"),
        "tags": np.array([True, False, True]),
        "taste": np.array([1, 2, -3, 4, 0.5, 6], "float32"),
    }
    wanted = expected(models["inputs"], given)
    for name, array in wanted.items():
        np.testing.assert_allclose(several["outputs"][name], array[0], atol=CLOSE)
    order = np.argsort(-wanted["kind"][0])
    assert [name for name, _ in several["bars"]["kind"]] == list(map(str, order))
    assert f"kind: {order[0]}, " in several["announced"]
    series = {"series": np.array([[1, 2, 3], [0, 0, 1.5]], "float32")}
    levels = expected(models["sequence"], series)["levels"][0]
    for seen in (by_json, by_rows):
        np.testing.assert_allclose(seen["outputs"]["levels"], levels, atol=CLOSE)
        cells = np.array(seen["tables"]["levels"])
        shown = np.char.replace(cells, "−", "-").astype(float)
        np.testing.assert_allclose(shown, levels, rtol=1e-2)
    for seen, scale in ((whole, 1), (unit, 255)):
        classes = expected(models["picture"], {"photo": photo / np.float32(scale)})[""][0]
        np.testing.assert_allclose(next(iter(seen["outputs"].values())), classes, atol=CLOSE)
    for seen, (name, words) in zip(
        refused,
        [
            ("taste", "Input 'taste' takes 6 numbers, and 3 are given"),
            ("item", "Input 'item' takes whole numbers, and 2.5 is given"),
            ("series", "takes 1 to 9 rows of 3 numbers, and 2 are given"),
            ("series", '"three" is not a number'),
        ],
        strict=True,
    ):
        assert words in seen["notice"] and seen["focused"] == name
