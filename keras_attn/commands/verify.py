"""`keras-attn verify`: the proof of a bundle, repeated here."""

import json as json_format
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keras_attn.commands.bundle_argument import BundleArgument
from keras_attn.commands.terminal.environment import choose_backend
from keras_attn.commands.terminal.screen import (
    JsonOption,
    console,
    print_json,
    say,
    stdout_for_json,
    styled,
    table,
)
from keras_attn.commands.user_models import ModuleOption, import_modules
from keras_attn.device.task_names import PREDICTION

if TYPE_CHECKING:
    from keras_attn.device.proof.checks import Check
    from keras_attn.device.proof.decoder_proof import Figures
    from keras_attn.device.proof.encoder_proof import EncoderFigures
    from keras_attn.device.proof.verify import Report

EXAMPLES = """[bold]Examples[/bold]

  keras-attn verify runs/dates-int8

  keras-attn verify runs/dates-int8 --against runs/dates

  keras-attn verify sensor-int8 --against sensor.keras --module my_package.layers

  keras-attn verify dates.zip --json || echo "do not ship this"
"""

# Between two computations of the same model in float32, be it on another backend.
REFERENCE_TOLERANCE = 1e-3


def verify(
    bundle: BundleArgument,
    against: Annotated[
        Path | None,
        typer.Option(help="Run or checkpoint folder, or .keras file, to compute the references with again."),
    ] = None,
    module: ModuleOption = None,
    threads: Annotated[int, typer.Option(min=1, help="Interpreter threads.")] = 1,
    json: JsonOption = False,
) -> None:
    """Repeat a bundle's proof on this machine; if it fails, show where and exit with 1."""
    from keras_attn.device.proof.verify import verify as repeat

    with stdout_for_json(json) as stream:
        report = repeat(bundle, threads=threads)
        if against is not None and report.ok:
            report.checks.append(compare_with_run(bundle, against, module))
        if json:
            print_json(report.to_json(), stream)
        else:
            show_report(report)
    raise typer.Exit(0 if report.ok else 1)


def show_report(report: "Report") -> None:
    """Print the proof run as a table, and the verdict."""
    show_checks(report.checks)
    verdict = styled("The proof holds", "green") if report.ok else styled("The proof fails", "bold red")
    say(verdict, f" for {report.bundle} on {report.runtime}.")


def show_checks(checks: "Sequence[Check | dict[str, Any]]") -> None:
    """Print checks, as objects or as JSON has them."""
    shown = table("", "check", "result")
    for check in checks:
        fields = check if isinstance(check, dict) else vars(check)
        mark = styled("✓", "green") if fields["ok"] else styled("✗", "bold red")
        shown.add_row(mark, fields["name"], fields["detail"])
    console().print(shown)


def compare_with_run(bundle: Path, run: Path, modules: Sequence[str] | None = None) -> "Check":
    """Compute the references again with the Keras model of `run` and compare them with the bundle's."""
    choose_backend()
    import_modules(modules)
    from keras_attn.device.files.bundle import PROOF, Bundle
    from keras_attn.device.proof.checks import Check
    from keras_attn.device.task_names import ENCODER_TASKS
    from keras_attn.sources.find_source import find_source

    opened = Bundle.open(bundle)
    content, manifest = opened.read(PROOF), opened.manifest
    if manifest["task"] == PREDICTION:
        return _arrays_again(content, run, manifest)
    source = find_source(run)
    encodes = manifest["task"] in ENCODER_TASKS
    for name, own in source.tokenizer_files.items():
        if name not in manifest["files"] or json_format.loads(own) != json_format.loads(opened.read(name)):
            return Check("references", False, f"{name} of {run} differs from the one in {bundle}")
    return _judged((_texts_again if encodes else _steps_again)(content, source.model, manifest), run)


def _judged(figures: Any, run: Path) -> "Check":
    from keras_attn.device.proof.checks import Check

    ok = figures.max_error <= REFERENCE_TOLERANCE
    detail = (
        f"largest difference {figures.max_error:.2g} of {REFERENCE_TOLERANCE:.2g} accepted, between the "
        f"bundle's references and {run}"
    )
    return Check("references", ok, detail, figures.to_json())


def _arrays_again(content: bytes, run: Path, manifest: dict[str, Any]) -> "Check":
    """Compute the references of a model of arrays again.

    Raises:
        ArgumentError: `run` is another kind of model.
    """
    from keras_attn.device.errors import InputError
    from keras_attn.device.files.interface import Interface
    from keras_attn.device.proof.checks import Check
    from keras_attn.device.proof.prediction_proof import PredictionProof, measure_prediction
    from keras_attn.errors import ArgumentError
    from keras_attn.prediction import PaddedKerasPredictor
    from keras_attn.sources.find_source import find_source
    from keras_attn.sources.prediction_source import PredictionSource

    interface = Interface.from_json(manifest["interface"])
    proof = PredictionProof.load(content, interface)
    lengths = [bucket["source"] for bucket in manifest["buckets"]] if interface.variable else None
    inputs = {field.name: array for field, array in zip(interface.inputs, proof.inputs, strict=True)}
    # Behind preprocessing layers the proof's inputs are not what the whole model takes.
    examples = None if manifest.get("preprocessing") else interface.nested_inputs(inputs)
    try:
        source = find_source(run, task=PREDICTION, examples=examples, lengths=lengths)
    except InputError as error:
        return Check("references", False, f"{run} does not take the bundle's inputs: {error}")
    if not isinstance(source, PredictionSource):
        raise ArgumentError(f"{run} is for {source.task}, and the bundle for arrays: give its .keras file")
    ours, theirs = (
        [str(field) for field in (*each.inputs, *each.outputs)] for each in (source.interface, interface)
    )
    if ours != theirs:
        detail = f"{run} has {', '.join(ours)}, and the bundle {', '.join(theirs)}"
        return Check("references", False, detail)
    figures, _ = measure_prediction(PaddedKerasPredictor(source, interface), proof)
    return _judged(figures, run)


def _steps_again(content: bytes, model: Any, manifest: dict[str, Any]) -> "Figures":
    from keras_attn.device.proof.decoder_proof import Proof, measure
    from keras_attn.generation import keras_step_model_class

    proof = Proof.load(content)
    kind = keras_step_model_class(manifest["task"])
    steps = kind(model, int(proof.target_lengths.max()))
    padded = _Padded(steps, proof.source_ids.shape[1])
    return measure(lambda _: padded, proof, manifest["special_ids"], greedy=False)


def _texts_again(content: bytes, model: Any, manifest: dict[str, Any]) -> "EncoderFigures":
    from keras_attn.device.proof.encoder_proof import measure_encoder, proof_kind
    from keras_attn.encoding import KerasEncoder

    lengths = [bucket["source"] for bucket in manifest["buckets"]]
    segments = any("segment_ids" in each["inputs"] for each in manifest["signatures"].values())
    encoder = KerasEncoder(model, lengths, manifest["special_ids"]["end"], segments)
    return measure_encoder(encoder, proof_kind(manifest["task"]).load(content))


class _Padded:
    """A step model whose sources are padded to one width, so that Keras compiles it once."""

    def __init__(self, model: Any, width: int):
        self.model, self.width = model, width

    def start(self, source_ids: Any, source_mask: Any) -> Any:
        """Encode (B, S) sources as (B, width)."""
        import numpy as np

        more = ((0, 0), (0, self.width - source_ids.shape[1]))
        return self.model.start(np.pad(source_ids, more), np.pad(source_mask, more))

    def step(self, tokens: Any, state: Any) -> Any:
        """Score the next tokens."""
        return self.model.step(tokens, state)
