"""The verdict on a step: whether it fits into a chip's memory, by how much, and what would help."""

from typing import Any

from keras_attn.planning.request import Request


def judge(request: Request, figures: dict[str, Any]) -> dict[str, Any]:
    """Return whether a step fits.

    Args:
        request: the step.
        figures: the result of `compiling.plan`.

    Returns:
        `fits`, the `verdict` as a sentence, and `advice`, a list of remedies.
    """
    needed, there = figures["bytes_per_chip"], figures["hbm_bytes"]
    fits = needed <= there
    kind = "needs" if figures["method"] == "compiled" else "is estimated to need"
    summary = f"It {kind} {gib(needed)} of the {gib(there)} of a chip"
    if fits:
        verdict = f"{summary}: it fits, with {gib(there - needed)} to spare."
        return {"fits": True, "verdict": verdict, "advice": _whole_vocabulary(request, figures)}
    verdict = f"{summary}: it does not fit, by {gib(needed - there)}."
    return {
        "fits": False,
        "verdict": verdict,
        "advice": _advice(request, figures) + _whole_vocabulary(request, figures),
    }


def gib(size: float) -> str:
    """Return a size with its unit."""
    return f"{size / 2**30:.2f} GiB" if size >= 2**30 / 10 else f"{size / 2**20:.1f} MiB"


def _advice(request: Request, figures: dict[str, Any]) -> list[str]:
    run_options, (batch, model) = request.run_options, request.mesh
    there, state = figures["hbm_bytes"], figures["state_bytes"]
    found = []
    whole = "data" if run_options.distribution == "none" else run_options.distribution
    if batch > 1 and not run_options.shard_optimizer:
        # Weights and Adam's two moments, of which the latter are divided.
        saved = state * 2 / 3 * (1 - 1 / batch)
        found.append(f"--shard-optimizer: {gib(saved)} less of {gib(state)} for weights and optimizer.")
    room = there - figures["fixed_bytes"]
    if room > 0:
        moving = figures["bytes_per_chip"] - figures["fixed_bytes"]
        rows = int(figures["rows"] * room / moving / batch) * batch
        if rows:
            found.append(f"--batch-tokens {rows * figures['sequence']}: about that much fits.")
        parts = _dividing(figures["rows"] // batch, moving / room)
        if parts is not None:
            found.append(f"--accumulate {parts * request.accumulate}: the same batch in parts.")
        if not run_options.remat:
            found.append("--remat: the activations inside the blocks are recomputed, for a third more FLOPs.")
    if "dropped" in figures["attention"]["reason"]:
        found.append("--attention-dropout 0: splash attention then keeps no scores.")
    if figures["precision"] == "float32":
        found.append("--precision bfloat16: half the activations.")
    if room <= 0 or not found:
        chips = f"{batch // 2}x{model * 2}" if batch > 1 else None
        if chips:
            found.append(
                f"--distribution model --mesh {chips}: {whole} parallelism keeps too much on a chip."
            )
        found.append("A topology with more chips, or with larger ones.")
    return found


def _whole_vocabulary(request: Request, figures: dict[str, Any]) -> list[str]:
    """Return the advice for a vocabulary that the chips along the model do not divide."""
    model, size = request.mesh[1], figures["vocabulary_size"]
    if size % model == 0:
        return []
    return [
        f"The vocabulary of {size} is not divided by {model} chips, so that each computes all logits: make "
        f"it {-(-size // 128) * 128} (--vocabulary-size)."
    ]


def _dividing(rows: int, least: float) -> int | None:
    """Return the smallest number of parts above `least` that divides the rows of a chip."""
    return next((parts for parts in range(2, rows + 1) if rows % parts == 0 and parts > least), None)
