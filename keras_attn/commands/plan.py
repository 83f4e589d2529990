"""`keras-attn plan`: what a training step will need on a TPU, without one."""

import json as json_format
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from keras_attn.commands.paths import check_output
from keras_attn.commands.terminal.screen import (
    JsonOption,
    console,
    messages,
    note,
    print_json,
    print_title,
    say,
    stdout_for_json,
    styled,
    table,
)
from keras_attn.device.files.atomic_write import write_text

EXAMPLES = """[bold]Examples[/bold]

  keras-attn plan bert-base --topology v5e:4x4

  keras-attn plan bert-large --topology v6e:2x2 --distribution model --mesh 2x2 --batch-tokens 32768 --remat

  keras-attn plan runs/multi30k --topology v5e:2x2 --json || echo "it will not fit"
"""

PLANS = Path("runs") / "plans"  # of presets; a run's plan goes into its folder


def plan(
    model: Annotated[str, typer.Argument(help="Preset such as bert-base or gpt2, or a run folder.")],
    topology: Annotated[str, typer.Option(help="TPU slice, such as v5e:4x4 or v5p:2x2x1.")],
    distribution: Annotated[
        Literal["none", "data", "model"],
        typer.Option(help="How chips share the work: whole copies (data) or parts of the model."),
    ] = "data",
    mesh: Annotated[str | None, typer.Option(help="Chips along batch and model, such as 4x4.")] = None,
    batch_tokens: Annotated[
        int | None, typer.Option(min=1, help="Tokens of the global batch (default: 4096 per replica).")
    ] = None,
    seq: Annotated[
        int | None, typer.Option(min=1, help="Sequence length in tokens (default: the run's, or 512).")
    ] = None,
    precision: Annotated[
        Literal["float32", "bfloat16", "float16"] | None,
        typer.Option(help="Precision of the computation (default: the run's, or bfloat16)."),
    ] = None,
    remat: Annotated[
        bool, typer.Option("--remat", help="Rematerialize the blocks' activations in the backward pass.")
    ] = False,
    accumulate: Annotated[int, typer.Option(min=1, help="Gradient accumulation: parts of a batch.")] = 1,
    shard_optimizer: Annotated[
        bool,
        typer.Option("--shard-optimizer", help="Shard the optimizer's state along the batch axis as well."),
    ] = False,
    vocabulary_size: Annotated[
        int | None, typer.Option(min=1, help="Vocabulary size (default: the preset's).")
    ] = None,
    dropout: Annotated[
        float | None, typer.Option(min=0, max=0.99, help="Dropout rate (default: the preset's).")
    ] = None,
    attention_dropout: Annotated[
        float | None,
        typer.Option(
            min=0, max=0.99, help="Dropout rate of attention weights; only 0 allows fused attention."
        ),
    ] = None,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Do not compile: lower the step and estimate its memory.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="JSON file to write (default: in the run folder, or in runs/plans)."
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Compile a model's training step for a TPU and show its memory, FLOPs and collectives.

    No TPU is needed, only libtpu (the tpu extra); without it the step is lowered and its memory estimated.
    Exits with 1 if the step does not fit.
    """
    from keras_attn.planning.compiling import plan as find_out
    from keras_attn.planning.request import Request
    from keras_attn.planning.verdict import judge
    from keras_attn.training.config.run_options import RunOptions

    run_options = RunOptions(distribution, mesh, shard_optimizer=shard_optimizer, remat=remat)
    request = Request(
        model=model,
        topology=topology,
        run_options=run_options,
        batch_tokens=batch_tokens,
        sequence=seq,
        precision=precision,
        accumulate=accumulate,
        vocabulary_size=vocabulary_size,
        dropout=dropout,
        attention_dropout=attention_dropout,
    )
    path = output or _path(request)
    check_output(path, model)
    with stdout_for_json(json) as stream:
        with messages().status(
            styled(f"Compiling a step of {model} for {topology} (this can take minutes) ...", "")
        ):
            figures = find_out(request, estimate=estimate)
        found = {**judge(request, figures), "request": request.to_json(), **figures}
        write_text(path, json_format.dumps(found, indent=1) + "\n")
        if json:
            print_json(found, stream)
        else:
            _show(request, found)
        note(f"The plan is in {path}")
    raise typer.Exit(0 if found["fits"] else 1)


def _path(request: Any) -> Path:
    run_options = request.run_options
    words = [request.topology, run_options.distribution, run_options.mesh or ""]
    name = re.sub(r"[^a-z0-9]+", "-", "-".join(words)).strip("-")
    if request.is_run:
        return Path(request.model) / f"plan-{name}.json"
    return PLANS / f"{request.model}-{name}.json"


def _show(request: Any, found: dict[str, Any]) -> None:
    batch, model = request.mesh
    print_title(f"{request.model} on {request.topology}, mesh {batch}x{model}")
    shown = table("", "")
    for name, value in figure_rows(request, found):
        shown.add_row(name, value)
    console().print(shown)
    colour = "green" if found["fits"] else "bold red"
    say(styled(found["verdict"], colour))
    for line in found["advice"]:
        say(f"  {line}")


def figure_rows(request: Any, found: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the figures as (name, value) rows of a table."""
    from keras_attn.planning.verdict import gib

    theory, flops = found["theoretical_flops_per_chip"], found["flops_per_chip"]
    peak = request.slice.kind.peak_flops
    rows = [
        ("parameters", f"{found['parameters'] / 1e6:.1f} million"),
        ("batch", f"{found['rows']} rows of {found['sequence']} tokens, {found['precision']}"),
        ("weights and optimizer", f"{gib(found['state_bytes'])} per chip"),
        ("memory", f"{gib(found['bytes_per_chip'])} per chip, of {gib(found['hbm_bytes'])}"),
        ("FLOPs in theory", f"{theory / 1e12:.3f} T per chip: {theory / peak * 1e3:.2f} ms at its peak"),
    ]
    compiled = found["method"] == "compiled"
    if flops is not None:
        name = f"FLOPs {'compiled' if compiled else 'lowered'}"
        rows.append((name, f"{flops / 1e12:.3f} T per chip, {flops / theory:.2f} of theory"))
    rows += [
        (
            kind,
            f"{each['count']}, {gib(each['bytes'])} per chip"
            + (f", {each['in_blocks']} of them in blocks" if each["in_blocks"] else ""),
        )
        for kind, each in (found["collectives"] or {}).items()
    ]
    kernels = ", ".join(f"{count} {name}" for name, count in (found["kernels"] or {}).items())
    rows.append(("attention", f"{kernels or 'plain XLA'}: {found['attention']['reason']}"))
    if found["donated_bytes"] is not None:
        rows.append(("updated in place", gib(found["donated_bytes"])))
    how = "compiled" if compiled else f"estimated, not compiled ({found['reason']}): lowered"
    rows.append((how, f"{found['compile_seconds']:.0f} s" if found["compile_seconds"] is not None else ""))
    return rows
