"""The decoder as it is lowered for the smallest shape that is timed equals Hugging Face's, at each step."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.parity
ROOT = Path(__file__).resolve().parents[2]


def test_tokens_and_scores_are_hugging_faces(tmp_path):
    pytest.importorskip("transformers")
    command = [sys.executable, str(ROOT / "tests/support/same_tokens.py"), "--shapes", "tiny"]
    sizes = ["--count", "2", "--length", "20", "--work", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "benchmarks"), *sys.path])}
    done = subprocess.run([*command, *sizes], capture_output=True, text=True, cwd=ROOT, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "beam 1 2 of 2, beam 4 2 of 2" in done.stdout
