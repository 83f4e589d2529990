"""Which object a task over an encoder has, by the task's name or by a bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from keras_attn.device.files.bundle import Bundle
from keras_attn.device.files.bundle_tokenizer import read_encoder_tokenizer
from keras_attn.device.reopening import Opening
from keras_attn.device.runtime.encoder import Encoder, LiteRTEncoder
from keras_attn.device.runtime.interpreter import Model
from keras_attn.device.tasks.answerer import Answerer
from keras_attn.device.tasks.classifier import Classifier
from keras_attn.device.tasks.embedder import Embedder
from keras_attn.device.tasks.entity_recognizer import EntityRecognizer
from keras_attn.device.tasks.mask_filler import MaskFiller
from keras_attn.device.tasks.scorer import Scorer
from keras_attn.device.text.tokenizer import EncoderTokenizer

EncoderObject = Classifier | Embedder | MaskFiller | EntityRecognizer | Answerer | Scorer


def from_bundle(bundle: Bundle, threads: int = 1) -> EncoderObject:
    """Make the object of the task of a bundle that has been opened.

    Raises:
        BundleError: a file of the bundle is not what it should be, or may not run on this interpreter.
        MissingPackage: no interpreter is installed.
    """
    manifest, model = bundle.manifest, Model.of_bundle(bundle, threads)
    special_ids = manifest["special_ids"]
    pairs = bool(manifest["model"].get("pairs"))
    encoder = LiteRTEncoder(model, manifest["buckets"], special_ids["pad"], special_ids["end"], pairs)
    config = manifest["model"].get("config", {})
    labels = manifest["model"].get("labels")
    made = make_task(manifest["task"], encoder, read_encoder_tokenizer(bundle), labels, config)
    made.opening = Opening.of(bundle, threads)
    return made


def make_task(
    task: str,
    encoder: Encoder,
    tokenizer: EncoderTokenizer,
    labels: Sequence[str] | None,
    config: Mapping[str, Any],
) -> EncoderObject:
    """Make the object of a task by its name in manifests.

    Args:
        task: the name.
        encoder: runs the model.
        tokenizer: the model's.
        labels: of classifiers of texts or tokens.
        config: the model's, of which an object reads what the model does not compute.
    """
    if task == "classification":
        return Classifier(encoder, tokenizer, labels or [], bool(config.get("multi_label")))
    if task == "embedding":
        return Embedder(encoder, tokenizer, config.get("prompts"), config.get("default_prompt"))
    if task == "token-classification":
        return EntityRecognizer(encoder, tokenizer, labels or [], config.get("strategy", "simple"))
    if task == "question-answering":
        return Answerer(encoder, tokenizer)
    if task == "scoring":
        return Scorer(encoder, tokenizer, config.get("activation", "sigmoid"))
    return MaskFiller(encoder, tokenizer)
