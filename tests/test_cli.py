"""The command line with light stand-ins behind it: codes, streams, JSON, help, and what gets loaded."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer.main

from keras_attn import cli, device
from keras_attn.commands import attention, demo, environment, progress, screen, train
from keras_attn.device.errors import InputError
from keras_attn.device.translator import Output, Translation
from keras_attn.device.verify import Report, Rung

ROOT = Path(__file__).resolve().parents[1]


class Pieces:
    """A tokenizer that calls its ids by given names."""

    def __init__(self, **names):
        self.names = {int(key.removeprefix("id")): name for key, name in names.items()}

    def pieces(self, ids):
        return [self.names[number] for number in ids]


SOURCE, TARGET = Pieces(id5="x", id2="</s>"), Pieces(id7="a", id8="b")


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
    monkeypatch.setattr(device, "load", lambda bundle, threads=1, weight_cache=None: fake)
    return fake


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
    one_word |= {"plan", "web"}
    tasks = {f"train {task}" for task in ("translation", "classification", "masked-lm", "causal-lm")}
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
        (["evaluate", "no/such/run", "--data", "dates"], "no/such/run is neither a run folder nor a bundle"),
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


def test_errors_of_this_project_become_one_line(monkeypatch, capsys):
    from keras_attn.data.errors import DataError

    def fail(*arguments):
        raise DataError("train.en has 3 lines\nand train.de 4")

    monkeypatch.setattr(device, "load", fail)
    assert cli.run_program(["run", "bundle", "text"]) == 2
    assert capsys.readouterr().err == "keras-attn: train.en has 3 lines and train.de 4\n"


def test_a_missing_package_names_its_extra(monkeypatch, capsys):
    def fail(*arguments):
        raise ModuleNotFoundError("No module named 'tensorflow.lite'", name="tensorflow.lite")

    monkeypatch.setattr(device, "load", fail)
    assert cli.run_program(["run", "bundle", "text"]) == 2
    assert "pip install 'keras-attn[export]'" in capsys.readouterr().err


def test_a_bug_keeps_its_traceback(monkeypatch):
    def fail(*arguments):
        raise ValueError("not one of ours")

    monkeypatch.setattr(device, "load", fail)
    with pytest.raises(ValueError, match="not one of ours"):
        cli.run_program(["run", "bundle", "text"])


def test_interrupting_is_no_traceback(monkeypatch, capsys):
    def interrupt(bundle, threads=1, weight_cache=None):
        raise KeyboardInterrupt

    monkeypatch.setattr(device, "load", interrupt)
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
    monkeypatch.setattr(sys, "stdin", iter(["one\n", "bad\n", "\n", "two"]))
    assert cli.run_program(["run", "bundle", "-"]) == 2
    streams = capsys.readouterr()
    assert streams.out == "ONE\n\n\nTWO\n"
    assert streams.err == "keras-attn: The text is bad.\n"
    assert cli.run_program(["run", "bundle", "bad", "--json"]) == 2
    assert json.loads(capsys.readouterr().out) == {"input": "bad", "error": "The text is bad."}


# ---- verify, attention, train ----


@pytest.mark.parametrize(("ok", "code"), [(True, 0), (False, 1)])
def test_verify_answers_with_its_code(monkeypatch, capsys, ok, code):
    report = Report("bundle", "runtime 1.0", [Rung("files", True, "all [right]"), Rung("scores", ok, "x")])
    monkeypatch.setattr("keras_attn.device.verify.verify", lambda bundle, threads=1: report)
    assert cli.run_program(["verify", "bundle"]) == code
    shown = capsys.readouterr().out
    assert "all [right]" in shown
    assert ("The proof holds" if ok else "The proof fails") in shown
    assert cli.run_program(["verify", "bundle", "--json"]) == code
    assert json.loads(capsys.readouterr().out)["ok"] is ok


class FakeTokenizer:
    def __init__(self):
        self.special_ids = {"pad": 0, "start": 1, "end": 2, "unknown": 3}
        self.target = self

    def token(self, number):
        return {2: "<eos>", 5: "▁x", 7: "▁a", 8: "b"}[number]


def test_an_alignment_marks_where_words_begin():
    opened = FakeTranslator()
    opened.tokenizer = FakeTokenizer()
    output = Output("ab", -1.0, [7, 8], TARGET, np.full((2, 2), 0.5, np.float32))
    drawn = attention.alignment_of(Translation("x", [output], [5, 2], SOURCE), opened)
    assert drawn.source_pieces == ["▁x", "▁</s>"]
    assert drawn.target_pieces == ["▁a", "b"]
    assert drawn.title == "x → ab"


@pytest.mark.parametrize(
    ("ids", "weights", "message"),
    [([7, 8], None, "no attention"), ([], np.zeros((0, 2)), "translation is empty")],
)
def test_what_cannot_be_drawn_is_refused(ids, weights, message):
    output = Output("", -1.0, ids, TARGET, weights)
    with pytest.raises(typer.BadParameter, match=message):
        attention.alignment_of(Translation("x", [output], [5, 2], SOURCE), FakeTranslator())


def test_train_hands_on_what_was_asked(monkeypatch, capsys, tmp_path):
    from keras_attn.training import TrainingResult
    from keras_attn.training.conditions import Conditions

    seen = {}

    def fake(asked, output, bar, *, resume, conditions):
        seen.update(asked, output=output, resume=resume, conditions=conditions)
        print("noise that a library prints")
        return TrainingResult(output, 30, "average", 98.5, 1.5)

    monkeypatch.setattr(train, "train_run", fake)
    words = "train translation --data dates --steps 30 --dropout 0.1 --output run --resume --json "
    words += "--distribution model --mesh 4x2 --remat"
    assert cli.run_program(words.split()) == 0
    streams = capsys.readouterr()
    expected = {"folder": "run", "steps": 30, "chosen": "average", "score": 98.5, "seconds": 1.5}
    assert json.loads(streams.out) == expected
    assert "noise" in streams.err
    given = {name: value for name, value in seen.items() if value is not None}
    assert given.pop("resume") is True and given.pop("output") == Path("run")
    assert given.pop("conditions") == Conditions("model", "4x2", remat=True)
    assert given == {"data": "dates", "model": "rnnsearch", "preset": "tiny", "steps": 30, "dropout": 0.1}


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
    from keras_attn.training.conditions import Conditions

    known = (getattr(training, config), Conditions)
    settings = {field.name for kind in known for field in dataclasses.fields(kind)}
    options = {parameter.name for parameter in LEAVES[f"keras-attn train {task}"].params}
    assert options - {"output", "backend", "resume", "json", "help"} <= settings


# ---- environment and screen ----


@pytest.fixture
def no_backend(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("KERAS_BACKEND", "")
    return tmp_path / "keras.json"


def test_the_backend_is_jax_unless_somebody_chose(no_backend, monkeypatch):
    assert environment.choose_backend() == "jax"
    monkeypatch.setenv("KERAS_BACKEND", "")
    no_backend.write_text(json.dumps(environment._UNTOUCHED_KERAS_CONFIG))  # what Keras writes by itself
    assert environment.choose_backend() == "jax"
    monkeypatch.setenv("KERAS_BACKEND", "")
    no_backend.write_text(json.dumps({**environment._UNTOUCHED_KERAS_CONFIG, "epsilon": 1e-6}))
    assert environment.choose_backend() == "tensorflow"
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert environment.choose_backend() == "jax"
    assert environment.choose_backend("tensorflow") == "tensorflow"


def test_a_backend_that_is_not_there_is_refused(no_backend, monkeypatch):
    with pytest.raises(typer.BadParameter, match="must be one of"):
        environment.choose_backend("theano")
    monkeypatch.setattr(environment.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(typer.BadParameter, match="not installed"):
        environment.choose_backend("jax")
    with pytest.raises(typer.BadParameter, match="no backend"):
        environment.choose_backend()


@pytest.mark.parametrize("breaks", [False, True])
def test_tensorflow_loads_in_silence_unless_it_fails(tmp_path, breaks):
    module = f"import os\nos.write(2, b'chatter')\nassert not {breaks}\nX = 1\n"
    (tmp_path / "tensorflow.py").write_text(module)
    program = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from keras_attn.commands import environment; "
        "environment.quiet_logs(); import tensorflow; print(tensorflow.X); sys.stderr.write('after')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    if breaks:
        assert "chatter" in done.stderr and "AssertionError" in done.stderr
    else:
        assert (done.stdout, done.stderr) == ("1\n", "after")


def test_only_json_reaches_standard_output():
    program = (
        "import os, subprocess, sys; from keras_attn.commands import screen\n"
        "with screen.stdout_for_json(True) as stream:\n"
        "    print('python'); os.write(1, b'c library\\n'); subprocess.run(['echo', 'child'])\n"
        "    screen.print_json({'ok': True}, stream)\n"
        "print('later')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == '{"ok": true}\nlater\n'
    assert all(word in done.stderr for word in ("python", "c library", "child"))


def test_json_takes_numpy_paths_and_dataclasses(capsys):
    screen.print_json({"a": np.float32(0.5), "b": np.arange(2), "c": Path("x/y"), "d": Rung("r", True, "")})
    printed = json.loads(capsys.readouterr().out)
    assert printed["a"] == 0.5 and printed["b"] == [0, 1] and printed["c"] == "x/y"
    assert printed["d"]["name"] == "r"


def test_looking_for_a_bundle_loads_no_framework():
    heavy = {"keras", "tensorflow", "jax", "torch", "matplotlib", "sacrebleu", "babel"}
    code = f"print(code, *sorted(set(sys.modules) & {heavy!r}))"
    assert run_in_process("run", "no/such/bundle", "x", code=code).stdout == "2\n"
    assert run_in_process("--help", code=code).stdout.endswith("\n0\n")


# ---- progress and demo ----


def test_the_bar_counts_tokens_per_second(capsys):
    now = [100.0]
    with progress.TrainingBar(clock=lambda: now[0]) as bar:
        bar.started(0, 100)
        for step in range(1, 101):
            now[0] += 1.0
            bar.stepped(step, 2.0, 500)
        assert bar.tokens_per_second() == pytest.approx(500)
        bar.evaluated({"step": 100, "validation_loss": 1.25, "bleu": None})
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "step 0 of 100: compiling"
    assert lines[-2] == "step 100 of 100: loss 2.000, 500 tokens/s"
    assert lines[-1] == "step 100  validation loss 1.25"
    assert len(lines) < 10


def test_the_demo_shows_one_date_of_each_script():
    sources = ["5 June 2018", "6 May 2018", "5 июня 2018 г.", "2018年6月5日", "5.6"]
    assert [demo.script(source) for source in sources] == ["Latin", "Latin", "Cyrillic", "CJK", "digits"]
    pairs = list(zip(sources, "abcde", strict=True))
    assert [target for _, target in demo.one_per_script(pairs)] == ["a", "c", "d", "e"]
