"""User code passes a strict type checker: constructors, calls, export and loading are typed."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
USER_CODE = Path(__file__).with_name("user_code.py")
SETTINGS = {
    "include": ["user_code.py"],
    "extraPaths": [str(ROOT), str(ROOT / "export")],
    "typeCheckingMode": "strict",
    "pythonVersion": "3.11",
    "useLibraryCodeForTypes": True,
}


def errors_of(folder, code):
    (folder / "user_code.py").write_text(code, encoding="utf-8")
    (folder / "pyrightconfig.json").write_text(json.dumps(SETTINGS), encoding="utf-8")
    command = [sys.executable, "-m", "pyright", "--project", str(folder), "--outputjson"]
    command += ["--pythonpath", sys.executable]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return [each["message"] for each in json.loads(done.stdout)["generalDiagnostics"]]


@pytest.mark.skipif(shutil.which("node") is None, reason="pyright needs Node")
def test_user_code_is_typed(tmp_path):
    assert errors_of(tmp_path, USER_CODE.read_text(encoding="utf-8")) == []


@pytest.mark.skipif(shutil.which("node") is None, reason="pyright needs Node")
def test_a_wrong_type_is_found(tmp_path):
    code = "from keras_attn.layers import TransformerEncoder\n\nTransformerEncoder(16, num_heads='two')\n"
    (error,) = errors_of(tmp_path, code)
    assert '"num_heads"' in error
