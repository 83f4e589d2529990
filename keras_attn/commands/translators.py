"""A translator from a path, be it a run folder or a bundle: the commands need not know which."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from keras_attn.commands.environment import choose_backend
from keras_attn.commands.paths import MANIFEST, RUN_FILE, is_bundle, is_run

if TYPE_CHECKING:
    from keras_attn.device.tasks.translator import Translator


@dataclass
class Opened:
    """A translator and what is known of it.

    Attributes:
        translator: the device's translator, over LiteRT or over Keras.
        kind: "run" or "bundle".
        languages: labels of "source" and "target".
        bleu_tokenize: sacreBLEU's tokenization that fits its data.
        model: the Keras model of a run; `None` for a bundle.
    """

    translator: "Translator"
    kind: str
    languages: dict[str, str]
    bleu_tokenize: str = "13a"
    model: Any = None


def open_translator(
    path: Path, *, threads: int = 1, backend: str | None = None, whole_vocabulary: bool = False
) -> Opened:
    """Open a run folder with Keras, or a bundle with LiteRT.

    Raises:
        typer.BadParameter: there is neither at `path`.
        BundleError, TrainingError: what is there is damaged.
    """
    if is_run(path):
        choose_backend(backend)
        return _open_run(path)
    if is_bundle(path):
        return _open_bundle(path, threads, whole_vocabulary)
    missing = "does not exist" if not path.exists() else f"holds neither {RUN_FILE} nor {MANIFEST}"
    raise typer.BadParameter(f"{path} is neither a run folder nor a bundle: it {missing}")


def _open_bundle(path: Path, threads: int, whole_vocabulary: bool) -> Opened:
    from keras_attn.device.files.bundle import Bundle
    from keras_attn.device.tasks.translator import Translator

    bundle = Bundle.open(path, whole_vocabulary=whole_vocabulary)
    languages = bundle.manifest.get("languages") or {}
    made_from = bundle.manifest.get("made_from") or {}
    bleu_tokenize = made_from.get("bleu_tokenize", Opened.bleu_tokenize)
    return Opened(Translator.from_bundle(bundle, threads=threads), "bundle", languages, bleu_tokenize)


def _open_run(path: Path) -> Opened:
    from keras_attn.generation import keras_translator
    from keras_attn.training import load_run

    run = load_run(path)
    if run.config["task"] != "translation":
        raise typer.BadParameter(f"{path} is a run of {run.config['task']}, not a translator")
    max_source_tokens = getattr(run.model, "max_sequence_length", run.config["training"]["max_tokens"])
    translator = keras_translator(run.model, run.tokenizer, max_source_tokens=max_source_tokens)
    return Opened(translator, "run", run.config["languages"], run.bleu_tokenize, run.model)


def translate_all(translator: "Translator", texts: Sequence[str], **options: Any) -> list[str]:
    """Translate many texts with a bar on the screen, and give the best translation of each."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from keras_attn.commands.screen import messages, note
    from keras_attn.training.evaluation.translation_scores import translate_corpus

    columns = (
        TextColumn("translating"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    screen = messages()
    with Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal) as bar:
        task = bar.add_task("", total=len(texts))
        found, refused = translate_corpus(
            translator, texts, progress=lambda done: bar.update(task, completed=done), **options
        )
    if refused:
        note(f"{refused} texts are too long for the model and count as translated to nothing")
    return found
