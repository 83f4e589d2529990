"""The built wheel on a device: NumPy, tokenizers and the interpreter, and nothing else."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from toy_bundle import make_bundle

from keras_attn.data import train_tokenizer

ROOT = Path(__file__).parents[2]
NEEDS = ("numpy", "tokenizers", "ai-edge-litert")
PROGRAM = """
import json, sys
from keras_attn import device
translation = device.load(sys.argv[1]).translate(sys.argv[2], beam=3)
heavy = sorted({"keras", "tensorflow", "jax", "torch"} & set(sys.modules))
print(json.dumps({"heavy": heavy, "file": device.__file__, **translation.to_json()}))
"""


def run(*command, **options):
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    built = run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT)
    assert built.returncode == 0, built.stderr
    return next(folder.glob("*.whl"))


def test_the_wheel_holds_both_packages_and_no_module_called_export(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names if ".dist-info" not in name}
    assert tops == {"keras_attn", "keras_attn_export"}
    assert {"keras_attn/py.typed", "keras_attn_export/py.typed"} <= set(names)
    assert {f"keras_attn/pictures/head_view.{ending}" for ending in ("css", "js")} <= set(names)
    app = ("package-lock.json", "build.mjs", "src/sw.js")
    assert {f"keras_attn/web/{name}" for name in app} <= set(names)
    assert not any("node_modules" in name for name in names)


@pytest.mark.device
def test_a_bare_environment_runs_a_bundle_from_the_wheel(wheel, tmp_path):
    environment = tmp_path / "environment"
    assert run(sys.executable, "-m", "venv", environment).returncode == 0
    python = environment / "bin" / "python"
    installed = run(python, "-m", "pip", "install", "--quiet", *NEEDS)
    if installed.returncode:
        pytest.skip(f"the packages could not be installed: {installed.stderr.strip().splitlines()[-1]}")
    installed = run(python, "-m", "pip", "install", "--quiet", "--no-deps", wheel)
    assert installed.returncode == 0, installed.stderr
    tokenizer = train_tokenizer(["a text and another text"] * 4, 300)
    bundle = make_bundle(tmp_path / "bundle", "cached", tokenizer)
    said = run(python, "-c", PROGRAM, bundle, "a text", cwd=tmp_path)
    assert said.returncode == 0, said.stderr
    result = json.loads(said.stdout)
    assert result["heavy"] == []
    assert str(environment) in result["file"]
    assert result["outputs"][0]["ids"]
    line = run(python, "-m", "keras_attn.device", bundle, "a text", "--beam", "3", "--json", cwd=tmp_path)
    assert json.loads(line.stdout)["outputs"] == result["outputs"]
    assert run(python, "-c", "import keras", cwd=tmp_path).returncode != 0
