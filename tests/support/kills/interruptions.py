"""Interrupt a training again and again, go on with it, and compare it with one that nobody disturbed.

    python tests/support/kills/interruptions.py --kills 20 --terms 5 --folder FOLDER [--asked '{...}']

Most interruptions come at a random moment after the new process has taken some steps of its own, or none
would come to an end; whether it saves, evaluates or trains just then is left to chance. One kill in five
comes while the process still begins. Prints the figures as JSON; exits 1 if the loss of any step or any final
weight differs in a single bit, or a file is left that the undisturbed training does not have. The default
tests do the same with a few interruptions.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
SAVED_AND_LEFT = 75
EARLY = 0.2  # share of the kills that come while a process begins


def start(folder: Path, output: Path, asked: dict, devices: int = 1, **environment: str) -> subprocess.Popen:
    """Start a training in a process of its own."""
    env = {
        **os.environ,
        "PYTHONPATH": f"{ROOT}:{ROOT / 'export'}",
        "KERAS_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        # Optimizing would take longer than these trainings do: the tests' own flags, where they run, say so.
        "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}",
        **environment,
    }
    command = [sys.executable, str(HERE / "distributed_training.py"), str(folder), str(output)]
    return subprocess.Popen(
        [*command, json.dumps(asked)], env=env, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )


def finish(process: subprocess.Popen) -> tuple[int, str]:
    """Wait for a process: its exit code, and what it said."""
    _, said = process.communicate(timeout=600)
    return process.returncode, said


def losses(output: Path) -> dict[int, list[float]]:
    """Every loss that was seen at each step: one, and one more each time that the step was repeated."""
    found: dict[int, list[float]] = {}
    path = Path(f"{output}.losses")
    for line in path.read_text("utf-8").splitlines() if path.is_file() else []:
        try:
            step, loss = json.loads(line)
        except (ValueError, TypeError):
            continue  # the process died while it wrote this line
        found.setdefault(step, []).append(loss)
    return found


def weights(output: Path) -> dict[str, bytes]:
    """The bytes of every weight of model.keras."""
    import io
    import zipfile

    import h5py

    with zipfile.ZipFile(output / "model.keras") as archive:
        file = h5py.File(io.BytesIO(archive.read("model.weights.h5")))
    found: dict[str, bytes] = {}
    file.visititems(
        lambda name, item: found.update({name: item[()].tobytes()}) if hasattr(item, "dtype") else None
    )
    return found


def interrupt(
    folder: Path, output: Path, asked: dict, kills: int, terms: int, seed: int = 0, devices: int = 1
) -> dict[str, int]:
    """Train with interruptions until it is done.

    Returns:
        How many processes there were, were killed, and left with the code that says they saved.
    """
    rng = random.Random(seed)
    signals = [signal.SIGKILL] * kills + [signal.SIGTERM] * terms
    rng.shuffle(signals)
    took = 5.0  # seconds from the start of a process to its first steps
    figures = {"processes": 0, "killed": 0, "saved_and_left": 0, "steps_repeated": 0}
    while True:
        resume = (output / "run.json").is_file()
        before = sum(len(seen) for seen in losses(output).values())
        process = start(folder, output, {**asked, "resume": resume}, devices)
        figures["processes"] += 1
        if signals and signals[-1] == signal.SIGKILL and rng.random() < EARLY:
            time.sleep(rng.uniform(0, took))
            process.send_signal(signals.pop())
        elif signals:
            begun = time.monotonic()
            # Let it come some steps further, or else nothing would ever be done; then any moment will do.
            wanted = before + rng.randint(1, 4)
            while process.poll() is None and sum(len(seen) for seen in losses(output).values()) < wanted:
                time.sleep(0.02)
            took = time.monotonic() - begun
            time.sleep(rng.uniform(0, 0.3))
            if process.poll() is None:
                sent = signals.pop()
                process.send_signal(sent)
        code, said = finish(process)
        if code == -signal.SIGKILL:
            figures["killed"] += 1
        elif code == SAVED_AND_LEFT:
            figures["saved_and_left"] += 1
        elif code == 0:
            seen = losses(output).values()
            figures["steps_repeated"] = sum(len(each) - 1 for each in seen)
            return figures
        else:
            raise SystemExit(f"The training ended with code {code}: {said[-2000:]}")


def differences(undisturbed: Path, interrupted: Path) -> list[str]:
    """Where two trainings differ in a single bit: losses by step, weights by name."""
    first, second = losses(undisturbed), losses(interrupted)
    found = [f"step {step}" for step in first if set(second.get(step, [])) != set(first[step])]
    mine, other = weights(undisturbed), weights(interrupted)
    found += [name for name in mine if other.get(name) != mine[name]]
    rows = [(output / "history.csv").read_text("utf-8") for output in (undisturbed, interrupted)]
    found += ["history.csv"] if rows[0] != rows[1] else []
    left = _names(interrupted) ^ _names(undisturbed)
    return [*found, *sorted(f"{name} is left or missing" for name in left)]


def _names(output: Path) -> set[str]:
    """Return the contents of a run folder, including the names of its checkpoints."""
    return {
        path.relative_to(output).as_posix() for path in [*output.glob("*"), *output.glob("checkpoints/*")]
    }


def main() -> int:
    """Run from the command line."""
    sys.path[:0] = [str(HERE), str(HERE.parent / "tiny")]
    from distributed_training import write_corpus

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--terms", type=int, default=5)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--asked", type=json.loads, default={})
    parser.add_argument("--devices", type=int, default=1)
    given = parser.parse_args()
    corpus, plain, disturbed = (given.folder / name for name in ("corpus", "undisturbed", "interrupted"))
    write_corpus(corpus)
    run_options = {"checkpoint_every": 3, **given.asked.get("run_options", {})}
    config = {"steps": 20 * (given.kills + given.terms), **given.asked.get("config", {})}
    asked = {**given.asked, "run_options": run_options, "config": config}
    code, said = finish(start(corpus, plain, asked, given.devices))
    if code:
        raise SystemExit(said)
    figures = interrupt(corpus, disturbed, asked, given.kills, given.terms, devices=given.devices)
    different = differences(plain, disturbed)
    print(json.dumps({**figures, "weights": len(weights(plain)), "different": different}))
    return bool(different)


if __name__ == "__main__":
    sys.exit(main())
