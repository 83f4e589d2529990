"""How each kind of source is brought into one form: a run folder, a checkpoint, a Keras model."""

from __future__ import annotations

import dataclasses
import os
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from keras_attn.data.byte_tokenizer import GPT_TOKENS
from keras_attn.data.tokenizer_conversion import as_tokenizer
from keras_attn.device.files.folder_kinds import is_run
from keras_attn.device.runtime.encoder import segments_of
from keras_attn.device.task_names import PREDICTION
from keras_attn.device.text.tokenizer import SPECIAL_ROLES, PromptTokenizer
from keras_attn.encoding import OF_PAIRS, task_of
from keras_attn.errors import ArgumentError, shortened
from keras_attn.models import DecoderOnly, EncoderDecoder
from keras_attn.models.tasks.task_model import TaskModel
from keras_attn.pretrained.checkpoint import find_config
from keras_attn.sources.encoder_tokenizer import encoder_tokenizer
from keras_attn.sources.examples import listed_examples, read_examples
from keras_attn.sources.float32_model import in_float32, json_config
from keras_attn.sources.own_encoder_source import TASKS as OWN_TASKS
from keras_attn.sources.own_encoder_source import own_encoder, vocabulary_size, with_tokenizer
from keras_attn.sources.prediction_source import PredictionSource, prediction_source
from keras_attn.sources.pretrained_translator import directed_run, pretrained_translator, tuned_run
from keras_attn.sources.source import AnySource, EncoderSource, LanguageSource, TranslationSource


def find_source(
    source: Any,
    *,
    tokenizer: Any = None,
    examples: Any = None,
    languages: dict[str, str] | None = None,
    lengths: Iterable[Any] | None = None,
    labels: Sequence[str] | None = None,
    task: str | None = None,
    seed: int = 0,
) -> AnySource | PredictionSource:
    """Bring a run folder, a `Run`, a pretrained folder or a Keras model into one form.

    Args:
        source: path of a run folder, of a Hugging Face folder or of a `.keras` file, a
            `keras_attn.training.Run`, or any built Keras model.
        tokenizer: what `keras_attn.data.as_tokenizer` takes, needed (and allowed) beside a Keras model only.
        examples: held-out examples, instead of the run's: (source, target) pairs of texts, (text, label)
            pairs for a classifier, texts otherwise.
        languages: labels of source and target, instead of the run's or the folder's.
        lengths: of a model of arrays, see `prediction_source`.
        labels: of a classifier of one's own, in the order of its outputs.
        task: `"prediction"` for a model of arrays, `"embedding"` for a sentence encoder of one's own; by
            default what the model, its tokenizer and labels are for.
        seed: random seed of examples that are made.

    Raises:
        ArgumentError: when the source is none of these, a model for texts comes without its tokenizer, or its
            layers are quantized or have LoRA adapters.
    """
    from keras_attn.training.run_folder import Run, load_run

    if task not in (None, PREDICTION, *OWN_TASKS):
        raise ArgumentError(
            f"task must be one of {', '.join(map(repr, (PREDICTION, *OWN_TASKS)))}, or left out, not {task!r}"
        )
    made_from = {}
    if isinstance(source, str | os.PathLike) and Path(source).suffix == ".keras":
        made_from["file"] = Path(source).name
        source = load_keras(Path(source))
    if isinstance(source, str | os.PathLike):
        if Path(source).is_file():
            raise ArgumentError(
                f"{source} is a file, and not a .keras one: load it, and give the Keras model, or save it "
                "by model.save('name.keras')"
            )
        if tokenizer is not None:
            raise ArgumentError("a folder has its own tokenizer: leave `tokenizer` out")
        folder = Path(source)
        if not is_run(folder) and (find_config(folder).is_file() or not folder.exists()):
            return _from_pretrained(source, examples, languages)
        source = load_run(folder)
    if isinstance(source, Run):
        if tokenizer is not None:
            raise ArgumentError("a run has its own tokenizer: leave `tokenizer` out")
        return _from_run(source, examples, languages)
    if not hasattr(source, "get_config") or not hasattr(source, "variables"):
        raise ArgumentError(f"cannot export {type(source).__name__}: give a run folder or a Keras model")
    texts = task_of(source) is not None or isinstance(source, DecoderOnly | EncoderDecoder)
    if (
        not texts
        and task != PREDICTION
        and (tokenizer is not None or labels is not None or task in OWN_TASKS)
    ):
        return _from_own_encoder(source, tokenizer, examples, labels, task, made_from)
    if labels is not None:
        raise ArgumentError(f"labels: a {type(source).__name__} has its own, or none; leave it out")
    if task == PREDICTION or (tokenizer is None and not texts):
        for name, value in (("tokenizer", tokenizer), ("languages", languages)):
            if value is not None:
                raise ArgumentError(f"{name}: a model of arrays has none; leave it out")
        return prediction_source(source, examples=examples, lengths=lengths, made_from=made_from, seed=seed)
    if tokenizer is None:
        raise ArgumentError(
            f"a {type(source).__name__} needs `tokenizer`, whose ids it was trained with, to be exported; "
            'task="prediction" exports it as a model of arrays'
        )
    task = "generation" if isinstance(source, DecoderOnly) else task_of(source) or "translation"
    pad = getattr(getattr(source, "backbone", source), "pad_id", None)
    tokenizer = as_tokenizer(tokenizer, task, pad=pad)
    if isinstance(source, DecoderOnly | EncoderDecoder):
        source.check_complete()
    made_from |= {"model": source.name, "parameters": int(source.count_params())}
    return _from_model(source, tokenizer, examples, languages, made_from)


def _from_own_encoder(
    model: Any,
    tokenizer: Any,
    examples: Any,
    labels: Sequence[str] | None,
    task: str | None,
    made_from: dict[str, Any],
) -> EncoderSource:
    """Bring a Keras model of one's own with its tokenizer into one form.

    Raises:
        ArgumentError: the model does not read texts, or it is not clear what for.
    """
    task = task or ("classification" if labels is not None else None)
    if task is None:
        raise ArgumentError(
            "a model with a tokenizer needs `labels`, the names of its classes, to be a classifier, or "
            'task="embedding" to be a sentence encoder'
        )
    if (task == "classification") != (labels is not None):
        raise ArgumentError(f"labels: a classifier has them, and only a classifier; the task is {task!r}")
    model, tokenizer, cut_at = with_tokenizer(model, tokenizer, task)
    texts: list[Any] = listed_examples(examples)
    references: list[Any] = []
    if any(not isinstance(text, str) for text in texts):
        texts, references = read_examples(task, texts, [str(label) for label in labels or ()])
    encoder = own_encoder(model, tokenizer, task, labels, texts)
    config: dict[str, Any] = {"vocabulary_size": vocabulary_size(encoder, tokenizer)}
    if tokenizer.truncates:
        config["truncates"] = True
    if encoder.labels is not None:
        config["labels"] = encoder.labels
    return EncoderSource(
        model=encoder,
        config=config,
        tokenizer=tokenizer,
        special_ids=dict(tokenizer.special_ids),
        longest_trained=None,
        made_from={**made_from, "model": model.name, "parameters": int(model.count_params())},
        task=task,
        texts=texts,
        references=references,
        classes={label: number for number, label in enumerate(encoder.labels or ())},
        longest_text=encoder.roles.length or cut_at,
        pairs=False,
    )


def load_keras(path: Path) -> Any:
    """Load a `.keras` file.

    Raises:
        ArgumentError: there is none, or Keras cannot load it.
    """
    import keras

    if not path.is_file():
        raise ArgumentError(f"there is no file {path}")
    if not zipfile.is_zipfile(path):
        raise ArgumentError(f"{path} is damaged, or not a .keras file, which is a zip archive: save it again")
    try:
        return keras.saving.load_model(path, compile=False)
    except Exception as error:  # whatever the file and the user's classes raise
        raise ArgumentError(
            f"{path} cannot be loaded: {shortened(error)}; import "
            "the module of its own classes first (--module PKG.MOD on the command line), or load it yourself "
            "and give the model"
        ) from error


def _from_model(
    model: Any, tokenizer: Any, examples: Any, languages: Any, made_from: dict[str, Any], **more: Any
) -> AnySource:
    model = in_float32(model)
    common = {
        "model": model,
        "config": json_config(model),
        "tokenizer": tokenizer,
        "special_ids": dict(tokenizer.special_ids),
        "made_from": made_from,
        **more,
    }
    if isinstance(model, DecoderOnly):
        if languages is not None:
            raise ArgumentError("languages: only translators have them, and this is a language model")
        if not isinstance(model, TaskModel):
            common["config"] |= _sizes(model)
        return LanguageSource(texts=listed_examples(examples), **common)
    task = task_of(model)
    if task is None:
        languages = languages or {"source": "source", "target": "target"}
        common["config"] |= _sizes(model)
        return TranslationSource(languages=languages, pairs=listed_examples(examples), **common)
    if languages is not None:
        raise ArgumentError(f"languages: only translators have them, and this is for {task}; leave it out")
    if task == "classification":
        common.setdefault("classes", {label: number for number, label in enumerate(model.labels)})
    texts, references = read_examples(task, examples, common.get("classes", ()))
    several = [each for each in references if task == "classification" and isinstance(each, list | tuple)]
    if several and not model.multi_label:
        raise ArgumentError(f"examples: the model has one label a text, and an example has {several[0]}")
    found = EncoderSource(task=task, texts=texts, references=references, **common)
    joins = found.tokenizer.joins_pairs and not model.backbone.causal
    if task == "question-answering" and not joins:
        raise ArgumentError("the tokenizer puts no special token between two texts, question and context")
    two = task == "question-answering" or (task == "scoring" and joins)
    return reading_pairs(found) if two else found


def _sizes(model: Any) -> dict[str, int]:
    """Return what is needed of a configuration, which a class of the user's own need not have."""
    sizes = {name: getattr(model, name, None) for name in ("vocabulary_size", "max_sequence_length")}
    return {name: size for name, size in sizes.items() if size is not None}


def _from_run(run: Any, examples: Any, languages: Any) -> AnySource:
    from keras_attn.training.run_folder import INITIAL, columns_of

    training = run.config.get("training", {})
    made_from = {
        "run": run.folder.name,
        "data": run.config.get("data", {}),
        "parameters": int(run.model.count_params()),
    }
    examples = run.validation if examples is None else examples
    tokenizer = run.tokenizer
    more = {"longest_trained": training.get("max_tokens")}
    if run.config["task"] == "translation":
        made_from["bleu_tokenize"] = training.get("bleu_tokenize", "13a")
        more["metric"] = training.get("metric", "bleu")
        more["bleu_tokenize"] = made_from["bleu_tokenize"]
    elif isinstance(run.model, DecoderOnly):
        made_from["max_tokens"] = training["max_tokens"]
        tokenizer = PromptTokenizer(tokenizer, run.special_ids)
    else:
        tokenizer = encoder_tokenizer(tokenizer, run.model)
        if "classes" in run.config:
            more["classes"] = run.config["classes"]
        if run.config["task"] == "classification":
            made_from["columns"] = columns_of(training)
    languages = languages or run.config.get("languages")
    if (run.folder / INITIAL).is_dir():
        return tuned_run(run, run.folder / INITIAL, examples, languages, made_from, more)
    if "text_template" in run.config:
        return directed_run(run, examples, languages, made_from, more)
    found = _from_model(run.model, tokenizer, examples, languages, made_from, **more)
    # A run that was trained on pairs reads pairs; those of answers and scores do in any case.
    return reading_pairs(found) if training.get("pair_column") else found


def _from_pretrained(folder_or_hub_name: Any, examples: Any, languages: Any) -> AnySource:
    from keras_attn import pretrained
    from keras_attn.pretrained.hub import folder_of
    from keras_attn.pretrained.tokenizers.text_length import longest_text
    from keras_attn.pretrained.tokenizers.tokenizer_json import with_words

    folder = folder_of(folder_or_hub_name)
    model = pretrained.load(folder)
    if task_of(model) is None and not isinstance(model, DecoderOnly | EncoderDecoder):
        raise ArgumentError(
            f"{folder_or_hub_name} holds a {type(model).__name__} without a task: only translators, "
            "classifiers, sentence encoders and language models are loaded by their task or exported; "
            "keras_attn.pretrained.load returns the model itself"
        )
    tokenizer = pretrained.load_tokenizer(folder)
    made_from = {"folder": folder.name, "parameters": int(model.count_params())}
    if isinstance(model, EncoderDecoder):
        return pretrained_translator(folder, model, tokenizer, examples, languages, made_from)
    tokenizer = with_words(tokenizer)
    if isinstance(model, DecoderOnly):
        if tokenizer.encode("").ids:
            raise ArgumentError(
                f"{folder}: the tokenizer puts special tokens around a text, but a language model's bundle "
                "continues a text as it is"
            )
        end = _end_id(folder, tokenizer)
        special_ids = {role: end for role in SPECIAL_ROLES}
        return _from_model(model, PromptTokenizer(tokenizer, special_ids), examples, None, made_from)
    tokenizer = encoder_tokenizer(tokenizer, model)
    return _from_model(model, tokenizer, examples, None, made_from, longest_text=longest_text(folder))


def _end_id(folder: Path, tokenizer: Any) -> int:
    """Return the token that ends a language model's texts."""
    from keras_attn.pretrained.architectures.kerashub import is_preset
    from keras_attn.pretrained.generation_config import end_of_text

    return tokenizer.token_to_id(GPT_TOKENS["end"]) if is_preset(folder) else end_of_text(folder)


def reading_pairs(source: AnySource) -> EncoderSource:
    """Let a classifier's texts be two.

    Raises:
        ArgumentError: it is not a classifier, or cannot distinguish two texts.
    """
    if not isinstance(source, EncoderSource) or source.task not in OF_PAIRS:
        raise ArgumentError(f"pairs: only classifiers read two texts, and this is a {source.class_name}")
    if source.model.backbone.causal or not source.tokenizer.joins_pairs:
        raise ArgumentError("pairs: the tokenizer puts no special token between two texts")
    found = source.tokenizer.tokenizer.encode("a", "b")
    segments = source.model.backbone.num_segments > 1 and source.tokenizer.marks_segments
    if segments and found.type_ids != segments_of(found.ids, source.special_ids["end"]).tolist():
        raise ArgumentError("pairs: the tokenizer does not put segment 1 after the first text's end")
    return dataclasses.replace(source, pairs=True, segments=segments)
