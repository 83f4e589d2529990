"""Runs a .tflite file in a process of its own, so that a file that crashes the interpreter ends only that.

The parent writes a folder with `job.json` and `inputs.npz`, and reads `outputs.npz`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_attn.child_process import end_with_parent, run_python
from keras_attn.device.files.atomic_write import scratch_folder

RUNTIME = "ai-edge-litert"
"""What runs the file."""
PATIENCE = 300
"""Seconds that one call may take."""
_JOB, _INPUTS, _OUTPUTS, _CURRENT = "job.json", "inputs.npz", "outputs.npz", "current"
_FAILURE = "interpreter failed: "


class FileFailed(Exception):
    """The interpreter refused the file, or crashed."""


@dataclass(frozen=True)
class Call:
    """One call of a signature.

    Attributes:
        signature: its name; None for the default subgraph.
        inputs: arrays as they are stored, by name, or by the tensor's index where there is no signature.
        outputs: names, or indices, of the outputs that are read.
    """

    signature: str | None
    inputs: Mapping[str, np.ndarray]
    outputs: Sequence[str]


def run_calls(file: Path, calls: Sequence[Call], patience: int = PATIENCE) -> list[dict[str, np.ndarray]]:
    """Run calls of a file's signatures; return the outputs of each as they are stored.

    Args:
        file: the file.
        calls: of its signatures.
        patience: seconds that a call may take.

    Raises:
        FileFailed: the interpreter refused the file or an input, crashed, or did not end; says where.
    """
    with scratch_folder("keras_attn_prove") as folder:
        job = [
            {"signature": each.signature, "inputs": list(each.inputs), "outputs": list(each.outputs)}
            for each in calls
        ]
        described = {"file": str(file.absolute()), "calls": job, "patience": patience}
        (folder / _JOB).write_text(json.dumps(described), "utf-8")
        arrays = {f"{i}/{name}": array for i, call in enumerate(calls) for name, array in call.inputs.items()}
        np.savez(folder / _INPUTS, **arrays)  # pyright: ignore[reportArgumentType]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(entry or os.getcwd() for entry in sys.path),
        }
        done = run_python(["-m", __name__, str(folder)], environment)
        if done.returncode:
            raise FileFailed(_reason(done.returncode, done.stderr, folder, patience))
        with np.load(folder / _OUTPUTS, allow_pickle=False) as read:
            return [{name: read[f"{i}/{name}"] for name in call.outputs} for i, call in enumerate(calls)]


def _reason(code: int, errors: str, folder: Path, patience: int) -> str:
    current = folder / _CURRENT
    where = current.read_text("utf-8") if current.exists() else "opening the file"
    if code == -signal.SIGALRM:
        return f"the interpreter did not end within {patience} seconds at {where}: a loop in it may never end"
    if code < 0:
        return f"the interpreter crashed ({signal.Signals(-code).name}) at {where}"
    said = [line.removeprefix(_FAILURE) for line in errors.splitlines() if line.startswith(_FAILURE)]
    return f"the interpreter failed at {where}: {json.loads(said[-1]) if said else errors.strip()[-300:]}"


def _work(folder: Path) -> None:
    from ai_edge_litert.interpreter import Interpreter

    job = json.loads((folder / _JOB).read_text("utf-8"))
    current = folder / _CURRENT
    interpreter = Interpreter(model_path=job["file"], num_threads=1)
    found = {}
    with np.load(folder / _INPUTS, allow_pickle=False) as arrays:
        for i, call in enumerate(job["calls"]):
            current.write_text(
                f"signature {call['signature']!r}" if call["signature"] else "its graph", "utf-8"
            )
            inputs = {name: arrays[f"{i}/{name}"] for name in call["inputs"]}
            signal.alarm(job["patience"])  # whose default ends the process, also inside an operator
            run = _run_default if call["signature"] is None else _run_signature
            outputs = run(interpreter, call, inputs)
            found |= {f"{i}/{name}": outputs[name] for name in call["outputs"]}
    np.savez(folder / _OUTPUTS, **found)


def _run_signature(interpreter: Any, call: Mapping[str, Any], inputs: Mapping[str, Any]) -> Any:
    return interpreter.get_signature_runner(call["signature"])(**inputs)


def _run_default(interpreter: Any, call: Mapping[str, Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
    for index, array in inputs.items():
        interpreter.resize_tensor_input(int(index), array.shape)
    interpreter.allocate_tensors()
    for index, array in inputs.items():
        interpreter.set_tensor(int(index), array)
    interpreter.invoke()
    return {index: interpreter.get_tensor(int(index)) for index in call["outputs"]}


def main(folder: Path) -> int:
    """Run the job in `folder`, in the process of its own; return the exit status."""
    try:
        _work(folder)
    except Exception as error:  # any error becomes one message for the parent
        print(_FAILURE + json.dumps(" ".join(str(error).split())), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    end_with_parent()
    sys.exit(main(Path(sys.argv[1])))
