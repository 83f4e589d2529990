"""Bundles on other runtimes, Pythons and processors: proven right there, or refused in one sentence."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from cache import MissingError
from environments import NEWEST, OLD, OLDEST, Environment
from keras_attn_export import export, single_file
from keras_attn_export.proof.proof_run import ProofRun
from keras_attn_export.recipes import LITERT, LITERT_WEB, RECIPES
from page import PAGE, read_results, written
from proving import prove
from tiny_encoders import LENGTHS, encoder_tokenizer, tiny_encoder
from tiny_models import in_process, pairs, sentences, tiny, tokenizer

from keras_attn.device.errors import InputError
from keras_attn.device.runtime import litert

ON_ARM = {"machine": "aarch64"}
NAMES = ("translation-fp32", "translation-int8", "embedding-int8")


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return single_file.write_single_file(tmp_path_factory.mktemp("program") / single_file.NAME)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    """A translator and a sentence encoder, by recipe."""
    folder = tmp_path_factory.mktemp("bundles")
    with in_process():
        for recipe in ("fp32", "int8"):
            path = folder / f"translation-{recipe}"
            options = {"examples": pairs(), "buckets": (8,), "beam": 2, "proof_sentences": 4}
            options["conversions"] = folder / "conversions"
            export(tiny("transformer"), path, recipe, tokenizer=tokenizer(), **options)
        options = {"examples": sentences()[:20], "buckets": LENGTHS[1:], "proof_sentences": 4}
        export(tiny_encoder("embedder"), folder / "embedding-int8", tokenizer=encoder_tokenizer(), **options)
    return folder


def found(bundles, names, environment, program):
    """Results of bundles in one environment, by name."""
    try:
        results = list(prove([bundles / name for name in names], environment, program))
    except MissingError as error:
        pytest.skip(str(error))
    assert len(results) == len(names)
    return {path.name: there for path, there in results}


def all_right(results):
    assert {name: there.says for name, there in results.items() if not (there.listed and there.right)} == {}


def test_a_model_is_converted_once_for_all_recipes(bundles):
    assert len(list((bundles / "conversions").iterdir())) == 1
    contents = {(bundles / f"translation-{recipe}/model.tflite").read_bytes() for recipe in ("fp32", "int8")}
    assert len(contents) == 2


def test_the_program_is_one_file_that_is_always_the_same(program, tmp_path):
    again = single_file.write_single_file(tmp_path / "again.pyz")
    assert again.read_bytes() == program.read_bytes()
    tops = {name.rpartition("/")[0] for name in zipfile.ZipFile(program).namelist()}
    assert {"/".join(top.split("/")[:2]) for top in tops} == {"", "keras_attn", "keras_attn/device"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "There is no bundle at"),
        (["-I", "-S"], "No module named 'numpy'; pip install numpy tokenizers ai-edge-litert"),
    ],
)
def test_the_program_says_what_is_missing(program, tmp_path, options, words):
    asked = [sys.executable, *options, program, tmp_path / "nothing", "a text"]
    said = subprocess.run(asked, capture_output=True, text=True, cwd=tmp_path)
    assert said.returncode == 2
    assert said.stderr.startswith(f"python {program.name}: {words}")


@pytest.mark.parametrize(
    ("chosen", "error", "words"),
    [
        ("litert", InputError, "'litert'; choose ai-edge-litert, tflite-runtime, tensorflow"),
        ("tflite-runtime", ImportError, "'tflite-runtime', but it is not installed; `pip install tflite"),
    ],
)
def test_an_interpreter_that_is_not_there_is_named(monkeypatch, chosen, error, words):
    monkeypatch.setenv(litert.RUNTIME_VARIABLE, chosen)
    monkeypatch.setitem(litert._RUNTIMES, "tflite-runtime", "no_such_module.interpreter")
    with pytest.raises(error, match=words):
        litert.runtime()


def test_browsers_are_not_listed_for_unsupported_tokenizers():
    def listed(tokenizer):
        source = SimpleNamespace(tokenizer_files={"tokenizer.json": tokenizer})
        return ProofRun.runtimes.fget(SimpleNamespace(in_graph=False, recipe=RECIPES["int8"], source=source))

    assert LITERT_WEB in listed(rb'{"Regex": "a\\Sb"}')
    assert LITERT_WEB not in listed(rb'{"Regex": "a\\Kb"}') and LITERT in listed(rb'{"Regex": "a\\Kb"}')


def test_tensorflow_is_an_interpreter_where_it_is_chosen(bundles, program):
    all_right(found(bundles, NAMES, Environment("tensorflow", "2.21"), program))


def test_crashing_bundle_is_reported_and_the_others_are_proven():
    says = "import sys; print('{\"ok\": true, \"rungs\": []}', flush=True); sys.exit('Segmentation fault')"
    dying = SimpleNamespace(verification=lambda *given: ([sys.executable, "-c", says], None))
    results = [there for _, there in prove([Path("a"), Path("b"), Path("c")], dying, Path("program"))]
    assert [there.right for there in results] == [True, False, True]
    assert results[1].says == "the program ended with 1: Segmentation fault"


def test_the_page_is_what_was_measured():
    text = PAGE.read_text("utf-8")
    assert written(text, read_results()) == text, "it is old: python tools/runtimes/page.py"


def test_no_recipe_lists_a_runtime_where_a_proof_failed():
    results = read_results()
    assert [each for each in results if each["listed"] and not each["right"]] == []
    for recipe in RECIPES.values():
        proven = {each["runtime"] for each in results if each["recipe"] == recipe.name and each["listed"]}
        assert proven == {requirement.partition(">=")[0] for requirement in recipe.runtimes}


@pytest.mark.device
@pytest.mark.parametrize("version", [NEWEST, OLDEST])
def test_the_newest_and_the_oldest_interpreter_repeat_the_proof(bundles, program, version):
    all_right(found(bundles, NAMES, Environment("ai-edge-litert", version), program))


@pytest.mark.device
@pytest.mark.parametrize("python", ["3.10", "3.12", "3.13"])
def test_other_pythons_repeat_the_proof(bundles, program, python):
    all_right(found(bundles, NAMES[1:2], Environment("ai-edge-litert", NEWEST, python), program))


@pytest.mark.device
def test_the_old_runtime_is_right_or_refused(bundles, program):
    old = Environment("tflite-runtime", OLD, numpy="numpy<2")
    results = found(bundles, NAMES, old, program)
    all_right({NAMES[0]: results[NAMES[0]]})
    for name in NAMES[1:]:
        refused = results[name]
        # Without the manifest, the operators' versions would still tell it that the file is too new.
        assert not refused.listed and not refused.right
        assert "Didn't find op" in refused.says


@pytest.mark.device
@pytest.mark.parametrize(
    ("environment", "name"),
    [
        (Environment("ai-edge-litert", NEWEST, **ON_ARM), "translation-int8"),
        (Environment("tflite-runtime", OLD, numpy="numpy<2", **ON_ARM), "translation-fp32"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.runtime,
)
def test_arm_repeats_the_proof(bundles, program, environment, name):
    all_right(found(bundles, [name], environment, program))


@pytest.mark.device
def test_a_bundle_answers_alike_with_each_interpreter(bundles, program):
    answers = {}
    for environment in (Environment("ai-edge-litert", NEWEST), Environment("ai-edge-litert", OLDEST)):
        try:
            command, variables = environment.command()
        except MissingError as error:
            pytest.skip(str(error))
        texts = ["the cat sees a dog", "a house", "--beam", "2", "--json"]
        asked = [*command, program, bundles / "translation-fp32", *texts]
        said = subprocess.run(asked, env=variables, capture_output=True, text=True)
        assert said.returncode == 0, said.stderr
        answers[environment.version] = [json.loads(line)["outputs"] for line in said.stdout.splitlines()]
    ids = [[[output["ids"] for output in each] for each in answer] for answer in answers.values()]
    assert ids[0] == ids[1] and len(ids[0]) == 2
