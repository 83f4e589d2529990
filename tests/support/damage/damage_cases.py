"""Tries damaged bundles in a process that is watched: what it runs, and what must not happen."""

import contextlib
import io
import json
import os
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

SECONDS, BYTES, PATIENCE = 20, 2**29, 900
"""What a case may take: seconds of the processor, bytes of memory, seconds until it counts as hanging.

Memory counts beside that of the libraries: the process that tries all commands holds more of them than one
command needs.
"""
CASES_PER_PROCESS = 1000
SUPPORT = Path(__file__).parents[1]


@dataclass
class Found:
    """What was found.

    Attributes:
        wrong: sentences about cases that went wrong.
        codes: how often each command ended with each code.
        passed: cases that passed ``--verify``.
        seconds, bytes: the most that a case took, memory beside the libraries.
    """

    wrong: list = field(default_factory=list)
    codes: Counter = field(default_factory=Counter)
    passed: int = 0
    seconds: float = 0.0
    bytes: int = 0
    cases: int = 0

    def summary(self):
        """Return all of it in a few lines."""
        codes = ", ".join(f"{name} {count}" for name, count in sorted(self.codes.items()))
        lines = [f"{self.cases} cases, {self.passed} pass --verify, {len(self.wrong)} went wrong"]
        lines += [codes, f"at most {self.seconds:.1f} s of the processor and {self.bytes / 2**20:.0f} MiB"]
        return "\n".join([*self.wrong, *lines])


def try_cases(wholes, seed, numbers, tell=print):
    """Try damaged copies of whole bundles, one after the other; return what was found."""
    found, worker = Found(), None
    for number in numbers:
        if worker is None or worker.tried == CASES_PER_PROCESS:
            if worker is not None:
                worker.stop()
            worker = _Worker(wholes, seed)
        try:
            result = worker.ask(number)
        except _Ended as error:
            found.wrong.append(f"case {number}: {error}")
            tell(found.wrong[-1])
            worker = None
            continue
        found.cases += 1
        found.codes.update(result["codes"])
        found.passed += result["passed"]
        found.seconds, found.bytes = max(found.seconds, result["seconds"]), max(found.bytes, result["bytes"])
        problems = list(result["problems"])
        if result["seconds"] > SECONDS:
            problems.append(f"took {result['seconds']:.0f} s")
        if result["bytes"] > BYTES:
            problems.append(f"took {result['bytes'] / 2**20:.0f} MiB")
        for problem in problems:
            found.wrong.append(f"case {number} ({result['done']}): {problem}")
            tell(found.wrong[-1])
    if worker is not None:
        worker.stop()
    return found


class _Ended(Exception):
    """A worker died or hung."""


class _Worker:
    """A process that tries one case after the other."""

    def __init__(self, wholes, seed):
        self.tried = 0
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  as long as the process
        self._folder = tempfile.mkdtemp(prefix="damaged_")
        command = [sys.executable, __file__, str(seed), self._folder, *map(os.fspath, wholes)]
        environment = {**os.environ, "RUST_BACKTRACE": "0", "COLUMNS": "200"}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, env=environment
        )

    def ask(self, number):
        self.tried += 1
        self._process.stdin.write(b"%d\n" % number)
        self._process.stdin.flush()
        ready, _, _ = select.select([self._process.stdout], [], [], PATIENCE)
        line = self._process.stdout.readline() if ready else b""
        if line:
            return json.loads(line)
        hung = not ready
        self.stop()
        self._log.seek(0)
        last = self._log.read().decode(errors="replace")[-1500:]
        raise _Ended(f"{'hangs' if hung else f'ended with {self._process.returncode}'}: {last}")

    def stop(self):
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                stream.close()
        shutil.rmtree(self._folder, ignore_errors=True)


# In the worker


def main(seed, folder, *wholes):
    """Answer the numbers of cases on standard input with a line of JSON each."""
    import resource

    sys.path[:0] = [os.fspath(SUPPORT), os.fspath(SUPPORT / "tiny")]
    from damage import damage

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    resource.setrlimit(resource.RLIMIT_DATA, (3 * 2**30, 3 * 2**30))
    texts = {whole: _texts(whole) for whole in wholes}
    expected = {whole: _answers(whole, texts[whole]) for whole in wholes}
    held_out = {whole: _held_out(whole, texts[whole]) for whole in wholes}
    for whole in wholes:
        _load_libraries(whole, Path(folder) / "case", *held_out[whole])
    for line in sys.stdin:
        number = int(line)
        whole = wholes[number % len(wholes)]
        place = Path(folder) / "case"
        place.mkdir()
        name, content = held_out[whole]
        (place / name).write_text(content, "utf-8")
        path, done = damage(whole, place, int(seed), number)
        print(f"case {number}: {Path(whole).name}, {done}", file=sys.stderr, flush=True)
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak of memory
        begun, held = time.process_time(), _peak()
        codes, problems = {}, []
        for name, (command, often) in COMMANDS.items():
            if number // len(wholes) % often:
                continue
            code, problem = _run(command, path)
            codes[name] = code
            problems += [f"{name}: {problem}"] if problem else []
        seconds, peak = time.process_time() - begun, _peak() - held
        passed = codes["verify"] == 0
        if passed and (differs := _differ(expected[whole], path, texts[whole])):
            problems.append(f"passes --verify, and {differs}")
        shutil.rmtree(place)
        result = {"codes": {f"{name} {code}": 1 for name, code in codes.items()}, "problems": problems}
        result |= {"passed": passed, "seconds": seconds, "bytes": peak, "done": f"{Path(whole).name}, {done}"}
        print(json.dumps(result), file=answers, flush=True)


def _load_libraries(whole, place, name, content):
    """Run all commands on a copy of a whole bundle, so that memory is what a damaged one takes."""
    shutil.copytree(whole, place / "bundle")
    (place / name).write_text(content, "utf-8")
    for command, _ in COMMANDS.values():
        _run(command, place / "bundle")
    shutil.rmtree(place)


def _peak():
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) * 1024


HELD_OUT = "held_out"
TEXT = "the red cat [MASK] likes a house"


def _device(*more):
    def command(path):
        from keras_attn.device.__main__ import main as device

        return device([os.fspath(path), *more])

    return command


def _roof(*arguments):
    def command(path):
        from keras_attn.cli import run_program

        return run_program([each.format(path=path) for each in arguments])

    return command


def _web(path):
    from keras_attn.cli import run_program
    from keras_attn.commands.web import app as web_app

    app = path.parent / "app"
    app.mkdir(exist_ok=True)
    web_app.built_app = lambda: app
    return run_program(["web", os.fspath(path), "--output", os.fspath(path.parent / "site")])


def _evaluate(path):
    from keras_attn.cli import run_program

    (test,) = path.parent.glob(f"{HELD_OUT}.*")
    return run_program(["evaluate", os.fspath(path), "--test", os.fspath(test), "--json"])


COMMANDS = {
    "run": (_device(TEXT, "another text."), 1),
    "verify": (_device("--verify"), 1),
    "inspect": (_roof("inspect", "{path}"), 2),
    "inspect --json": (_roof("inspect", "{path}", "--json"), 3),
    "web": (_web, 3),
    "evaluate": (_evaluate, 2),
    "benchmark": (_roof("benchmark", "{path}", "--json"), 40),
    "attention": (_roof("attention", "{path}", TEXT, "--output", "{path}.html"), 40),
}
"""Each with how often it is tried: with every so manieth case of a bundle."""


def _run(command, path):
    """Return the exit code of a command, and what is wrong with how it ended."""
    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = command(path)
    except SystemExit as error:
        code = error.code
    except BaseException as error:
        last = traceback.extract_tb(error.__traceback__)[-3:]
        places = " < ".join(f"{Path(each.filename).name}:{each.lineno}" for each in reversed(last))
        return "raised", f"{type(error).__name__}: {str(error)[:200]} at {places}"
    lines = [line for line in err.getvalue().splitlines() if line.strip()]
    if code not in (0, 1, 2):
        return code, f"ended with {code}"
    if "Traceback" in err.getvalue() or (code == 2 and len(lines) > 2):
        return code, f"said {err.getvalue()[:500]!r}"
    return code, None


def _texts(whole):
    from keras_attn.device import load
    from keras_attn.device.files.bundle import PROOF, Bundle
    from keras_attn.device.proof.decoder_proof import Proof
    from keras_attn.device.proof.encoder_proof import EncoderProof
    from keras_attn.device.task_names import ENCODER_TASKS

    bundle = Bundle.open(whole)
    kind = EncoderProof if bundle.manifest["task"] in ENCODER_TASKS else Proof
    proof = kind.load(bundle.read(PROOF))
    tokenizer = load(whole).tokenizer
    texts = [tokenizer.decode(proof.source(i).tolist()) for i in range(len(proof))]
    mask = f" {tokenizer.mask_token}" if bundle.manifest["task"] == "masked-lm" else ""
    return [f"{text}{mask}" for text in dict.fromkeys(texts) if text.strip()][:8]


def _held_out(whole, texts):
    """Return the name and the content of a file that `evaluate` scores a bundle on."""
    from keras_attn.device.files.bundle import Bundle

    manifest = Bundle.open(whole).manifest
    if manifest["task"] == "translation":
        return f"{HELD_OUT}.tsv", "".join(f"{text}\t{text}\n" for text in texts)
    if manifest["task"] == "classification":
        label = manifest["model"]["labels"][0]
        return f"{HELD_OUT}.csv", "text,label\n" + "".join(f'"{text}",{label}\n' for text in texts)
    return f"{HELD_OUT}.txt", "\n\n".join(texts)


def _answers(path, texts):
    """Return what a bundle answers, without what may differ in the last digits."""
    from keras_attn.device import load

    task, found = load(path), []
    for text in texts:
        try:
            found.append(_answer(task, text))
        except ValueError as error:
            found.append(type(error).__name__)
    return found


def _answer(task, text):
    for method in ("translate", "generate", "classify", "fill_mask", "embed"):
        if hasattr(task, method):
            answer = getattr(task, method)(text)
            return answer.embedding.tolist() if method == "embed" else str(answer)
    raise TypeError(type(task).__name__)


def _differ(expected, path, texts):
    try:
        found = _answers(path, texts)
    except ValueError as error:
        return f"does not open: {error}"
    for i, (one, other) in enumerate(zip(expected, found, strict=True)):
        if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
            if max(abs(a - b) for a, b in zip(one, other, strict=True)) > 0.05:
                return f"embeds text {i} elsewhere"
        elif one != other:
            return f"answers {str(other)[:60]!r} to text {i}, not {str(one)[:60]!r}"
    return None


if __name__ == "__main__":
    main(*sys.argv[1:])
