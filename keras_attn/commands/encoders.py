"""An encoder from a path, be it a bundle, a run folder or a pretrained one: callers need not know which.

What reads a text, an encoder or a language model, shows its heads.
"""

from pathlib import Path

import typer

from keras_attn.commands.environment import choose_backend
from keras_attn.commands.paths import is_bundle, is_run, task_of
from keras_attn.device.files.bundle import ENCODER_TASKS
from keras_attn.device.tasks.classifier import Classifier
from keras_attn.device.tasks.embedder import Embedder
from keras_attn.device.tasks.encoder_task import EncoderTask
from keras_attn.device.tasks.generator import Generator
from keras_attn.device.tasks.mask_filler import MaskFiller

# Either tells a pretrained folder.
PRETRAINED_FILES = ("config.json", "bert_config.json")
# The tasks of bundles and of runs whose models read one text.
READING = (*ENCODER_TASKS, "generation", "causal-lm")


def is_reader(path: Path) -> bool:
    """Whether there is a bundle or a run of an encoder or a language model at `path`, or a pretrained folder.

    Raises:
        TrainingError, BundleError: what is there is damaged.
    """
    if is_bundle(path) or is_run(path):
        return task_of(path) in READING
    return any((path / name).is_file() for name in PRETRAINED_FILES)


def open_encoder(
    path: str | Path, *, threads: int = 1, backend: str | None = None
) -> Classifier | Embedder | MaskFiller:
    """Open a bundle with LiteRT, or a run folder or a pretrained model with Keras.

    Args:
        path: of the bundle or the folder, or a name on the Hugging Face hub.
        threads: of the interpreter, for bundles.
        backend: what Keras computes with, otherwise.

    Returns:
        The object of its task: `classify`, `embed` or `fill_mask`, and `heads`.

    Raises:
        typer.BadParameter: what is there is of another task.
        BundleError, TrainingError, PretrainedError: what is there is damaged, or not there.
    """
    task = _open(path, threads, backend)
    if not isinstance(task, Classifier | Embedder | MaskFiller):
        raise typer.BadParameter(
            f"{path} holds a {type(task).__name__}: a classifier, a sentence encoder or a masked language "
            "model is wanted"
        )
    return task


def open_reader(path: str | Path, *, threads: int = 1, backend: str | None = None) -> EncoderTask | Generator:
    """Open what has `heads`; arguments and errors are those of `open_encoder`."""
    task = _open(path, threads, backend)
    if not isinstance(task, EncoderTask | Generator):
        raise typer.BadParameter(
            f"{path} holds a {type(task).__name__}: an encoder or a language model is wanted"
        )
    return task


def _open(path: str | Path, threads: int, backend: str | None) -> object:
    if is_bundle(Path(path)):
        from keras_attn import device

        return device.load(path, threads=threads)
    return _open_with_keras(path, backend)


def _open_with_keras(path: str | Path, backend: str | None) -> object:
    choose_backend(backend)
    from keras_attn_export.buckets import ENCODER_LENGTHS, choose_buckets
    from keras_attn_export.sources.sources import EncoderSource, LanguageSource, find_source

    from keras_attn.encoding import keras_task
    from keras_attn.generation import keras_generator

    try:
        source = find_source(path)
    except ValueError as error:
        if type(error) is not ValueError:
            raise
        raise typer.BadParameter(str(error)) from error
    if isinstance(source, LanguageSource):
        longest = source.model.max_sequence_length
        return keras_generator(source.model, source.tokenizer, max_source_tokens=longest - 1)
    if not isinstance(source, EncoderSource):
        return source.model
    buckets = choose_buckets(
        None,
        source.longest,
        source.longest_trained,
        ENCODER_LENGTHS,
        longest_text=source.longest_text,
    )
    return keras_task(source.model, source.tokenizer, [bucket.source for bucket in buckets])
