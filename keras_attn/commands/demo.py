"""`keras-attn demo`: the whole road in a few minutes, without a download."""

import shutil
import time
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keras_attn.commands.attention import alignment_of
from keras_attn.commands.export import export_run
from keras_attn.commands.terminal.environment import choose_backend, keep_freed_memory
from keras_attn.commands.terminal.progress import translation_bar
from keras_attn.commands.terminal.screen import (
    JsonOption,
    as_bytes,
    console,
    note,
    print_json,
    say,
    stdout_for_json,
    styled,
    table,
)
from keras_attn.commands.verify import show_report
from keras_attn.device.files.atomic_write import write_text
from keras_attn.loading import Opened, open_any

if TYPE_CHECKING:
    from keras_attn.data import Pairs
    from keras_attn.device.tasks.translator import Translation

EXAMPLES = """[bold]Examples[/bold]

  keras-attn demo

  keras-attn demo --output runs/demo --json
"""

SAMPLES = 12
A_WORD = 3  # letters
METRIC_SENTENCES = 200  # for the proof; all held-out dates are translated afterwards
ASKED: dict[str, Any] = {"model": "rnnsearch", "preset": "tiny", "data": "dates"}


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for results.")] = Path("runs/demo"),
    json: JsonOption = False,
) -> None:
    """Train, quantize, export, prove, run: the whole road in a few minutes, no download.

    RNNsearch learns to read dates in many languages and scripts, becomes an int8 bundle, and runs on LiteRT.
    """
    choose_backend()
    with stdout_for_json(json) as stream:
        result = walk(output)
        if json:
            print_json(result, stream)
    raise typer.Exit(0 if result["ok"] else 1)


def walk(output: Path) -> dict[str, Any]:
    """Run all steps; a training that was interrupted is continued, one that is finished is used again."""
    begin = time.monotonic()
    run, bundle = output / "dates", output / "dates-int8"
    step(1, "Train RNNsearch (Bahdanau, Cho and Bengio, 2015) on dates in many languages")
    train(run)
    step(2, "Lower it to TFLite, quantize it to int8, and prove the result step by step")
    export_run(run, bundle, recipe="int8", metric_sentences=METRIC_SENTENCES)
    step(3, "Repeat the proof on the device runtime, as a phone would")
    from keras_attn.device.proof.verify import verify

    report = verify(bundle)
    show_report(report)
    step(4, "Translate held-out dates with the int8 bundle on LiteRT")
    opened = open_any(bundle)
    pairs, scores, translations = read_dates(opened)
    show_samples(pairs, translations)
    note(f"{scores['exact_match']:.2%} of {scores['sentences']} held-out dates are translated exactly right.")
    step(5, "Draw the attention weights of the int8 model")
    draw(translations, opened, output)
    write_report(output, bundle, scores, pairs, translations, time.monotonic() - begin)
    show_next(output, run, bundle, time.monotonic() - begin)
    return {
        "ok": report.ok,
        "run": run,
        "bundle": bundle,
        "exact_match": scores["exact_match"],
        "sentences": scores["sentences"],
        "picture": output / "alignment.png",
        "report": output / "report.md",
        "seconds": round(time.monotonic() - begin, 1),
    }


def step(number: int, text: str) -> None:
    """Print the title of a step."""
    say("\n", styled(f"{number}/5", "bold"), f"  {text}")


def train(run: Path) -> None:
    """Train, or continue an interrupted training, or use the finished run."""
    from keras_attn.training.checkpoints import checkpoints
    from keras_attn.training.config.translation import TranslationConfig
    from keras_attn.training.run_folder import MODEL, RUN
    from keras_attn.training.start import train_task

    if (run / MODEL).is_file():
        note(f"{run} is trained already; remove it to train again.")
        return
    resume = bool(checkpoints(run / "checkpoints"))
    if not resume and ((run / RUN).is_file() or (run / "encoded").is_dir()):
        shutil.rmtree(run)  # a demo that was interrupted before its first checkpoint
    keep_freed_memory()
    result = train_task(TranslationConfig, run, resume=resume, **ASKED)
    note(f"{result.steps} steps in {result.seconds:.0f} s")


def read_dates(opened: Opened) -> tuple["Pairs", dict[str, float], "list[Translation]"]:
    """Score the bundle on all held-out dates, and translate one of each script with its attention."""
    from keras_attn.data import load_corpus
    from keras_attn.evaluation.translation import score_translator

    held_out = load_corpus(ASKED["data"]).test
    with translation_bar(len(held_out)) as progress:
        scores = score_translator(opened, held_out, progress=progress).scores
    pairs = one_per_script(held_out)
    return pairs, scores, opened.task.translate([source for source, _ in pairs], alignments=True)


def one_per_script(pairs: "Pairs") -> "Pairs":
    """The first pair of each script that has a word in it, in the order in which the scripts come up."""
    chosen: dict[str, tuple[str, str]] = {}
    for pair in pairs:
        first = chosen.setdefault(script(pair[0]), pair)
        if letters(first[0]) < A_WORD <= letters(pair[0]):
            chosen[script(pair[0])] = pair
    return list(chosen.values())[:SAMPLES]


def letters(text: str) -> int:
    """Return the number of letters in a text."""
    return sum(map(str.isalpha, text))


def script(text: str) -> str:
    """Return the script of a text's first letter, such as Latin or Devanagari; "digits" without one."""
    letter = next((c for c in text if c.isalpha()), "")
    name = unicodedata.name(letter, "digits").split()[0] if letter else "digits"
    return name if name in {"CJK", "digits"} else name.title()


def show_samples(pairs: "Pairs", translations: "Sequence[Translation]") -> None:
    """Print a table of samples; sources come last, as terminals disagree about the width of some scripts."""
    shown = table("", "ISO 8601", "script", "as written")
    for (source, target), found in zip(pairs, translations, strict=True):
        mark = styled("✓", "green") if found.text == target else styled(f"✗ {target}", "red")
        shown.add_row(mark, found.text, script(source), source)
    console().print(shown)


def draw(translations: "Sequence[Translation]", opened: Opened, output: Path) -> None:
    """Draw a sample in Latin letters, which every font has, as .png, and all samples as one page."""
    from keras_attn.pictures import alignment_page

    translated = [each for each in translations if each.outputs[0].ids]
    every = [alignment_of(each) for each in translated]
    latin = [one for one, each in zip(every, translated, strict=True) if script(each.input) == "Latin"]
    alignment_page((latin or every)[:1], output / "alignment.png")
    alignment_page(every, output / "alignment.html", title="What the int8 model looked at")


def write_report(
    output: Path,
    bundle: Path,
    scores: dict[str, float],
    pairs: "Pairs",
    translations: "Sequence[Translation]",
    seconds: float,
) -> None:
    """Write report.md: what came out, the samples, and the bundle's proof."""
    from keras_attn.device.files.bundle import Bundle

    opened = Bundle.open(bundle)
    size = opened.manifest["files"]["model.tflite"]["bytes"]
    samples = zip(pairs, translations, strict=True)
    rows = [f"| {source} | {found.text} | {target} |" for (source, target), found in samples]
    proof = opened.read("report.md").decode() if "report.md" in opened.manifest["files"] else ""
    lines = [
        "# The demo: dates on LiteRT",
        "",
        f"RNNsearch, tiny, {opened.manifest['recipe']}: {scores['exact_match']:.2%} of {scores['sentences']} "
        f"held-out dates exactly right; model {as_bytes(size)}. The demo took {seconds:.0f} s.",
        "",
        "| as written | translated | expected |",
        "|---|---|---|",
        *rows,
        "",
        "![alignment](alignment.png)",
        "",
    ]
    write_text(output / "report.md", "\n".join(lines) + proof)


def show_next(output: Path, run: Path, bundle: Path, seconds: float) -> None:
    """Print where everything is and what to try."""
    say("\n", styled("Done", "bold"), f" in {seconds:.0f} s. In {output}:")
    shown = table("", "")
    for path, what in (
        (run, "the run: model.keras, tokenizer.json, history.csv, history.png"),
        (bundle, "the bundle: model.tflite, tokenizer.json, manifest.json, its proof"),
        (output / "alignment.png", "attention weights of the int8 model (alignment.html has every script)"),
        (output / "report.md", "figures and proof"),
    ):
        shown.add_row(str(path), what)
    console().print(shown)
    say("Try next:")
    for line in (
        f'keras-attn run {bundle} "Dienstag, 5. Juni 2018" --beam 5 --json',
        f'python -m keras_attn.device {bundle} "5 juin 2018"',
        f'keras-attn attention {bundle} "5 июня 2018 г." --output my-date.png',
        f"keras-attn benchmark {bundle}",
        f"keras-attn train translation --model transformer --data dates --output {output / 'transformer'}",
    ):
        say(f"  {line}")
