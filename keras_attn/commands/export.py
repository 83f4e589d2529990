"""`keras-attn export`: from a run folder, a Keras or a pretrained model to a proven bundle."""

import json as json_format
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from keras_attn.commands.terminal.environment import choose_backend
from keras_attn.commands.terminal.progress import stages
from keras_attn.commands.terminal.screen import JsonOption, as_bytes, note, print_json, stdout_for_json
from keras_attn.commands.user_models import (
    ModuleOption,
    import_modules,
    is_keras_file,
    numbers,
    read_examples,
)
from keras_attn.commands.verify import show_checks
from keras_attn.device.files.folder_kinds import RUN_FILE, is_run

if TYPE_CHECKING:
    from keras_attn.data import Pairs
    from keras_attn.device.files.bundle import Bundle

EXAMPLES = """[bold]Examples[/bold]

  keras-attn export runs/dates runs/dates-int8

  keras-attn export runs/multi30k multi30k.zip --recipe int8 --lengths 16,32,48

  keras-attn export runs/multi30k multi30k-old --recipe int8-weights

  keras-attn export runs/multi30k multi30k-many --batch 16

  keras-attn export runs/multi30k multi30k-short --shortlist data/train.lc.norm.tok --one-call

  keras-attn export Helsinki-NLP/opus-mt-en-de en-de.zip --texts held-out.tsv

  keras-attn export openai-community/gpt2 gpt2-int8 --lengths 32,128

  keras-attn export sentence-transformers/all-MiniLM-L6-v2 minilm-int8 --lengths 32,128,256

  keras-attn export bert-mnli mnli-int8 --pairs --lengths 64,128

  keras-attn export runs/news news-text --tokenizer in-graph

  keras-attn export runs/news news-phone --mediapipe --lengths 64

  keras-attn export sensor.keras sensor-int8 --module my_package.layers --examples held-out.npz

  keras-attn export reader.keras reader-int8 --lengths 16,32,64 --batch 8

  keras-attn export runs/dates phone/dates --with-runtime
"""


def export(
    source: Annotated[
        str,
        typer.Argument(metavar="MODEL", help="Run folder, .keras file, or a Hugging Face folder or name."),
    ],
    bundle: Annotated[Path, typer.Argument(help="Bundle to write: a folder, or a file ending in .zip.")],
    recipe: Annotated[str, typer.Option(help="int8, int4-mixed, int8-weights, fp16 or fp32.")] = "int8",
    lengths: Annotated[
        str | None,
        typer.Option(help="Input lengths, in tokens or steps, one signature each, such as 16,32,64."),
    ] = None,
    buckets: Annotated[str | None, typer.Option(hidden=True, help="The earlier name of --lengths.")] = None,
    beam: Annotated[
        int | None, typer.Option(min=1, help="Translators: largest beam size on the device (default 5).")
    ] = None,
    batch: Annotated[
        str | None,
        typer.Option(
            metavar="INTEGER",
            help="Translators, models of arrays: inputs computed together when many are given; "
            "for arrays also several numbers, such as 4,16.",
        ),
    ] = None,
    heads: Annotated[
        bool,
        typer.Option(
            "--heads", help="Encoders, language models: output the attention weights of all heads as well."
        ),
    ] = False,
    pairs: Annotated[bool, typer.Option("--pairs", help="Classifiers: accept two texts as well.")] = False,
    one_call: Annotated[
        bool,
        typer.Option("--one-call", help="Decoders: add greedy search in one call, for hosts without a loop."),
    ] = False,
    shortlist: Annotated[
        str | None,
        typer.Option(
            metavar="PREFIX",
            help="Translators: score only likely target tokens, found in PREFIX.en and PREFIX.de or a .tsv.",
        ),
    ] = None,
    source_language: Annotated[
        str | None, typer.Option(help="Language of --shortlist's files (default: the run's).")
    ] = None,
    target_language: Annotated[
        str | None, typer.Option(help="Language of --shortlist's files (default: the run's).")
    ] = None,
    tokenizer: Annotated[
        Literal["json", "in-graph"],
        typer.Option(
            help="in-graph: classifiers and sentence encoders also take texts, on hosts with tensorflow-text."
        ),
    ] = "json",
    mediapipe: Annotated[
        bool,
        typer.Option(
            "--mediapipe",
            help="Classifiers, sentence encoders: also write mediapipe.tflite, of one length, for MediaPipe.",
        ),
    ] = False,
    texts: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Held-out texts for the proof of a pretrained model, one per line; a tab parts a source "
            "from its translation, a question from its context, and two texts that are scored together.",
        ),
    ] = None,
    languages: Annotated[
        str | None,
        typer.Option(
            metavar="CODES",
            help="Translators of many languages: keep only these, such as en,de,ja, and the tokens that they "
            "need, by --texts or by their scripts.",
        ),
    ] = None,
    examples: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Models of arrays: inputs for the proof, .npz by name or .npy (default: made up).",
        ),
    ] = None,
    module: ModuleOption = None,
    metric_sentences: Annotated[
        int, typer.Option(min=0, help="Held-out texts to score the models on.")
    ] = 1000,
    with_runtime: Annotated[
        bool,
        typer.Option(
            "--with-runtime",
            help="Also write keras_attn-device.pyz beside the bundle: the device program as one file.",
        ),
    ] = False,
    backend: Annotated[
        Literal["jax", "tensorflow"] | None, typer.Option(help="Keras backend that computes the references.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Convert a trained model to TFLite, quantize it, prove it, and write a bundle.

    If the proof fails, it shows where, exits with 1 and leaves no bundle behind. An existing bundle is
    replaced only by one that is proven.
    """
    if lengths is not None and buckets is not None:
        raise typer.BadParameter("--buckets is the earlier name of --lengths: give one of them")
    if examples is not None and texts is not None:
        raise typer.BadParameter("--examples are arrays and --texts are texts: give what the model takes")
    if examples is not None and not is_keras_file(source):
        raise typer.BadParameter(
            f"--examples are inputs of a .keras file, and {source} is not one; leave it out"
        )
    sizes = numbers(lengths, "--lengths") if buckets is None else numbers(buckets, "--buckets")
    batches = numbers(batch, "--batch", least=2)
    given = read_examples(examples) if texts is None else read_texts(texts)
    _check_destination(bundle, source)
    with stdout_for_json(json) as stream:
        choose_backend(backend)
        import_modules(module)
        from keras_attn_export import ExportError

        try:
            written = export_run(
                source,
                bundle,
                recipe=recipe,
                lengths=sizes,
                beam=beam,
                batch=batches,
                heads=heads,
                pairs=pairs,
                tokenizer_in_graph=tokenizer == "in-graph",
                mediapipe=mediapipe,
                one_call=one_call,
                shortlist=None
                if shortlist is None
                else read_parallel_text(shortlist, source, source_language, target_language),
                examples=given,
                languages=None if languages is None else _codes(languages),
                metric_sentences=metric_sentences,
            )
        except ExportError as error:
            if json:
                print_json({"ok": False, "rungs": error.checks, "error": str(error)}, stream)
            else:
                show_checks(error.checks)
            note(f"keras-attn: {error}")
            raise typer.Exit(1) from None
        report = json_format.loads(written.read("report.json"))
        program = _write_program(bundle) if with_runtime else {}
        if json:
            print_json({"bundle": bundle, **program, **report}, stream)
        else:
            show_checks(report["rungs"])
            size = written.manifest["files"]["model.tflite"]["bytes"]
            note(f"{bundle}: {recipe}, model {as_bytes(size)}; the whole proof is in report.md")


def _codes(languages: str) -> list[str]:
    """Return the codes of --languages."""
    codes = [code.strip() for code in languages.split(",")]
    if not all(codes):
        raise typer.BadParameter(f"--languages is {languages!r}: name languages with commas between them")
    return codes


def _check_destination(bundle: Path, source: str) -> None:
    """Refuse a bundle that would destroy its source, or cannot be written, before any work is done."""
    from keras_attn.device.files.bundle import check_destination

    if bundle.exists() and Path(source).exists() and bundle.samefile(source):
        raise typer.BadParameter(f"{bundle} is the model to export: choose another name for the bundle")
    check_destination(bundle)


def _write_program(bundle: Path) -> dict[str, Any]:
    """Write the device's program beside a bundle, not into it: nothing in a bundle is executable."""
    from keras_attn_export.single_file import NAME, write_single_file

    path = write_single_file(bundle.parent / NAME)
    note(f"{path}: python {NAME} {bundle.name} TEXT")
    return {"program": path}


def read_parallel_text(
    where: str, run: str, source_language: str | None, target_language: str | None
) -> "Pairs":
    """Read the pairs that have text on both sides, in the given languages or a run's.

    Raises:
        DataError: a file is missing or damaged, or a prefix lacks its languages.
        typer.BadParameter: no pair has text on both sides.
    """
    from keras_attn.data import read_pairs
    from keras_attn.data.readers.parallel import without_empty

    if is_run(Path(run)) and None in (source_language, target_language):
        languages = json_format.loads((Path(run) / RUN_FILE).read_text("utf-8")).get("languages") or {}
        source_language = source_language or languages.get("source")
        target_language = target_language or languages.get("target")
    pairs, _ = without_empty(read_pairs(where, source_language, target_language))
    if not pairs:
        raise typer.BadParameter(f"{where}: no pair has text on both sides")
    return pairs


def read_texts(path: Path) -> list[str]:
    """Read a file's lines that are not blank.

    Raises:
        DataError: it cannot be read, or is not UTF-8.
        typer.BadParameter: it has none.
    """
    from keras_attn.data.readers.text_files import read_lines

    lines = [line for line in read_lines(path) if line.strip()]
    if not lines:
        raise typer.BadParameter(f"{path} has no text")
    return lines


def export_run(source: str | Path, bundle: Path, *, recipe: str, **options: Any) -> "Bundle":
    """Export a trained model, showing each stage; the backend must be chosen before.

    Args:
        source: the run folder, the .keras file, or a Hugging Face folder or name.
        bundle: where to.
        recipe: name of a recipe.
        **options: of `keras_attn_export.export`.

    Raises:
        ArgumentError: the recipe is unknown, or a length does not fit the model.
        ExportError: a check of the proof failed.
    """
    from keras_attn_export import export as export_model

    with stages() as progress:
        return export_model(source, bundle, recipe, progress=progress, **options)
