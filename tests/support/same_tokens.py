"""Compare the lowered decoder with Hugging Face's, at the sizes that are timed.

    python tests/support/same_tokens.py --shapes tiny,bergamot,opus

Checkpoints of `ctranslate2_decode.py` are lowered to fp32. Printed are the outputs equal to `generate()`'s,
greedy and beam 4, token by token, and the largest difference of any log-probability in any step. Exits with
1 if an output differs, or a log-probability by more than 1e-4. Needs the `parity` extra.
"""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from contestants.marian import BEAM, CHECKPOINT, SHAPES, build, sentences, write_ours

from keras_attn.commands.terminal.environment import quiet_logs
from keras_attn.device.runtime.interpreter import Model
from keras_attn.device.search.decoder import LiteRTStepModel
from keras_attn.device.search.search import search

MODEL_FILE = "fp32.tflite"
END = 0
TOLERANCE = 1e-4


def generated(model: Any, source: list[int], beam: int, length: int) -> list[int]:
    """Let `generate()` write as many tokens as ours, none of which is the end."""
    import torch  # pyright: ignore[reportMissingImports]  # the `parity` extra

    limits = {"min_new_tokens": length, "max_new_tokens": length, "do_sample": False}
    with torch.no_grad():
        return model.generate(torch.tensor([source]), num_beams=beam, **limits)[0, 1:].tolist()


def log_probabilities(model: Any, source: list[int], target: list[int], start: int) -> np.ndarray:
    """Score a target all at once: (T, V)."""
    import torch  # pyright: ignore[reportMissingImports]

    with torch.no_grad():
        logits = model(torch.tensor([source]), decoder_input_ids=torch.tensor([[start, *target[:-1]]])).logits
    return logits[0].log_softmax(-1).numpy()


def compare(folder: Path, count: int, length: int) -> dict[str, Any]:
    """Decode made-up sentences with both; count equal outputs, and find the largest difference of a score."""
    from transformers import MarianMTModel  # pyright: ignore[reportMissingImports]

    file = folder / MODEL_FILE
    if not file.exists():
        write_ours(folder / CHECKPOINT, file, "fp32")
    model: Any = MarianMTModel.from_pretrained(folder / CHECKPOINT).eval()
    start = SHAPES[folder.name][-1] - 1
    layout = json.loads(file.with_suffix(".json").read_text("utf-8"))
    steps = LiteRTStepModel(Model(file), layout, start).for_length(length)
    equal, worst = {1: 0, BEAM: 0}, 0.0
    for source in (sentences(folder.name, 1, seed)[0] for seed in range(count)):
        ids = np.array([source], np.int32)
        mask = np.ones(ids.shape, bool)
        for beam in equal:
            options: dict[str, Any] = {"start_id": start, "end_id": END, "beam": beam, "max_length": length}
            [[best]] = search(steps, ids, mask, suppress=(start,), **options)
            equal[beam] += best.ids == generated(model, source, beam, length)
        expected = log_probabilities(model, source, best.ids, start)
        state = steps.start(ids, mask)
        for fed, row in zip([start, *best.ids[:-1]], expected, strict=True):
            scores, state = steps.step(np.array([fed], np.int32), state)
            # What must not come (the end, padding) has -1e4 to its log-probability, where 1e-4 is no bit.
            likely = row > -1e3
            worst = max(worst, float(np.abs(scores[0] - row)[likely].max()))
    return {"shape": folder.name, "sentences": count, "equal": equal, "worst": worst}


def main(
    shapes: Annotated[str, typer.Option(help=f"Of {', '.join(SHAPES)}.")] = "tiny,bergamot",
    count: Annotated[int, typer.Option(help="Sentences of each shape.")] = 10,
    length: Annotated[int, typer.Option(help="Tokens of every output.")] = 32,
    work: Annotated[Path, typer.Option(help="Where the models are kept.")] = Path("runs/decode"),
) -> None:
    """Print what is equal."""
    quiet_logs()
    good = True
    for shape in shapes.split(","):
        found = compare(build(shape, work, [CHECKPOINT]), count, length)
        equal = ", ".join(f"beam {beam} {number} of {count}" for beam, number in found["equal"].items())
        print(f"{shape}: equal outputs {equal}; largest difference {found['worst']:.1e}", flush=True)
        good &= found["worst"] <= TOLERANCE and set(found["equal"].values()) == {count}
    raise typer.Exit(0 if good else 1)


if __name__ == "__main__":
    typer.run(main)
