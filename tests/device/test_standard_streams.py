"""Standard streams that are closed, full, broken or no text: one line on stderr, and a code."""

import subprocess
import sys
from pathlib import Path

import pytest

from keras_attn import cli, device
from keras_attn.device.__main__ import main

ROOT = Path(__file__).resolve().parents[2]
# Both command lines, with a stand-in that turns texts into capitals.
FAKE = """
import sys
from keras_attn import device

class Output:
    def __init__(self, text):
        self.text, self.outputs = text, [self]

    def to_json(self):
        return {"input": self.text}

class Fake:
    def translate(self, text):
        return Output(text.upper())

device.load = lambda *arguments: Fake()
from keras_attn.device import printing
printing.lines = lambda answer: [answer.text]
"""
PROGRAMS = {
    "keras-attn": FAKE + "from keras_attn.cli import main; sys.argv[1:1] = ['run', 'bundle']; main()",
    "python -m keras_attn.device": FAKE
    + "from keras_attn.device.__main__ import run; sys.argv[1:1] = ['bundle']; sys.exit(run())",
}


@pytest.fixture(params=PROGRAMS)
def shell(request):
    """Runs a program in a shell, which redirects: returns its exit code, standard output and error."""

    def run(line, **options):
        command = ["bash", "-c", f'{sys.executable!r} -c "$PROGRAM" {line}']
        variables = {"PROGRAM": PROGRAMS[request.param], "PYTHONPATH": f"{ROOT}:{ROOT / 'export'}"}
        done = subprocess.run(command, capture_output=True, env=variables, cwd=ROOT, timeout=120, **options)
        return done.returncode, done.stdout, done.stderr.decode().replace(f"{request.param}: ", "PROGRAM: ")

    return run


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("- <&-", "standard input is closed"),
        ("text >&-", "standard output is closed"),
        ("text --json >&-", "standard output is closed"),
        ("text >/dev/full", "the output cannot be written: No space left on device"),
        ("text --json >/dev/full", "the output cannot be written: No space left on device"),
        ("--help >/dev/full", "the output cannot be written: No space left on device"),
        ("- 0>/dev/null", "standard input cannot be read: Bad file descriptor"),
    ],
)
def test_a_stream_that_cannot_be_used_is_one_line(shell, line, shown):
    code, out, err = shell(line)
    assert (code, out) == (2, b"")
    assert err.count("\n") == 1 and err.startswith("PROGRAM: ") and shown in err


def test_streams_that_are_not_used_may_be_closed(shell):
    assert shell("text <&-") == (0, b"TEXT\n", "")
    assert shell("text 2>&-") == (0, b"TEXT\n", "")
    assert shell("text --json <&- 2>&-")[:2] == (0, b'{"input": "TEXT"}\n')


def test_closed_pipe_is_not_an_error(shell):
    texts = " ".join(["text"] * 5000)
    assert shell(f"{texts} | head -1; exit ${{PIPESTATUS[0]}}") == (0, b"TEXT\n", "")
    assert shell("--help | true; exit ${PIPESTATUS[0]}") == (0, b"", "")


def test_lines_are_read_as_they_are(shell):
    assert shell("-", input="a\0b\né\r\nlast".encode()) == (0, "A\0B\nÉ\nLAST\n".encode(), "")
    assert shell("-", input=b"") == (0, b"", "")


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), OSError("a library's words")])
def test_an_error_of_the_system_without_a_file_is_one_line(error, monkeypatch, capsys):
    def fail(*arguments):
        raise error

    monkeypatch.setattr(device, "load", fail)
    assert cli.run_program(["run", "bundle", "text"]) == 2
    assert main(["bundle", "text"]) == 2
    shown = capsys.readouterr().err.splitlines()
    assert len(shown) == 2 and all((error.strerror or str(error)) in line for line in shown)
