"""`keras-attn prove`: a .tflite file that something else made, against the Keras model that it should be."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from keras_attn.commands.terminal.environment import choose_backend
from keras_attn.commands.terminal.progress import stages
from keras_attn.commands.terminal.screen import JsonOption, console, note, print_json, stdout_for_json, table
from keras_attn.commands.user_models import ModuleOption, import_modules, numbers, read_examples
from keras_attn.commands.verify import show_report

if TYPE_CHECKING:
    from keras_attn_export.file_proof.file_proof import FileReport

EXAMPLES = """[bold]Examples[/bold]

  keras-attn prove sensor.tflite --against sensor.keras

  keras-attn prove pictures-int8.tflite --against pictures.keras --examples held-out.npz

  keras-attn prove reader.tflite --against reader.keras --module my_package.layers --json
"""


def prove(
    file: Annotated[Path, typer.Argument(help="The .tflite file.")],
    against: Annotated[Path, typer.Option(metavar="MODEL.keras", help="The Keras model that it should be.")],
    examples: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Inputs to compare with, .npz by name or .npy (default: made up)."),
    ] = None,
    lengths: Annotated[
        str | None,
        typer.Option(help="Sizes to try where model and file leave an axis open, such as 16,32."),
    ] = None,
    module: ModuleOption = None,
    backend: Annotated[
        Literal["jax", "tensorflow"] | None, typer.Option(help="Keras backend that computes the references.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Compare a .tflite file that something else made with the Keras model that it should be.

    Every signature is run on LiteRT, in a process of its own, and every output compared: a file of 32-bit
    floats may differ by 1e-4, and a quantized one must keep a cosine of 0.99. If it does not, this says what
    is wrong and exits with 1.
    """
    sizes = numbers(lengths, "--lengths")
    with stdout_for_json(json) as stream:
        choose_backend(backend)
        import_modules(module)
        from keras_attn_export import prove as prove_file

        with stages() as progress:
            report = prove_file(
                file, against, examples=read_examples(examples), lengths=sizes, progress=progress
            )
        if json:
            print_json(report.to_json(), stream)
        else:
            _show_outputs(report)
            show_report(report)
        failed = next((check for check in report.checks if not check.ok), None)
        if failed is not None:
            note(f"keras-attn: {file} fails at {failed.name}: {failed.detail}")
    raise typer.Exit(0 if report.ok else 1)


def _show_outputs(report: "FileReport") -> None:
    """Print the figures of every output."""
    shown = table("signature", "output", "in the file", ">largest error", ">mean", ">cosine")
    for name, signature in report.signatures.items():
        for output, each in signature.get("outputs", {}).items():
            figures = [each.get(key) for key in ("max_error", "mean_error", "agreement")]
            forms = ("{:.2g}", "{:.2g}", "{:.5f}")
            cells = ["" if n is None else form.format(n) for form, n in zip(forms, figures, strict=True)]
            shown.add_row(name, output, each["tensor"], *cells)
    if shown.row_count:
        console().print(shown)
