"""What runs on the device: NumPy, tokenizers and a LiteRT interpreter, nothing else.

    load         a bundle -> an object with the methods of its task
    verify       the bundle's proof, repeated on this machine

    tasks        the objects that `load` returns, one class per task
    search       greedy and beam search, sampling, caches, over any step model
    text         tokenizers, sentences, texts that are too long
    preprocessing  Keras' text and lookup layers in front of a model
    runtime      model files on LiteRT: signatures as arrays to write, run and read
    model_check  whether a model file is safe to open
    files        bundles on disk, and how files and folders are written
    proof        the references that a bundle carries, and how they are compared

``python -m keras_attn.device BUNDLE TEXT...`` runs a bundle from the command line.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal, overload

from keras_attn.lazy_names import lazy_names

if TYPE_CHECKING:
    from typing import TypedDict

    from typing_extensions import Unpack

    from keras_attn.device.errors import BundleError, InputError, TextTooLong
    from keras_attn.device.files.bundle import Bundle
    from keras_attn.device.proof.verify import Report, verify
    from keras_attn.device.tasks.answerer import Answer, Answerer, AnswerSpan
    from keras_attn.device.tasks.classifier import Classification, Classifier, Label
    from keras_attn.device.tasks.embedder import Embedder, Embedding
    from keras_attn.device.tasks.encoder_factory import EncoderObject
    from keras_attn.device.tasks.entity_recognizer import Entities, Entity, EntityRecognizer
    from keras_attn.device.tasks.generator import Generation, Generator
    from keras_attn.device.tasks.mask_filler import Filling, Fillings, MaskFiller
    from keras_attn.device.tasks.predictor import Predictor
    from keras_attn.device.tasks.scorer import Score, Scorer
    from keras_attn.device.tasks.translation import Output, Translation
    from keras_attn.device.tasks.translator import Translator
    from keras_attn.device.text.pair_tokenizer import PairTokenizer
    from keras_attn.device.text.tokenizer import EncoderTokenizer, PromptTokenizer, Tokenizer
    from keras_attn.errors import KerasAttnError, MissingPackage

    Path = str | os.PathLike[str]

    class _More(TypedDict, total=False):
        weight_cache: Path | None
        whole_vocabulary: bool

    Loaded = Translator | Generator | EncoderObject | Predictor

__all__ = [
    "Answer",
    "AnswerSpan",
    "Answerer",
    "Bundle",
    "BundleError",
    "Classification",
    "Classifier",
    "Embedder",
    "Embedding",
    "EncoderTokenizer",
    "Entities",
    "Entity",
    "EntityRecognizer",
    "Filling",
    "Fillings",
    "Generation",
    "Generator",
    "InputError",
    "KerasAttnError",
    "Label",
    "MaskFiller",
    "MissingPackage",
    "Output",
    "PairTokenizer",
    "Predictor",
    "PromptTokenizer",
    "Report",
    "Score",
    "Scorer",
    "TextTooLong",
    "Tokenizer",
    "Translation",
    "Translator",
    "load",
    "verify",
]

__getattr__, _ = lazy_names(
    __name__,
    {
        "Answer": ".tasks.answerer",
        "AnswerSpan": ".tasks.answerer",
        "Answerer": ".tasks.answerer",
        "Bundle": ".files.bundle",
        "BundleError": ".errors",
        "Classification": ".tasks.classifier",
        "Classifier": ".tasks.classifier",
        "Embedder": ".tasks.embedder",
        "Embedding": ".tasks.embedder",
        "EncoderTokenizer": ".text.tokenizer",
        "Entities": ".tasks.entity_recognizer",
        "Entity": ".tasks.entity_recognizer",
        "EntityRecognizer": ".tasks.entity_recognizer",
        "Filling": ".tasks.mask_filler",
        "Fillings": ".tasks.mask_filler",
        "Generation": ".tasks.generator",
        "Generator": ".tasks.generator",
        "InputError": ".errors",
        "KerasAttnError": "keras_attn.errors",
        "Label": ".tasks.classifier",
        "MaskFiller": ".tasks.mask_filler",
        "MissingPackage": "keras_attn.errors",
        "Output": ".tasks.translation",
        "PairTokenizer": ".text.pair_tokenizer",
        "Predictor": ".tasks.predictor",
        "PromptTokenizer": ".text.tokenizer",
        "Report": ".proof.verify",
        "Score": ".tasks.scorer",
        "Scorer": ".tasks.scorer",
        "TextTooLong": ".errors",
        "Tokenizer": ".text.tokenizer",
        "Translation": ".tasks.translation",
        "Translator": ".tasks.translator",
        "verify": ".proof.verify",
    },
)


def __dir__() -> list[str]:
    return sorted(__all__)


@overload
def load(
    bundle: Path, threads: int = 1, *, task: Literal["translation"], **more: Unpack[_More]
) -> Translator: ...
@overload
def load(
    bundle: Path, threads: int = 1, *, task: Literal["generation"], **more: Unpack[_More]
) -> Generator: ...
@overload
def load(
    bundle: Path, threads: int = 1, *, task: Literal["classification"], **more: Unpack[_More]
) -> Classifier: ...
@overload
def load(
    bundle: Path, threads: int = 1, *, task: Literal["embedding"], **more: Unpack[_More]
) -> Embedder: ...
@overload
def load(
    bundle: Path, threads: int = 1, *, task: Literal["masked-lm"], **more: Unpack[_More]
) -> MaskFiller: ...
@overload
def load(
    bundle: Path, threads: int = 1, *, task: Literal["token-classification"], **more: Unpack[_More]
) -> EntityRecognizer: ...
@overload
def load(
    bundle: Path, threads: int = 1, *, task: Literal["question-answering"], **more: Unpack[_More]
) -> Answerer: ...
@overload
def load(bundle: Path, threads: int = 1, *, task: Literal["scoring"], **more: Unpack[_More]) -> Scorer: ...
@overload
def load(
    bundle: Path, threads: int = 1, *, task: Literal["prediction"], **more: Unpack[_More]
) -> Predictor: ...
@overload
def load(
    bundle: Path,
    threads: int = 1,
    weight_cache: Path | None = None,
    whole_vocabulary: bool = False,
    *,
    task: str | None = None,
) -> Any: ...
def load(
    bundle: Path,
    threads: int = 1,
    weight_cache: Path | None = None,
    whole_vocabulary: bool = False,
    *,
    task: str | None = None,
) -> Any:
    """Load a bundle, a folder or a .zip, after checking all of it.

    Args:
        bundle: path of the bundle.
        threads: threads that the interpreter may use.
        weight_cache: a folder in which the weights of a model of 16 MB and more stay packed as the processor
            wants them, in a file about as large as the model's: it opens faster and needs less memory from
            the second time on. By default they are packed each time, in memory.
        whole_vocabulary: whether a translator that was exported with a shortlist scores all tokens at each
            step nevertheless.
        task: the task that is expected, such as ``"translation"``; it is checked, and type checkers then know
            the object's class. By default any.

    Threads may share what is returned. They take turns at the model, which computes one text, or one batch of
    a translator's, at a time; ``stream`` may be read beside other calls, and gives way at every token. What
    ``copy.copy`` or ``copy.deepcopy`` makes of it has a model of its own, with which threads do not wait for
    each other. It can be pickled, and so used by processes that are spawned, which open the bundle at the
    same path; a process that is forked opens the model file anew when it first needs it.

    Returns:
        The object of the bundle's task: a Translator, ``load("bundle").translate("…", beam=5).text``; a
        Generator, ``.generate("…", temperature=0.8, top_p=0.9).text`` or ``.stream("…")``; a
        Classifier, ``.classify("…").label``; an Embedder, ``.embed("…").embedding``; a MaskFiller,
        ``.fill_mask("… [MASK] …", top=5)``; an EntityRecognizer, ``.entities("…")``; an Answerer,
        ``.answer("question", "context").text``; a Scorer, ``.score("query", "passage")``; a Predictor of any
        other Keras model, ``.predict(x)``.

    Raises:
        BundleError: the bundle is missing, damaged, of another format or task, or not for this interpreter.
        MissingPackage: no interpreter is installed.
    """
    from keras_attn.device.errors import BundleError
    from keras_attn.device.files.bundle import Bundle

    opened = Bundle.open(bundle, weight_cache, whole_vocabulary)
    if task not in (None, opened.manifest["task"]):
        raise BundleError(f"{bundle} is a bundle for {opened.manifest['task']}, not for {task}.")
    return load_opened(opened, threads)


def load_opened(bundle: Bundle, threads: int = 1) -> Loaded:
    """Load a bundle that has been opened; errors are those of ``load``."""
    from keras_attn.device.task_names import ENCODER_TASKS, PREDICTION

    if bundle.manifest["task"] == PREDICTION:
        from keras_attn.device.tasks.predictor import Predictor

        return Predictor.from_bundle(bundle, threads=threads)
    if bundle.manifest["task"] in ENCODER_TASKS:
        from keras_attn.device.tasks.encoder_factory import from_bundle

        return from_bundle(bundle, threads=threads)
    if bundle.manifest["task"] == "generation":
        from keras_attn.device.tasks.generator import Generator

        return Generator.from_bundle(bundle, threads=threads)
    from keras_attn.device.tasks.translator import Translator

    return Translator.from_bundle(bundle, threads=threads)
