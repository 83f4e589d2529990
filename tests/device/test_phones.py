"""The samples for Android and iOS: compiled, and held against Python's answers over the real LiteRT."""

import functools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import keras
import numpy as np
import pytest
import tiny_own
from bundles import make_bundle, pairs
from cache import MissingError
from phones.toolchains import in_root, kotlin_compiler, swift_root
from tiny_encoders import encoder_tokenizer, tiny_encoder
from tiny_models import in_process, scratch, sentences
from tiny_tasks import task_bundle

import keras_attn
from keras_attn import device

pytestmark = pytest.mark.device
ROOT = Path(__file__).resolve().parents[2]
PHONES = Path(__file__).parent / "phones"
KINDS = ("translation, RNNsearch", "translation, Transformer")
OWN = "own class"  # caches of its own, whose rows are written where it says
NAMES = (*KINDS, "one call", OWN)
METHODS = {"inference": "classify", "several": "classify", "reranker": "score", "embedder": "embed"}
"""Of encoders: the first reads two texts, the second gives several labels or none."""


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    """Bundles of dates, by name: a recurrent model, a Transformer, and one that answers in one call."""
    folder = tmp_path_factory.mktemp("bundles")
    with in_process():
        found = {kind: make_bundle(kind, "fp32", folder) for kind in KINDS}
        found["one call"] = make_bundle(KINDS[1], "fp32", folder / "one-call", one_call=True)
    keras.utils.set_random_seed(2)
    found[OWN] = keras_attn.export(
        tiny_own.BUILDERS["modern"](), folder / "own", "fp32", tokenizer=tiny_own.letters(),
        lengths=[(16, 16)], examples=[(text, "") for text in tiny_own.TEXTS],
    ).path  # fmt: skip
    return found


@pytest.fixture(scope="module")
def expected(bundles):
    """The sources' ids, and Python's tokens of each bundle."""
    answers = {}
    for name, path in bundles.items():
        translator = device.load(path)
        texts = [text for text, _ in pairs()[100:160]]
        if name == OWN:
            texts = [f"{one} {other}"[:15].strip() for one in tiny_own.TEXTS for other in tiny_own.TEXTS]
        encoded = {text: translator.tokenizer.encode(text) for text in texts}
        whole = {text: ids for text, ids in encoded.items() if len(ids) <= translator.max_source_tokens}
        found = translator.translate(list(whole))
        answers[name] = list(whole.values()), [each.outputs[0].ids for each in found]
    assert all(len(sources) > 30 for sources, _ in answers.values())
    return answers


@pytest.fixture(scope="module")
def encoders():
    """Bundles of encoders, by name."""
    found = {name: Path(task_bundle(name)) for name in METHODS if name != "embedder"}
    path, texts = scratch() / "phones-embedder", sentences()[:20]
    with in_process():
        keras_attn.export(
            tiny_encoder("embedder"), path, tokenizer=encoder_tokenizer(), examples=texts, lengths=[8, 16]
        )
    return {**found, "embedder": path}


@functools.cache
def encoded_and_answered(name, path):
    """The ids of a hundred texts, or pairs, and Python's answers as the programs print them."""
    task, texts = device.load(path), [" ".join(text.split()[:5]) for text in sentences()[:100]]
    pairs = [texts[-1 - i].split()[0] if task.encoder.reads_pairs else None for i in range(100)]
    assert len(texts) == 100
    encoded, answers = [], []
    for text, pair in zip(texts, pairs, strict=True):
        encoded.append(task.ids(text, pair=pair))
        match METHODS[name]:
            case "classify":
                found = task.classify(text, pair=pair).outputs
                answers.append([word for each in found for word in (each.label, each.score)])
            case "score":
                answers.append([float(task.score(text, pair))])
            case _:
                answers.append(task.embed(text).embedding.tolist())
    return encoded, answers


def check_answers(printed, answers):
    rows = [
        [word if word.isalpha() else float(word) for word in line.split()] for line in printed.splitlines()
    ]
    assert len(rows) == len(answers) == 100
    for row, answer in zip(rows, answers, strict=True):
        assert [each for each in row if isinstance(each, str)] == [
            each for each in answer if isinstance(each, str)
        ]
        numbers, expected = ([each for each in one if not isinstance(each, str)] for one in (row, answer))
        np.testing.assert_allclose(numbers, expected, rtol=1e-5, atol=1e-6)


def as_lines(rows):
    return "".join(" ".join(map(str, row)) + "\n" for row in rows)


def numbers_of(lines):
    return [[int(word) for word in line.split()] for line in lines.splitlines()]


def needed(toolchain):
    try:
        return toolchain()
    except MissingError as error:
        pytest.skip(str(error))


def succeed(command, **options):
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=600, **options)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def kotlin(tmp_path_factory):
    """The program of the samples, as they stand, for a JVM."""
    program = tmp_path_factory.mktemp("kotlin") / "translator.jar"
    sources = [*(ROOT / "demos/android").glob("*.kt"), *PHONES.glob("*.kt")]
    succeed([*needed(kotlin_compiler), *sources, "-include-runtime", "-d", program])
    return program


@pytest.mark.parametrize("name", NAMES)
def test_kotlin_gives_pythons_tokens(kotlin, bundles, expected, name):
    sources, targets = expected[name]
    assert numbers_of(on_java(kotlin, bundles[name], as_lines(sources))) == targets


@pytest.mark.parametrize("name", METHODS)
def test_kotlin_gives_pythons_answers(kotlin, encoders, name):
    ids, answers = encoded_and_answered(name, encoders[name])
    check_answers(on_java(kotlin, encoders[name], as_lines(ids), METHODS[name]), answers)


def on_java(program, bundle, lines, *method):
    interpreter = f"-Dinterpreter={sys.executable}\n{PHONES / 'interpreter.py'}"
    return succeed(["java", interpreter, "-cp", program, "MainKt", bundle, *method], input=lines)


@pytest.fixture(scope="module")
def swift():
    """The root with Swift's compiler, and its folder with the program of the samples, as they stand."""
    root = needed(swift_root)
    with tempfile.TemporaryDirectory(dir=root / "tmp") as name:
        folder = Path(name)
        for source in (*(ROOT / "demos/ios").glob("*.swift"), *PHONES.glob("*.swift")):
            shutil.copy(source, folder)
        steps = (
            f"cd /tmp/{folder.name}",
            "swiftc -parse-as-library -emit-object -emit-module -module-name TensorFlowLite "
            "TensorFlowLite.swift -o runtime.o",
            "swiftc Translator.swift Encoder.swift main.swift runtime.o -I . -o translator",
        )
        succeed(in_root(root, "sh", "-c", " && ".join(steps)))
        yield root, folder


@pytest.mark.parametrize("name", NAMES)
def test_swift_gives_pythons_tokens(swift, bundles, expected, name):
    sources, targets = expected[name]
    assert numbers_of(in_swift(swift, name, bundles[name], as_lines(sources))) == targets


@pytest.mark.parametrize("name", METHODS)
def test_swift_gives_pythons_answers(swift, encoders, name):
    ids, answers = encoded_and_answered(name, encoders[name])
    check_answers(in_swift(swift, name, encoders[name], as_lines(ids), METHODS[name]), answers)


def in_swift(swift, name, bundle, lines, *method):
    root, folder = swift
    work = folder / name.replace(" ", "-")
    shutil.copytree(bundle, work / "bundle")
    for fifo in ("input", "output"):
        os.mkfifo(work / fifo)
    inside = f"/tmp/{folder.name}/{work.name}"
    variables = [f"INTERPRETER_INPUT={inside}/input", f"INTERPRETER_OUTPUT={inside}/output"]
    script = 'exec "$0" "$1" "$2/bundle/model.tflite" <"$2/input" >"$2/output"'
    server = ["sh", "-c", script, sys.executable, PHONES / "interpreter.py", work]
    with subprocess.Popen([*map(str, server)]) as interpreter:
        try:
            program = (f"{inside}/../translator", f"{inside}/bundle", *method)
            return succeed(in_root(root, *program, variables=variables), input=lines)
        finally:
            interpreter.kill()
