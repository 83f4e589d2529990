"""Open whatever a trained model lies in as the object of its task: a bundle, a run, a checkpoint, a hub name.

A bundle runs on LiteRT, everything else on Keras, with the same methods. Nothing heavy is imported before
`load` is called.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from keras_attn.errors import ArgumentError, ArgumentTypeError

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from keras_attn.device import (
        Answerer,
        Classifier,
        Embedder,
        EntityRecognizer,
        Generator,
        Loaded,
        MaskFiller,
        Scorer,
        Translator,
        _More,
    )
    from keras_attn.prediction import KerasPredictor
    from keras_attn.sources.prediction_source import PredictionSource
    from keras_attn.sources.source import AnySource

Where = str | os.PathLike[str]


@dataclass(frozen=True)
class Opened:
    """The object of a task, and what it was made from: a bundle's manifest or a source on Keras.

    Attributes:
        task: the object that `load` returns.
        manifest: of a bundle; `None` otherwise.
        source: the Keras model with what belongs to it; `None` for a bundle.
    """

    task: Any
    manifest: dict[str, Any] | None = None
    source: AnySource | PredictionSource | None = None

    @property
    def task_name(self) -> str:
        """Name of the task, as manifests have it."""
        return self.source.task if self.source is not None else (self.manifest or {})["task"]

    @property
    def languages(self) -> dict[str, str]:
        """Labels of a translator's `source` and `target`."""
        if self.manifest is not None:
            return self.manifest.get("languages") or {}
        return getattr(self.source, "languages", {})

    @property
    def classes(self) -> dict[str, int]:
        """Number of the class of each label that a classifier's files may have."""
        return (
            getattr(self.source, "classes", {})
            if self.manifest is None
            else self.manifest["model"]["classes"]
        )

    @property
    def made_from(self) -> dict[str, Any]:
        """Provenance of the model, as manifests have it."""
        return (self.manifest or {}).get("made_from") or getattr(self.source, "made_from", {})


@overload
def load(
    source: Where, threads: int = 1, *, task: Literal["translation"], **more: Unpack[_More]
) -> Translator: ...
@overload
def load(
    source: Where, threads: int = 1, *, task: Literal["generation"], **more: Unpack[_More]
) -> Generator: ...
@overload
def load(
    source: Where, threads: int = 1, *, task: Literal["classification"], **more: Unpack[_More]
) -> Classifier: ...
@overload
def load(
    source: Where, threads: int = 1, *, task: Literal["embedding"], **more: Unpack[_More]
) -> Embedder: ...
@overload
def load(
    source: Where, threads: int = 1, *, task: Literal["masked-lm"], **more: Unpack[_More]
) -> MaskFiller: ...
@overload
def load(
    source: Where, threads: int = 1, *, task: Literal["token-classification"], **more: Unpack[_More]
) -> EntityRecognizer: ...
@overload
def load(
    source: Where, threads: int = 1, *, task: Literal["question-answering"], **more: Unpack[_More]
) -> Answerer: ...
@overload
def load(source: Where, threads: int = 1, *, task: Literal["scoring"], **more: Unpack[_More]) -> Scorer: ...
@overload
def load(
    source: Where,
    threads: int = 1,
    weight_cache: Where | None = None,
    whole_vocabulary: bool = False,
    *,
    task: str | None = None,
) -> Any: ...
def load(
    source: Where,
    threads: int = 1,
    weight_cache: Where | None = None,
    whole_vocabulary: bool = False,
    *,
    task: str | None = None,
) -> Any:
    """Load a trained model as the object of its task.

    Args:
        source: a bundle (a folder, a .zip, or the name of one such as `"en-ja"`, which is downloaded once if
            it is not part of this package), a run or its folder, a checkpoint's folder, the name of a
            checkpoint on the Hugging Face hub, which is downloaded once, or a `.keras` file. What lies at a
            path wins over a name.
        threads: threads of the interpreter; for bundles, as the next two.
        weight_cache: folder in which a large model's packed weights stay, see `keras_attn.device.load`.
        whole_vocabulary: whether a translator with a shortlist scores all tokens nevertheless.
        task: the task that is expected, such as `"translation"`; it is checked, and type checkers then know
            the object's class. By default any.

    Returns:
        A Translator, a Generator, a Classifier, an Embedder, a MaskFiller, an EntityRecognizer, an Answerer,
        a Scorer or a Predictor of `keras_attn.device`.

    Raises:
        ArgumentError: there is nothing to load at this path, or it has no task or another one.
        BundleError: a bundle is damaged, or not for this interpreter.
        TrainingError: a run folder is damaged or its training has not finished.
        PretrainedError: a checkpoint cannot be read, or there is none of this name.
        ImportError: what it needs is not installed: LiteRT for bundles, a backend of Keras for others.
    """
    found = open_any(folder_of(source), threads, weight_cache, whole_vocabulary)
    if task not in (None, found.task_name):
        raise ArgumentError(f"{source} is for {found.task_name}, not for {task}")
    return found.task


def folder_of(source: Any) -> Where:
    """Return the path of what is to be loaded: of a `Run` its folder.

    Raises:
        ArgumentTypeError: it is neither a run nor a path.
    """
    found = getattr(source, "folder", source)
    if not isinstance(found, str | os.PathLike):
        raise ArgumentTypeError(
            f"cannot load {type(source).__name__}: give a run, or the path of a bundle, a run or a checkpoint"
        )
    return found


def open_any(
    source: Where, threads: int = 1, weight_cache: Where | None = None, whole_vocabulary: bool = False
) -> Opened:
    """Load a trained model, and return with it what it was made from; see `load`."""
    from keras_attn.bundles.find import find_bundle, is_name
    from keras_attn.device.files.folder_kinds import is_bundle, is_run

    path = find_bundle(source) if is_name(source) else Path(source)
    if is_bundle(path) and not is_run(path):
        from keras_attn.device import load_opened
        from keras_attn.device.files.bundle import Bundle

        bundle = Bundle.open(path, weight_cache, whole_vocabulary)
        return Opened(load_opened(bundle, threads), manifest=bundle.manifest)
    _check_path(source)
    from keras_attn.bundles.registry import nearest
    from keras_attn.pretrained.errors import PretrainedError
    from keras_attn.sources.find_source import find_source

    try:
        found = find_source(source)
    except PretrainedError as error:
        close = None if path.exists() else nearest(str(source))
        raise PretrainedError(f"{error} Or did you mean the bundle {close}?") from None if close else error
    return Opened(_on_keras(found), source=found)


def _check_path(source: Where) -> None:
    """Raise an ArgumentError that names what was looked for, if neither a run nor a checkpoint is there."""
    from keras_attn.device.files.folder_kinds import MANIFEST, RUN_FILE, is_run
    from keras_attn.pretrained.checkpoint import CONFIG, GOOGLE_CONFIG, find_config
    from keras_attn.pretrained.hub import NAME

    path = Path(source)
    if is_run(path) or find_config(path).is_file() or (path.suffix == ".keras" and path.is_file()):
        return
    wanted = f"{RUN_FILE} (a run), {MANIFEST} (a bundle) and {CONFIG} or {GOOGLE_CONFIG} (a checkpoint)"
    if path.exists():
        raise ArgumentError(f"{path} has none of {wanted}: give a folder with one of them")
    if not isinstance(source, str) or not NAME.fullmatch(source):  # then it is no name on the hub
        raise ArgumentError(f"{path} does not exist: give a folder with one of {wanted}")


def _on_keras(source: AnySource | PredictionSource) -> Loaded | KerasPredictor:
    """Return the object of a source's task, which computes with Keras."""
    from keras_attn.encoding import keras_task
    from keras_attn.generation import keras_generator, keras_translator
    from keras_attn.sources.lengths import ENCODER_LENGTHS, default_lengths
    from keras_attn.sources.prediction_source import PredictionSource
    from keras_attn.sources.source import LanguageSource, TranslationSource

    if isinstance(source, PredictionSource):
        from keras_attn.prediction import KerasPredictor

        return KerasPredictor(source)
    if isinstance(source, LanguageSource):
        longest = None if source.longest is None else source.longest - 1
        return keras_generator(source.model, source.tokenizer, max_source_tokens=longest)
    if isinstance(source, TranslationSource):
        longest = source.longest or source.longest_trained or 512
        return keras_translator(
            source.model, source.users_tokenizer, max_source_tokens=longest, **source.search
        )
    lengths = default_lengths(ENCODER_LENGTHS, source.longest, source.longest_trained, source.longest_text)
    return keras_task(source.model, source.tokenizer, lengths)
