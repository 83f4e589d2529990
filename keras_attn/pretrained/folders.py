"""Loading and saving by the architecture that a folder names."""

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import keras

from keras_attn.models import Bert
from keras_attn.pretrained.bert import ARCHITECTURES, bert_config, bert_tensors, load_bert
from keras_attn.pretrained.checkpoint import CONFIG, WEIGHTS, Checkpoint
from keras_attn.pretrained.errors import PretrainedError

LOADERS = dict.fromkeys(ARCHITECTURES, load_bert)


def load(folder: str | Path, *, without_head: bool = False, **kwargs: Any) -> keras.Model:
    """Load a Hugging Face folder: BERT (also MiniLM and most sentence encoders), DistilBERT or BigBird.

    Args:
        folder: with config.json and model.safetensors (or its shards and their index).
        without_head: whether the tensors of a task's head are left out; otherwise a head is refused.
        **kwargs: further arguments of the model's constructor, such as `dtype` or `name`.

    Returns:
        `keras_attn.models.Bert` or `BigBird` with the folder's configuration and weights.

    Raises:
        PretrainedError: if a file is missing or broken, the architecture is unknown, or anything in the
            folder has no place in the model, or the other way round; one line for each.
    """
    checkpoint = Checkpoint(folder)
    architecture = checkpoint.config.get("model_type")
    if architecture not in LOADERS:
        known = ", ".join(LOADERS)
        raise PretrainedError(f"{folder}: the architecture {architecture!r} is not known, only {known}.")
    return LOADERS[architecture](checkpoint, without_head, **kwargs)


def save(model: keras.Model, folder: str | Path) -> None:
    """Write a folder that Hugging Face's transformers load, with equal outputs.

    The folder appears when it is complete. A tokenizer is not part of a model: copy its files beside.

    Args:
        model: `Bert` or `BigBird`; a `Bert` without segments and pooler becomes a DistilBERT.
        folder: must not exist.

    Raises:
        PretrainedError: if the folder exists, or the model has no counterpart.
    """
    from safetensors.numpy import save_file

    folder = Path(folder)
    if folder.exists():
        raise PretrainedError(f"{folder} already exists: give another folder.")
    if not isinstance(model, Bert):
        raise PretrainedError(
            f"{type(model).__name__} has no counterpart at Hugging Face that is known here."
        )
    architecture, config = bert_config(model)
    rows = bert_tensors(model, architecture)
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        save_file({row.name: row.exported() for row in rows}, aside / WEIGHTS, metadata={"format": "pt"})
        (aside / CONFIG).write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
        aside.chmod(0o755)
        os.replace(aside, folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
