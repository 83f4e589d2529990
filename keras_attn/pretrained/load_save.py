"""Load and save checkpoints, by architecture."""

import json
from pathlib import Path
from typing import Any

import keras

from keras_attn.device.files.atomic_write import replaced_folder
from keras_attn.models import (
    GPT2,
    T5,
    Bert,
    CausalLM,
    MaskedLM,
    QuestionAnswerer,
    T5Encoder,
    TextClassifier,
    TextEmbedder,
    TextScorer,
    TokenClassifier,
    Transformer,
)
from keras_attn.pretrained.architectures.bart import FAMILIES, export_bart, family_of, load_bart
from keras_attn.pretrained.architectures.bert import export_bert, load_bert
from keras_attn.pretrained.architectures.encoders import ARCHITECTURES
from keras_attn.pretrained.architectures.gpt2 import export_gpt2, load_gpt2
from keras_attn.pretrained.architectures.kerashub import is_preset, load_hub_model, load_preset
from keras_attn.pretrained.architectures.marian import export_marian, load_marian
from keras_attn.pretrained.architectures.sentence_encoders import (
    cross_encoder_options,
    cross_encoder_problems,
    embedder_files,
    embedder_tensors,
    is_cross_encoder,
    is_sentence_encoder,
    load_embedder,
)
from keras_attn.pretrained.architectures.t5 import FAMILIES as T5_FAMILIES
from keras_attn.pretrained.architectures.t5 import export_t5, load_t5
from keras_attn.pretrained.checkpoint import CONFIG, WEIGHTS, Checkpoint, Tensor
from keras_attn.pretrained.errors import PretrainedError
from keras_attn.pretrained.hub import folder_of
from keras_attn.pretrained.model_type import model_type_of

LOADERS = {
    **dict.fromkeys(ARCHITECTURES, load_bert),
    **dict.fromkeys(FAMILIES, load_bart),
    **dict.fromkeys(T5_FAMILIES, load_t5),
    "gpt2": load_gpt2,
    "marian": load_marian,
}


def _export_translator(model: Transformer) -> tuple[dict[str, Any], list[Tensor]]:
    name = family_of(model)
    return export_marian(model) if name is None else export_bart(model, name)


# The exporter of each backbone, and the tasks over it that can be saved.
EXPORTERS = {
    T5Encoder: (export_t5, ()),
    T5: (export_t5, ()),
    Bert: (export_bert, (TextClassifier, TextScorer, TokenClassifier, QuestionAnswerer, MaskedLM)),
    GPT2: (export_gpt2, (CausalLM, TextClassifier, TextScorer)),
    Transformer: (_export_translator, ()),
}


def load(
    folder_or_hub_name: str | Path | keras.Model, *, without_head: bool = False, **kwargs: Any
) -> keras.Model:
    """Load a Hugging Face checkpoint: BERT's relatives, GPT-2, MarianMT's relatives or a sentence encoder.

    KerasHub's BERT, DistilBERT and GPT-2 are converted: from a preset's folder, or from a backbone or task.

    Args:
        folder_or_hub_name: a folder with config.json (or Google's bert_config.json) and model.safetensors
            (or its shards and their index), or a name on the Hugging Face hub, which is downloaded into its
            cache. With modules.json it is a sentence-transformers folder, whose pooling, normalization,
            prompts and dimensions are applied. Or the folder of a KerasHub preset, or one of KerasHub's
            models, such as `keras_hub.models.BertBackbone.from_preset("bert_base_en")`.
        without_head: whether to return only the backbone, without a task's head or a sentence encoder's
            modules.
        **kwargs: further arguments of the backbone's constructor, such as `dtype` or `dropout`.

    Returns:
        A model of `keras_attn.models` with the folder's configuration and weights: `Bert`, `BigBird`, `GPT2`,
        `Transformer` for MarianMT, BART, mBART, M2M100 and PEGASUS, `T5` for T5, mT5 and UMT5, or `T5Encoder`
        for `T5EncoderModel`. If config.json names a class with a
        head, or the checkpoint has one, it is the task over that backbone: `TextClassifier` for
        `...ForSequenceClassification`, or `TextScorer` if it has one output; `TokenClassifier` for
        `...ForTokenClassification`, `QuestionAnswerer` for `...ForQuestionAnswering`, `MaskedLM` for
        `...ForMaskedLM` and, with its second head, `...ForPreTraining`, `NextSentence` for
        `BertForNextSentencePrediction`, `CausalLM` for `GPT2LMHeadModel`; for a sentence encoder,
        `TextEmbedder`.

    Raises:
        PretrainedError: if there is no such folder or name, a file is missing or broken, the architecture is
            unknown, or options or tensors do not match the model; one line for each.
    """
    if isinstance(folder_or_hub_name, keras.Model):
        return load_hub_model(folder_or_hub_name, without_head, **kwargs)
    folder = folder_of(folder_or_hub_name)
    if is_preset(folder):
        return load_preset(folder, without_head, **kwargs)
    encoder = is_sentence_encoder(folder)
    with Checkpoint(folder) as checkpoint:
        architecture = model_type_of(checkpoint.config)
        if architecture not in LOADERS:
            known = ", ".join(LOADERS)
            raise PretrainedError(f"{folder}: the architecture {architecture!r} is not known, only {known}.")
        checkpoint.config["model_type"] = architecture
        if is_cross_encoder(folder) and not without_head:
            problems = cross_encoder_problems(folder)
            if problems:
                checkpoint.refuse(problems)
            checkpoint.config |= cross_encoder_options(folder)
        model = LOADERS[architecture](checkpoint, without_head or encoder, **kwargs)
    return load_embedder(folder, model) if encoder and not without_head else model


def save(model: keras.Model, folder: str | Path, options: dict[str, Any] | None = None) -> None:
    """Save a model as a folder that transformers or sentence-transformers load, with equal outputs.

    The folder appears when it is complete. A tokenizer is not part of a model: copy its files into it.

    Args:
        model: `Bert`, `BigBird` or `GPT2`, or a `TextClassifier`, `TextScorer`, `TokenClassifier`,
            `QuestionAnswerer`, `MaskedLM`, `NextSentence`, `CausalLM` or `TextEmbedder` of one, or a
            `Transformer` of the layout of Marian, BART, mBART, M2M100 or PEGASUS, a `T5` or a
            `T5Encoder`. A `Bert` without segments
            and pooler becomes a DistilBERT.
        folder: must not exist.
        options: further entries of config.json, which a model does not determine, such as `{"eos_token_id":
            50256}`.

    Raises:
        PretrainedError: if the folder exists, the model has no counterpart, or `options` contradict it.
    """
    from safetensors.numpy import save_file

    folder = Path(folder)
    if folder.exists():
        raise PretrainedError(f"{folder} already exists: give another folder.")
    files: dict[str, Any] = embedder_files(model) if isinstance(model, TextEmbedder) else {}
    tables = embedder_tensors(model) if isinstance(model, TextEmbedder) else {}
    files[CONFIG], table = _exported(model.backbone if isinstance(model, TextEmbedder) else model)
    options = options or {}
    decided = [
        f"{name}={value!r}"
        for name, value in files[CONFIG].items()
        if value is not None and options.get(name, value) != value
    ]
    if decided:
        raise PretrainedError(f"`options` contradict the model, which has {', '.join(decided)}.")
    files[CONFIG] |= options
    tables[""] = table
    with replaced_folder(folder) as aside:
        for name, rows in tables.items():
            (aside / name).mkdir(exist_ok=True)
            tensors = {row.name: row.exported() for row in rows}
            save_file(tensors, aside / name / WEIGHTS, metadata={"format": "pt"})
        for name, content in files.items():
            (aside / name).parent.mkdir(exist_ok=True)
            (aside / name).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _exported(model: keras.Model) -> tuple[dict[str, Any], list[Tensor]]:
    for backbone, (export, tasks) in EXPORTERS.items():
        if isinstance(model, backbone) or (isinstance(model, tasks) and isinstance(model.backbone, backbone)):
            return export(model)
    raise PretrainedError(f"{type(model).__name__} has no counterpart at Hugging Face that is known here.")
