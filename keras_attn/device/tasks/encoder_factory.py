"""Which object a task over an encoder has, by the task's name or by a bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from keras_attn.device.files.bundle import Bundle
from keras_attn.device.files.bundle_tokenizer import read_encoder_tokenizer
from keras_attn.device.reopening import Opening
from keras_attn.device.runtime.encoder import Encoder, LiteRTEncoder
from keras_attn.device.runtime.interpreter import Model
from keras_attn.device.tasks.classifier import Classifier
from keras_attn.device.tasks.embedder import Embedder
from keras_attn.device.tasks.mask_filler import MaskFiller
from keras_attn.device.text.tokenizer import EncoderTokenizer


def from_bundle(bundle: Bundle, threads: int = 1) -> Classifier | Embedder | MaskFiller:
    """Make the object of the task of a bundle that has been opened.

    Raises:
        BundleError: a file of the bundle is not what it should be, or may not run on this interpreter.
        MissingPackage: no interpreter is installed.
    """
    manifest, model = bundle.manifest, Model.of_bundle(bundle, threads)
    special_ids = manifest["special_ids"]
    encoder = LiteRTEncoder(model, manifest["buckets"], special_ids["pad"], special_ids["end"])
    config = manifest["model"].get("config", {})
    labels = manifest["model"].get("labels")
    prompts, default = config.get("prompts"), config.get("default_prompt")
    made = make_task(manifest["task"], encoder, read_encoder_tokenizer(bundle), labels, prompts, default)
    made.opening = Opening.of(bundle, threads)
    return made


def make_task(
    task: str,
    encoder: Encoder,
    tokenizer: EncoderTokenizer,
    labels: Sequence[str] | None = None,
    prompts: Mapping[str, str] | None = None,
    default_prompt: str | None = None,
) -> Classifier | Embedder | MaskFiller:
    """Make the object of a task by its name in manifests."""
    if task == "classification":
        return Classifier(encoder, tokenizer, labels or [])
    if task == "embedding":
        return Embedder(encoder, tokenizer, prompts, default_prompt)
    return MaskFiller(encoder, tokenizer)
