"""The command line with light stand-ins behind it: codes, streams, JSON, help, and what gets loaded."""

import io
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
import typer.main

import keras_attn
from keras_attn import cli, device
from keras_attn.commands import attention
from keras_attn.device.errors import InputError
from keras_attn.device.proof.checks import Check
from keras_attn.device.proof.verify import Report
from keras_attn.device.tasks.translation import Output, Translation

ROOT = Path(__file__).resolve().parents[2]


class Pieces:
    """A tokenizer that calls its ids by given names."""

    special_ids = MappingProxyType({"pad": 0, "start": 1, "end": 2, "unknown": 3})

    def __init__(self, **tokens):
        self.tokens = {int(key.removeprefix("id")): token for key, token in tokens.items()}

    def token(self, number):
        return self.tokens[number]

    def pieces(self, ids):
        return [self.tokens[number].removeprefix("▁") for number in ids]


SOURCE, TARGET = Pieces(id5="▁x", id2="</s>"), Pieces(id7="▁a", id8="b")


class FakeTranslator:
    """Turns text into capitals, and refuses the text "bad"."""

    def __init__(self):
        self.calls = []

    def translate(self, text, **options):
        self.calls.append((text, options))
        if text == "bad":
            raise InputError("The text is bad.")
        count = options.get("n_best", 1)
        outputs = [Output(text.upper() + "\n!" * k, -0.5 - k, [7, 8], TARGET) for k in range(count)]
        return Translation(text, outputs, [5, 2], SOURCE)


@pytest.fixture
def translator(monkeypatch):
    fake = FakeTranslator()
    monkeypatch.setattr(device, "load", lambda *arguments: fake)
    return fake


@pytest.fixture
def load_raises(monkeypatch):
    """Lets loading a bundle raise an error."""

    def arrange(error):
        def fail(*arguments):
            raise error

        monkeypatch.setattr(device, "load", fail)

    return arrange


def run_in_process(*arguments, code="", **options):
    program = f"import sys; from keras_attn import cli; code = cli.run_program({list(arguments)!r})\n{code}"
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, **options)


def commands(group=None, name="keras-attn"):
    """(name, command) of the program and everything below it."""
    group = group or typer.main.get_command(cli.app)
    yield name, group
    for child, command in getattr(group, "commands", {}).items():
        yield from commands(command, f"{name} {child}")


LEAVES = {name: command for name, command in commands() if not hasattr(command, "commands")}


# ---- help and examples ----


def test_every_command_of_the_design_is_there():
    one_word = {"demo", "export", "verify", "run", "evaluate", "attention", "benchmark", "inspect"}
    one_word |= {"plan", "prove", "web"}
    of_texts = ("classification", "token-classification", "question-answering", "embedding")
    tasks = {f"train {task}" for task in ("translation", "masked-lm", "causal-lm", *of_texts)}
    assert set(LEAVES) == {f"keras-attn {name}" for name in one_word | tasks}


@pytest.mark.parametrize("name", LEAVES)
def test_help_has_examples(name, capsys):
    assert cli.run_program([*name.split()[1:], "--help"]) == 0
    shown = capsys.readouterr().out
    assert "Examples" in shown
    assert name in shown.split("Examples")[1]


def test_without_arguments_the_help_is_shown(capsys):
    assert cli.run_program([]) == 0
    assert "keras-attn demo" in capsys.readouterr().out


def written_commands():
    """Every `keras-attn ...` line of the help texts and of the documents, with where it stands."""
    texts = {name: command.epilog or "" for name, command in LEAVES.items()}
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        texts[path.name] = "\n".join(re.findall(r"```\w*\n(.*?)```", path.read_text("utf-8"), re.DOTALL))
    for where, text in texts.items():
        for line in text.replace("\\\n", " ").splitlines():
            command = re.split(r" [|<>]|\s#", line.strip())[0]
            if command.startswith("keras-attn "):
                yield pytest.param(command, id=f"{where}: {command}")


@pytest.mark.parametrize("command", written_commands())
def test_written_commands_have_options_that_exist(command):
    words = shlex.split(command)
    name = max((leaf for leaf in LEAVES if " ".join(words).startswith(leaf)), key=len)
    known = {option for parameter in LEAVES[name].params for option in parameter.opts}
    used = {word for word in words if word.startswith("-") and word != "-"}
    assert used <= known | {"--help"}


# ---- exit codes and errors ----


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["unknown"], "No such command 'unknown'"),
        (["run", "bundle", "text", "--beams", "2"], "No such option: --beams"),
        (["run", "bundle", "text", "--beam", "0"], "--beam"),
        (["run", "bundle", "text", "--n-best", "3"], "--n-best 3 needs a --beam of at least 3"),
        (["run", "no/such/bundle", "text"], "There is no bundle at no/such/bundle"),
        (["verify", "no/such/bundle"], "There is no bundle"),
        (["inspect", "no/such/bundle"], "There is no bundle"),
        (["benchmark", "no/such/bundle"], "There is no bundle"),
        (["evaluate", "no/such/run", "--data", "dates"], "no/such/run does not exist: give a folder"),
        (["evaluate", "run"], "either --test PREFIX or --data NAME"),
        (["attention", "run", "text", "--output", "a.gif"], "a.gif must end in .png, .svg, .pdf, .html"),
        (["train", "translation", "--output", "run", "--model", "bert"], "'bert' is not one of"),
        (["train", "translation", "--output", "run", "--backend", "mxnet"], "'mxnet' is not one of"),
    ],
)
def test_bad_input_is_one_line_on_stderr_and_code_2(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.run_program(arguments) == 2
    streams = capsys.readouterr()
    assert streams.out == ""
    assert streams.err.count("\n") == 1
    assert streams.err.startswith("keras-attn: ")
    assert message in streams.err


def test_errors_of_this_project_become_one_line(load_raises, capsys):
    from keras_attn.data.errors import DataError

    load_raises(DataError("train.en has 3 lines\nand train.de 4"))
    assert cli.run_program(["run", "bundle", "text"]) == 2
    assert capsys.readouterr().err == "keras-attn: train.en has 3 lines and train.de 4\n"


def test_a_missing_package_names_its_extra(load_raises, capsys):
    load_raises(ModuleNotFoundError("No module named 'tensorflow.lite'", name="tensorflow.lite"))
    assert cli.run_program(["run", "bundle", "text"]) == 2
    assert "pip install 'keras-attn[export]'" in capsys.readouterr().err


def test_a_bug_keeps_its_traceback(load_raises):
    load_raises(ValueError("not one of ours"))
    with pytest.raises(ValueError, match="not one of ours"):
        cli.run_program(["run", "bundle", "text"])


def test_interrupting_is_no_traceback(load_raises, capsys):
    load_raises(KeyboardInterrupt())
    assert cli.run_program(["run", "bundle", "text"]) == 130
    assert capsys.readouterr().err == "keras-attn: interrupted\n"


# ---- run ----


def test_run_prints_one_line_per_text(translator, capsys):
    assert cli.run_program(["run", "bundle", "one", "two", "--beam", "4", "--length-penalty", "0.6"]) == 0
    assert capsys.readouterr().out == "ONE\nTWO\n"
    assert translator.calls[0][1] == {"beam": 4, "length_penalty": 0.6}


def test_run_prints_one_json_object_per_input(translator, capsys):
    assert cli.run_program(["run", "bundle", "eins", "日本", "--json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    output = {"text": "EINS", "score": -0.5, "ids": [7, 8]}
    assert json.loads(lines[0]) == {"input": "eins", "outputs": [output]}
    assert json.loads(lines[1])["input"] == "日本"
    assert len(lines) == 2


def test_run_prints_scores_with_n_best(translator, capsys):
    assert cli.run_program(["run", "bundle", "a", "--beam", "2", "--n-best", "2"]) == 0
    assert capsys.readouterr().out == "-0.5000\tA\n-1.5000\tA !\n"


def test_a_refused_line_keeps_its_place(translator, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"one\nbad\n\ntwo")))
    assert cli.run_program(["run", "bundle", "-"]) == 2
    streams = capsys.readouterr()
    assert streams.out == "ONE\n\n\nTWO\n"
    assert streams.err == "keras-attn: The text is bad.\n"
    assert cli.run_program(["run", "bundle", "bad", "--json"]) == 2
    assert json.loads(capsys.readouterr().out) == {"input": "bad", "error": "The text is bad."}


# ---- verify, attention, train ----


@pytest.mark.parametrize(("ok", "code"), [(True, 0), (False, 1)])
def test_verify_answers_with_its_code(monkeypatch, capsys, ok, code):
    report = Report("bundle", "runtime 1.0", [Check("files", True, "all [right]"), Check("scores", ok, "x")])
    monkeypatch.setattr("keras_attn.device.proof.verify.verify", lambda bundle, threads=1: report)
    assert cli.run_program(["verify", "bundle"]) == code
    shown = capsys.readouterr().out
    assert "all [right]" in shown
    assert ("The proof holds" if ok else "The proof fails") in shown
    assert cli.run_program(["verify", "bundle", "--json"]) == code
    assert json.loads(capsys.readouterr().out)["ok"] is ok


def test_an_alignment_marks_where_words_begin():
    output = Output("ab", -1.0, [7, 8], TARGET, np.full((2, 2), 0.5, np.float32))
    drawn = attention.alignment_of(Translation("x", [output], [5, 2], SOURCE))
    assert drawn.source_pieces == ["▁x", "▁</s>"]
    assert drawn.target_pieces == ["▁a", "b"]
    assert drawn.title == "x → ab"


@pytest.mark.parametrize(
    ("ids", "weights", "message"),
    [([7, 8], None, "no attention"), ([], np.zeros((0, 2)), "translation is empty")],
)
def test_unsupported_pictures_are_refused(ids, weights, message):
    output = Output("", -1.0, ids, TARGET, weights)
    with pytest.raises(typer.BadParameter, match=message):
        attention.alignment_of(Translation("x", [output], [5, 2], SOURCE))


def test_train_passes_options_on(monkeypatch, capsys, tmp_path):
    from keras_attn.training import TrainingResult, TranslationConfig, start
    from keras_attn.training.config.run_options import RunOptions

    seen = {}

    def fake(config, output, *, resume, run_options, progress):
        seen.update(config=config, output=output, resume=resume, run_options=run_options)
        print("noise that a library prints")
        return TrainingResult(output, 30, "average", 98.5, 1.5)

    monkeypatch.setattr(start, "train", fake)
    words = "train translation --data dates --steps 30 --dropout 0.1 --output run --resume --json "
    words += "--distribution model --mesh 4x2 --remat"
    assert cli.run_program(words.split()) == 0
    streams = capsys.readouterr()
    expected = {"folder": "run", "steps": 30, "chosen": "average", "score": 98.5, "seconds": 1.5}
    assert json.loads(streams.out) == expected
    assert "noise" in streams.err
    assert seen == {
        "config": TranslationConfig.recommended(data="dates", steps=30, dropout=0.1),
        "output": Path("run"),
        "resume": True,
        "run_options": RunOptions("model", "4x2", remat=True),
    }


@pytest.mark.parametrize(
    ("task", "config"),
    [
        ("translation", "TranslationConfig"),
        ("classification", "ClassificationConfig"),
        ("masked-lm", "MaskedLMConfig"),
        ("causal-lm", "CausalLMConfig"),
    ],
)
def test_every_training_option_is_a_setting(task, config):
    import dataclasses

    from keras_attn import training
    from keras_attn.training.config.run_options import RunOptions

    known = (getattr(training, config), RunOptions)
    settings = {field.name for kind in known for field in dataclasses.fields(kind)}
    options = {parameter.name for parameter in LEAVES[f"keras-attn train {task}"].params}
    assert options - {"output", "backend", "resume", "json", "help"} <= settings


def test_train_refuses_an_unknown_preset_and_lists_the_known(capsys):
    words = ["train", "translation", "--data", "dates", "--output", "run", "--preset"]
    assert cli.run_program([*words, "huge"]) == 2
    message = capsys.readouterr().err
    assert all(name in message for name in ("huge", "tiny", "shallow-tiny", "big"))
    assert cli.run_program([*words, "big"]) == 2  # a Transformer's, not an RNNsearch's
    assert "`preset` must be one of tiny, small, base, got 'big'" in capsys.readouterr().err


def test_the_version_is_that_of_the_package(capsys):
    assert cli.run_program(["--version"]) == 0
    assert capsys.readouterr().out == f"keras-attn {keras_attn.__version__}\n"


def test_finding_a_bundle_loads_no_framework():
    heavy = {"keras", "tensorflow", "jax", "torch", "matplotlib", "sacrebleu", "babel"}
    code = f"print(code, *sorted(set(sys.modules) & {heavy!r}))"
    assert run_in_process("run", "no/such/bundle", "x", code=code).stdout == "2\n"
    assert run_in_process("--help", code=code).stdout.endswith("\n0\n")
