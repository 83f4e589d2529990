"""A bundle from the outside: ``load``, ``translate``, and ``python -m keras_attn.device`` as a process."""

import json
import subprocess
import sys

import numpy as np
import pytest
import tokenizers
import toy_bundle
from test_device_text import byte_pair_tokenizer

from keras_attn import cli
from keras_attn.device import load
from keras_attn.device.__main__ import main as device_program
from keras_attn.device.errors import BundleError, InputError, TextTooLong
from keras_attn.device.files.bundle import Bundle, write_bundle
from keras_attn.device.proof.decoder_proof import Proof
from keras_attn.device.proof.verify import verify
from keras_attn.device.runtime import litert
from keras_attn.device.tasks.translator import Translator
from keras_attn.errors import KerasAttnError, MissingPackage


@pytest.fixture(scope="module")
def tokenizer():
    return byte_pair_tokenizer()


@pytest.fixture(scope="module")
def bundles(tmp_path_factory, tokenizer):
    """A folder bundle of each kind, and the recurrent one as a .zip."""
    folder = tmp_path_factory.mktemp("bundles")
    kinds = ("recurrent", "cached")
    made = {kind: toy_bundle.make_bundle(folder / kind, kind, tokenizer) for kind in kinds}
    made["zip"] = toy_bundle.make_bundle(folder / "bundle.zip", "recurrent", tokenizer)
    return made


def test_one_text_and_a_list(bundles):
    translator = load(bundles["recurrent"])
    one = translator.translate("little text", beam=3, n_best=2, alignments=True)
    assert one.text == str(one) == one.outputs[0].text
    assert one.score == one.outputs[0].score >= one.outputs[1].score
    assert one.source_pieces == ["little", "text", "</s>"]
    assert one.alignment is not None and one.alignment.shape == (len(one.outputs[0].ids), 3)
    assert len(one.outputs[0].pieces) == len(one.outputs[0].ids)
    assert np.allclose(one.alignment.sum(1), 1, atol=1e-5)
    several = translator.translate(["things", "little text"], beam=3, n_best=2)
    assert [t.input for t in several] == ["things", "little text"]
    assert several[1].to_json() == one.to_json()
    assert load(bundles["zip"]).translate("little text", beam=3, n_best=2).to_json() == one.to_json()


@pytest.mark.parametrize("kind", ["recurrent", "cached"])
def test_batches_of_a_step_model_equal_the_bundle(bundles, tokenizer, kind):
    """A Keras model on padded batches and the bundle on single sentences have the same outputs."""
    device = load(bundles[kind])
    model = toy_bundle.NumpyStepModel(kind, tokenizer.get_vocab_size())
    batched = Translator(
        lambda _: model,
        device.tokenizer,
        max_source_tokens=16,
        max_target_tokens=20,
        batch_size=3,
        multiple=4,
    )
    texts = [
        "a little text",
        "things",
        "",
        "numbers like 1.5",
        "text about things",
        "日本語",
        "a",
        "little " * 9,
    ]
    done = []
    for beam in (1, 3):
        wanted = device.translate(texts, beam=beam, alignments=True)
        got = batched.translate(texts, beam=beam, alignments=True, progress=done.append)
        assert [t.text for t in got] == [t.text for t in wanted]
        assert [t.score for t in got] == pytest.approx([t.score for t in wanted], abs=1e-4)
        for a, b in zip(got, wanted, strict=True):
            assert a.alignment is not None and b.alignment is not None
            assert a.alignment.shape == b.alignment.shape and np.allclose(a.alignment, b.alignment, atol=1e-4)
    assert done[-1] == 7


@pytest.mark.parametrize("text", ["", "   ", "\n\t"])
def test_empty_text_has_an_empty_answer(bundles, text):
    answer = load(bundles["recurrent"]).translate(text, beam=2, n_best=2, alignments=True)
    assert answer.to_json() == {"input": text, "outputs": [{"text": "", "score": 0.0, "ids": []}]}


@pytest.mark.parametrize("text", ["\x00\x07\x1b[31m", "🙂🌈", "ᚠᛇ", "<eos><pad>", "a\u200db", "\ufeff"])
def test_odd_text_has_an_answer(bundles, text):
    assert load(bundles["cached"]).translate(text).outputs


def test_long_text_is_cut_at_sentence_ends(bundles):
    translator = load(bundles["recurrent"])
    sentences = ["little text about things.", "numbers like 20.", "a text.", "things and text."]
    answer = translator.translate(" ".join(sentences), max_length=5, alignments=True)
    assert answer.source_pieces.count("</s>") > 1
    assert answer.alignment is not None
    assert answer.alignment.shape == (len(answer.outputs[0].ids), len(answer.source_ids))
    # Each row attends its own part only.
    ends = [i for i, piece in enumerate(answer.source_pieces) if piece == "</s>"]
    assert np.allclose(answer.alignment[0, ends[0] + 1 :], 0)
    assert np.allclose(answer.alignment.sum(1), 1, atol=1e-5)


def test_ten_thousand_words_name_the_limit(bundles):
    translator = load(bundles["recurrent"])
    with pytest.raises(TextTooLong, match=r"at most 16 .*; shorten it, or end its sentences") as error:
        translator.translate("text " * 10_000)
    assert "truncate" not in str(error.value)
    assert translator.translate("text. " * 1000, max_length=2).text


@pytest.mark.parametrize(
    ("text", "options", "error", "message"),
    [
        (b"bytes", {}, TypeError, "text must be a string"),
        (None, {}, TypeError, "text must be a string"),
        (["a", 3], {}, TypeError, r"text\[1\] must be a string, not int"),
        ("a", {"beam": 0}, ValueError, "beam must be"),
        ("a", {"beam": 4}, ValueError, "beam is 4, but this bundle was exported for a beam of at most 3"),
        ("a", {"n_best": 2}, ValueError, "increase beam"),
        ("", {"beam": 1.5}, ValueError, "beam must be"),
        ("a", {"max_length": 0}, ValueError, "max_length must be"),
        ("a", {"max_length": 21}, ValueError, "max_length is 21, but the model produces at most 20"),
        ("a", {"length_penalty": "x"}, ValueError, "length_penalty"),
        ("\ud800", {}, InputError, "lone surrogate"),
    ],
)
def test_bad_arguments_are_named(bundles, text, options, error, message):
    with pytest.raises(error, match=message):
        load(bundles["recurrent"]).translate(text, **options)


@pytest.mark.parametrize("kind", ["recurrent", "cached", "zip"])
def test_the_proof_holds(bundles, kind):
    report = verify(bundles[kind])
    assert report.ok, str(report)
    names = ["files", "signatures", "scores", "tokens", "shuffled", "texts"]
    assert [check.name for check in report.checks] == names
    assert json.loads(json.dumps(report.to_json()))["ok"] is True


def rewritten(bundle, path, manifest_change=None, **files):
    """A copy of a bundle with other files, and hashes to match."""
    opened = Bundle.open(bundle)
    contents = {name: opened.read(name) for name in opened.manifest["files"]}
    manifest = json.loads(json.dumps(opened.manifest))
    if manifest_change:
        manifest_change(manifest)
    return write_bundle(path, manifest, {**contents, **files}).path


def test_the_wrong_model_fails_the_proof(bundles, tmp_path, tokenizer):
    """A file that computes something else, and a proof of something else: the place is named."""
    proof = Proof.load(Bundle.open(bundles["cached"]).read("proof.npz"))
    proof.check_scores[2, 1, 0] += 0.5
    path = rewritten(bundles["cached"], tmp_path / "wrong", **{"proof.npz": proof.to_bytes()})
    report = verify(path)
    assert not report.ok
    [failed] = [check for check in report.checks if not check.ok]
    assert failed.name == "scores" and "sentence 2, step 1, signature step_" in failed.detail
    proof.target_ids[3, 0] = (proof.target_ids[3, 0] + 1 - 4) % 100 + 4
    path = rewritten(bundles["cached"], tmp_path / "worse", **{"proof.npz": proof.to_bytes()})
    failed = [check for check in verify(path).checks if not check.ok]
    assert "sentence 3, step 0" in {check.name: check for check in failed}["tokens"].detail


def test_mismatching_bundle_fails_its_check(bundles, tmp_path):
    def reshape(manifest):
        manifest["signatures"]["step_8_12_3"]["inputs"]["tokens"]["shape"] = [5]

    report = verify(rewritten(bundles["recurrent"], tmp_path / "shape", reshape))
    assert [(check.name, check.ok) for check in report.checks] == [("files", True), ("signatures", False)]
    assert "signature 'step_8_12_3', input 'tokens'" in report.checks[-1].detail

    def runtimes(manifest):
        manifest["runtimes"] = ["abacus>=1"]

    path = rewritten(bundles["recurrent"], tmp_path / "runtime", runtimes)
    assert "may run on abacus>=1" in verify(path).checks[-1].detail
    with pytest.raises(BundleError, match="may run on abacus>=1"):
        load(path)
    (path / "tokenizer.json").unlink()
    assert "has no tokenizer.json" in verify(path).checks[-1].detail
    with pytest.raises(BundleError, match="There is no bundle"):
        verify(tmp_path / "nowhere")


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x05\x06" + b"\0" * 18])
def test_a_proof_that_cannot_be_read_is_named(content):
    with pytest.raises(BundleError, match=r"proof\.npz"):
        Proof.load(content)


def device(*arguments, **options):
    """Run the command line."""
    command = [sys.executable, "-m", "keras_attn.device", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, timeout=60, **{"text": True, "encoding": "utf-8", **options}
    )


def test_the_command_line_answers(bundles):
    done = device(bundles["recurrent"], "little text", "--beam", 2, "things", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["input"] for answer in answers] == ["little text", "things"]
    expected = load(bundles["recurrent"]).translate("things", beam=2)
    assert answers[1] == expected.to_json()
    plain = device(bundles["recurrent"], "things", "--beam", 2)
    assert plain.stdout.splitlines() == [" ".join(expected.text.splitlines())]
    several = device(bundles["recurrent"], "things", "--beam", 3, "--n-best", 3).stdout.splitlines()
    assert len(several) == 3 and all("\t" in line for line in several)


def test_standard_input_is_answered_line_by_line(bundles):
    """The first answer comes before the second line is written."""
    command = [sys.executable, "-m", "keras_attn.device", str(bundles["recurrent"]), "-", "--json"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout
        for line in ("things", "", "日本語"):
            process.stdin.write(f"{line}\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["input"] == line
        process.stdin.close()
        assert process.wait(20) == 0


def test_a_bad_line_keeps_its_place(bundles):
    lines = b"things\n" + b"text " * 50 + b"\n\xff\xfe\nthings\n"
    done = device(bundles["recurrent"], "-", input=lines, text=False, encoding=None)
    assert done.returncode == 2
    answers = done.stdout.decode().split("\n")
    assert answers[0] == answers[3] != "" and answers[1] == answers[2] == "" and len(answers) == 5
    errors = done.stderr.decode().splitlines()
    assert len(errors) == 2 and "at most 16" in errors[0] and "Unicode" in errors[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", "a"], "There is no bundle at nowhere"),
        (["BUNDLE"], "give TEXT"),
        (["BUNDLE", "a", "--beam", "0"], "beam must be"),
        (["BUNDLE", "a", "--beam", "9"], "for a beam of at most 3"),
        (["BUNDLE", "a", "--beam", "many"], "invalid int value"),
        (["BUNDLE", "a", "--threads", "0"], "threads must be"),
        (["BUNDLE", "a", "--verify"], "take no TEXT"),
        (["BUNDLE", "--verify", "--benchmark"], "not allowed with"),
    ],
)
def test_bad_input_is_one_line_and_code_2(bundles, arguments, message):
    done = device(*[bundles["recurrent"] if each == "BUNDLE" else each for each in arguments])
    assert done.returncode == 2 and done.stdout == ""
    assert message in done.stderr and len(done.stderr.splitlines()) == 1


def test_verify_from_the_command_line(bundles, tmp_path):
    done = device(bundles["cached"], "--verify", "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["ok"] is True
    proof = Proof.load(Bundle.open(bundles["cached"]).read("proof.npz"))
    proof.check_scores[:] -= 1
    path = rewritten(bundles["cached"], tmp_path / "wrong", **{"proof.npz": proof.to_bytes()})
    done = device(path, "--verify")
    assert done.returncode == 1 and "FAIL scores" in done.stdout and done.stderr == ""


@pytest.mark.parametrize("name", ["an interpreter", "the chosen one"])
def test_a_missing_interpreter_is_one_line_with_the_command_that_installs_it(
    bundles, monkeypatch, capsys, name
):
    missing = dict.fromkeys(litert._RUNTIMES, "no_such_module.interpreter")
    monkeypatch.setattr(litert, "_RUNTIMES", missing)
    wanted = "tflite-runtime" if name == "the chosen one" else "ai-edge-litert"
    if name == "the chosen one":
        monkeypatch.setenv(litert.RUNTIME_VARIABLE, wanted)
    with pytest.raises(MissingPackage, match=f"pip install {wanted}") as error:
        load(bundles["recurrent"])
    assert isinstance(error.value, KerasAttnError) and isinstance(error.value, ImportError)
    for program in (cli.run_program, device_program):
        words = [] if program is device_program else ["run"]
        assert program([*words, str(bundles["recurrent"]), "a text"]) == 2
        said = capsys.readouterr().err
        assert said.endswith(f": {error.value}\n") and said.count("\n") == 1


def test_benchmark_from_the_command_line(bundles):
    done = device(bundles["recurrent"], "--benchmark", "--json")
    figures = json.loads(done.stdout)
    assert done.returncode == 0 and done.stderr == ""
    assert {"latency_ms", "tokens_per_second", "peak_memory_bytes", "file_bytes"} <= figures.keys()
    assert figures["file_bytes"] == (bundles["recurrent"] / "model.tflite").stat().st_size
    assert figures["latency_ms"] > 0 and figures["floor_ms_per_token"] > 0
    assert figures["first_token_ms"] > 0
    assert "tokens/s" in device(bundles["recurrent"], "--benchmark").stdout


def test_the_device_imports_no_framework(bundles):
    """Everything the device does, in one process, and then a look at what was imported."""
    code = """
import sys
from keras_attn.device.__main__ import main
bundle = sys.argv[1]
assert main([bundle, "things", "--beam", "2"]) == 0
assert main([bundle, "--verify"]) == 0
assert main([bundle, "--benchmark"]) == 0
heavy = {"keras", "tensorflow", "jax", "torch", "matplotlib", "keras_attn_export"}
found = {name.split(".")[0] for name in sys.modules} & heavy
assert not found, found
parts = {name.split(".")[1] for name in sys.modules if name.startswith("keras_attn.")}
assert parts == {"device", "errors", "lazy_names", "registration"}, parts
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(bundles["recurrent"])], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_a_tokenizer_of_another_model_is_refused(bundles, tmp_path):
    small = tokenizers.Tokenizer(tokenizers.models.BPE(vocab={"a": 0, "b": 1}, merges=[]))
    path = rewritten(bundles["recurrent"], tmp_path / "small", **{"tokenizer.json": small.to_str().encode()})
    with pytest.raises(BundleError, match="special_ids names 2 as 'end'"):
        load(path)
