"""Loading and saving by the architecture that a folder names."""

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import keras

from keras_attn.models import Bert, TextEmbedder
from keras_attn.pretrained.bert import ARCHITECTURES, bert_config, bert_tensors, load_bert
from keras_attn.pretrained.checkpoint import CONFIG, WEIGHTS, Checkpoint
from keras_attn.pretrained.errors import PretrainedError
from keras_attn.pretrained.hub import folder_of
from keras_attn.pretrained.sentence_encoders import embedder_files, is_sentence_encoder, load_embedder

LOADERS = dict.fromkeys(ARCHITECTURES, load_bert)


def load(folder_or_hub_name: str | Path, *, without_head: bool = False, **kwargs: Any) -> keras.Model:
    """Load a Hugging Face folder: BERT (MiniLM included), DistilBERT, BigBird, or a sentence encoder of them.

    Args:
        folder_or_hub_name: a folder with config.json and model.safetensors (or its shards and their index),
            or a name on the Hugging Face hub, which is downloaded into its cache. With modules.json it is a
            folder of sentence-transformers, whose pooling and normalization are honoured.
        without_head: whether the tensors of a task's head are left out; otherwise a head is refused.
        **kwargs: further arguments of the model's constructor, such as `dtype` or `name`.

    Returns:
        `keras_attn.models.Bert` or `BigBird` with the folder's configuration and weights; for a sentence
        encoder, `TextEmbedder` with that as its `backbone`.

    Raises:
        PretrainedError: if there is no such folder or name, a file is missing or broken, the architecture is
            unknown, or anything in the folder has no place in the model, or the other way round; one line
            for each.
    """
    folder = folder_of(folder_or_hub_name)
    checkpoint = Checkpoint(folder)
    architecture = checkpoint.config.get("model_type")
    if architecture not in LOADERS:
        known = ", ".join(LOADERS)
        raise PretrainedError(f"{folder}: the architecture {architecture!r} is not known, only {known}.")
    model = LOADERS[architecture](checkpoint, without_head, **kwargs)
    return load_embedder(folder, model) if is_sentence_encoder(folder) else model


def save(model: keras.Model, folder: str | Path) -> None:
    """Write a folder that Hugging Face's transformers, or sentence-transformers, load with equal outputs.

    The folder appears when it is complete. A tokenizer is not part of a model: copy its files beside.

    Args:
        model: `Bert`, `BigBird`, or a `TextEmbedder` of one. A `Bert` without segments and pooler becomes a
            DistilBERT.
        folder: must not exist.

    Raises:
        PretrainedError: if the folder exists, or the model has no counterpart.
    """
    from safetensors.numpy import save_file

    folder = Path(folder)
    if folder.exists():
        raise PretrainedError(f"{folder} already exists: give another folder.")
    files: dict[str, Any] = embedder_files(model) if isinstance(model, TextEmbedder) else {}
    backbone = model.backbone if isinstance(model, TextEmbedder) else model
    if not isinstance(backbone, Bert):
        raise PretrainedError(
            f"{type(model).__name__} has no counterpart at Hugging Face that is known here."
        )
    architecture, files[CONFIG] = bert_config(backbone)
    tensors = {row.name: row.exported() for row in bert_tensors(backbone, architecture)}
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        save_file(tensors, aside / WEIGHTS, metadata={"format": "pt"})
        for name, content in files.items():
            (aside / name).parent.mkdir(exist_ok=True)
            (aside / name).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        aside.chmod(0o755)
        os.replace(aside, folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
