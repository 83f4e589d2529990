"""The samples for Android and iOS: compiled, and held against Python's tokens over the real LiteRT."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import keras
import pytest
import tiny_own
from bundles import make_bundle, pairs
from cache import MissingError
from phones.toolchains import in_root, kotlin_compiler, swift_root
from tiny_models import in_process

import keras_attn
from keras_attn import device

pytestmark = pytest.mark.device
ROOT = Path(__file__).resolve().parents[2]
PHONES = Path(__file__).parent / "phones"
KINDS = ("translation, RNNsearch", "translation, Transformer")
OWN = "own class"  # caches of its own, whose rows are written where it says
NAMES = (*KINDS, "one call", OWN)


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
    """The program of Translator.kt, as it stands, for a JVM."""
    program = tmp_path_factory.mktemp("kotlin") / "translator.jar"
    sources = [ROOT / "demos/android/Translator.kt", *PHONES.glob("*.kt")]
    succeed([*needed(kotlin_compiler), *sources, "-include-runtime", "-d", program])
    return program


@pytest.mark.parametrize("name", NAMES)
def test_kotlin_gives_pythons_tokens(kotlin, bundles, expected, name):
    sources, targets = expected[name]
    interpreter = f"-Dinterpreter={sys.executable}\n{PHONES / 'interpreter.py'}"
    command = ["java", interpreter, "-cp", kotlin, "MainKt", bundles[name]]
    assert numbers_of(succeed(command, input=as_lines(sources))) == targets


@pytest.fixture(scope="module")
def swift():
    """The root with Swift's compiler, and its folder with the program of Translator.swift, as it stands."""
    root = needed(swift_root)
    with tempfile.TemporaryDirectory(dir=root / "tmp") as name:
        folder = Path(name)
        for source in (ROOT / "demos/ios/Translator.swift", *PHONES.glob("*.swift")):
            shutil.copy(source, folder)
        steps = (
            f"cd /tmp/{folder.name}",
            "swiftc -parse-as-library -emit-object -emit-module -module-name TensorFlowLite "
            "TensorFlowLite.swift -o runtime.o",
            "swiftc Translator.swift main.swift runtime.o -I . -o translator",
        )
        succeed(in_root(root, "sh", "-c", " && ".join(steps)))
        yield root, folder


@pytest.mark.parametrize("name", NAMES)
def test_swift_gives_pythons_tokens(swift, bundles, expected, name):
    (root, folder), (sources, targets) = swift, expected[name]
    work = folder / name.replace(" ", "-")
    shutil.copytree(bundles[name], work / "bundle")
    for fifo in ("input", "output"):
        os.mkfifo(work / fifo)
    inside = f"/tmp/{folder.name}/{work.name}"
    variables = [f"INTERPRETER_INPUT={inside}/input", f"INTERPRETER_OUTPUT={inside}/output"]
    script = 'exec "$0" "$1" "$2/bundle/model.tflite" <"$2/input" >"$2/output"'
    server = ["sh", "-c", script, sys.executable, PHONES / "interpreter.py", work]
    with subprocess.Popen([*map(str, server)]) as interpreter:
        try:
            command = in_root(root, f"{inside}/../translator", f"{inside}/bundle", variables=variables)
            assert numbers_of(succeed(command, input=as_lines(sources))) == targets
        finally:
            interpreter.kill()
