"""Text from files is printed as text: no markup, escape sequences or direction overrides."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from keras_attn import cli
from keras_attn.commands import inspect
from keras_attn.commands.terminal import screen
from keras_attn.device.files.bundle import Bundle
from keras_attn.device.proof.checks import Check
from keras_attn.device.proof.verify import Report
from keras_attn.device.standard_streams import visible
from keras_attn.training.progress_bar import TrainingBar

ROOT = Path(__file__).resolve().parents[2]
NASTY = [
    "[red]x[/red]",
    "[/]",
    "[link=http://a.b]c[/link]",
    "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07",
    "a\x9b2Jb",
]
NASTY += ["a\u202eb\u2066c", "one\ntwo\rthree", "\ud800", "a\u2028b", "\x00", "\x08\x7f"]
HARMFUL = set("\x1b\x9b\x07\x08\x7f\x00\r\u202e\u2066\u2028\ud800")


def test_only_control_characters_are_escaped():
    for text in NASTY:
        assert not HARMFUL & set(visible(text))
    assert visible("\x1b[0m \u202e \x9b \ud800") == "\\x1b[0m \\u202e \\x9b \\ud800"
    harmless = "de l’été\t5. Juni\n平成30年 שלום مرحبا 👩‍👩‍👧 क्‍ष é \u200b [red]\\"
    assert visible(harmless) == harmless


@pytest.fixture
def bundle(monkeypatch):
    """Lets `inspect` find a bundle whose every text is nasty."""
    tensors = {name: {"dtype": "int32", "shape": [1]} for name in NASTY}
    contents = {
        "task": "[bold]task[/bold]",
        "recipe": "\x1b[5mint8",
        "max_source_tokens": 5,
        "runtimes": NASTY,
        "created": "[/created]",
        "model": {"class_name": "[/]\x1b[1m"},
        "languages": {"source": "[red]en", "target": "de[/red]"},
        "labels": NASTY,
        "files": {name: 1 for name in NASTY},
        "signatures": {name: {"inputs": tensors, "outputs": tensors} for name in NASTY},
        "operators": {name: 1 for name in NASTY},
        "report": None,
    }
    monkeypatch.setattr(inspect, "read_contents", lambda bundle: contents)
    monkeypatch.setattr(Bundle, "open", lambda path, *arguments: SimpleNamespace(path="[red]bundle[/red]"))
    return contents


def test_inspect_shows_labels_as_they_are(bundle, capsys):
    assert cli.run_program(["inspect", "[red]bundle[/red]"]) == 0
    shown = capsys.readouterr().out
    assert not HARMFUL & set(shown)
    whole = "".join(shown.split())
    for text in ("[red]x[/red]", "[/],", "[link=http://a.b]c[/link]", "\\x1b[31mred", "[red]bundle[/red]"):
        assert text in whole


def test_verify_evaluate_and_notes_show_text_as_it_is(monkeypatch, capsys):
    nasty = " ".join(NASTY)
    report = Report(nasty, nasty, [Check(nasty, True, nasty), Check(nasty, False, nasty)])
    monkeypatch.setattr("keras_attn.device.proof.verify.verify", lambda bundle, threads=1: report)
    assert cli.run_program(["verify", "bundle"]) == 1
    screen.note(nasty)
    screen.print_title(nasty)
    screen.say(nasty, screen.styled(nasty, "bold"))
    TrainingBar().note(nasty)
    streams = capsys.readouterr()
    for shown in (streams.out, streams.err):
        assert not HARMFUL & set(shown)
        assert "[red]x[/red]" in "".join(shown.split()) and "\\x1b[31mred" in "".join(shown.split())


@pytest.mark.parametrize("program", [["keras_attn.cli", "run"], ["keras_attn.device"]])
def test_errors_show_names_as_they_are(program):
    module, *command = program
    arguments = [module, *command, "no/[/]\x1b[31mred", "text"]
    code = f"import runpy, sys; sys.argv = {arguments!r}\n"
    if module == "keras_attn.cli":
        code += "from keras_attn.cli import main; main()"
    else:
        code += "runpy.run_module('keras_attn.device', run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert "no/[/]\\x1b[31mred" in done.stderr and "\x1b" not in done.stderr


def test_json_keeps_the_text_itself(bundle, capsys):
    bundle["labels"] = ["[red]x[/red]", "\x1b[31m", "a\u202eb", "\ud800"]
    assert cli.run_program(["inspect", "bundle", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["labels"] == bundle["labels"]
