"""What can be exported, brought into one form: a run folder, or a Keras model with its tokenizer."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from keras_attn.data.byte_tokenizer import GPT_TOKENS
from keras_attn.data.tokenizer_conversion import as_tokenizer
from keras_attn.device.files.bundle import TARGET_TOKENIZER, TOKENIZER
from keras_attn.device.runtime.encoder import segments_of
from keras_attn.device.text.pair_tokenizer import PairTokenizer
from keras_attn.device.text.tokenizer import SPECIAL_ROLES, EncoderTokenizer, PromptTokenizer
from keras_attn.encoding import task_of
from keras_attn.errors import ArgumentError
from keras_attn.models import CausalLM, EncoderDecoder
from keras_attn.pretrained.checkpoint import find_config
from keras_attn_export.buckets import Sparsity
from keras_attn_export.sources.float32_model import in_float32
from keras_attn_export.sources.suppression import without_suppressed

TOKENIZER_OPTIONS = "tokenizer_config.json"
RUN = "run.json"
_NOT_A_WEIGHT = "seed_generator_state"


@dataclass(frozen=True, kw_only=True)
class Source:
    """A trained model and what belongs to it.

    Attributes:
        model: the Keras model, computing in float32.
        config: its constructor arguments, as JSON.
        tokenizer: `keras_attn.device.Tokenizer`.
        special_ids: ids of `pad`, `start`, `end` and `unknown`, and of `mask` if there is one.
        longest_trained: most tokens of a training text, `None` when unknown.
        made_from: where it comes from, for manifest and report.
    """

    model: Any
    config: dict[str, Any]
    tokenizer: Any
    special_ids: dict[str, int]
    longest_trained: int | None = None
    made_from: dict[str, Any] = field(default_factory=dict)

    @property
    def class_name(self) -> str:
        """Name of the model's class."""
        return type(self.model).__name__

    @property
    def longest(self) -> int | None:
        """Largest number of positions of the model, `None` when it has no such limit."""
        backbone = self.config.get("backbone", {}).get("config", {})
        return {**backbone, **self.config}.get("max_sequence_length")

    @property
    def vocabulary_size(self) -> int:
        """Number of tokens that the model knows."""
        return {**self.config.get("backbone", {}).get("config", {}), **self.config}["vocabulary_size"]

    @property
    def tokenizer_files(self) -> dict[str, bytes]:
        """Content of `tokenizer.json`, and of `target_tokenizer.json` if targets have one of their own."""
        files = {TOKENIZER: self.tokenizer.tokenizer.to_str().encode()}
        if self.tokenizer.target is not self.tokenizer:
            files[TARGET_TOKENIZER] = self.tokenizer.target.tokenizer.to_str().encode()
        return files

    def weights(self) -> dict[str, np.ndarray]:
        """Return the trained arrays by variable path below the model's name."""
        from keras import ops

        found = {}
        for variable in self.model.variables:
            path = variable.path.partition("/")[2]
            if not path.endswith(_NOT_A_WEIGHT):
                found[path] = np.asarray(ops.convert_to_numpy(variable.value), np.float32)
        return found


@dataclass(frozen=True, kw_only=True)
class TranslationSource(Source):
    """A translation model.

    Attributes:
        languages: labels of `source` and `target`.
        pairs: held-out (source, target) texts; may be empty. A target may be empty too, if it is not known.
        metric: `"bleu"` or `"exact_match"`.
        bleu_tokenize: sacrebleu's tokenization.
        force_end: whether a translation that reaches its limit is searched as one that ends there.
        early_stopping: whether a beam search ends as soon as all hypotheses have finished.
    """

    task: ClassVar[str] = "translation"
    languages: dict[str, str]
    pairs: Sequence[tuple[str, str]] = ()
    metric: str = "bleu"
    bleu_tokenize: str = "13a"
    force_end: bool = False
    early_stopping: bool = True

    @property
    def search(self) -> dict[str, bool]:
        """The search's rules that are not the usual ones, for the manifest and for `Translator`."""
        usual = {"force_end": False, "early_stopping": True}
        return {name: getattr(self, name) for name in usual if getattr(self, name) != usual[name]}


@dataclass(frozen=True, kw_only=True)
class LanguageSource(Source):
    """A language model that continues texts.

    Attributes:
        texts: held-out texts; may be empty.
    """

    task: ClassVar[str] = "generation"
    texts: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class EncoderSource(Source):
    """A classifier, an embedder or a masked language model.

    Attributes:
        task: the manifest's `task`.
        texts: held-out texts; may be empty.
        references: the label of each text, for a classifier.
        classes: the number of the class of each label that files may have, for a classifier.
        pairs: whether a classifier's texts may be two, told apart by segments.
        longest_text: most tokens of a text, which is cut there; `None` where only the model decides.
    """

    task: str
    texts: Sequence[str] = ()
    references: Sequence[str] = ()
    classes: dict[str, int] = field(default_factory=dict)
    pairs: bool = False
    longest_text: int | None = None

    @property
    def sparsity(self) -> Sparsity | None:
        """At which lengths the backbone attends sparsely; `None` for one that never does."""
        return Sparsity.of(self.config["backbone"]["config"])


AnySource = TranslationSource | LanguageSource | EncoderSource


def find_source(
    source: Any,
    *,
    tokenizer: Any = None,
    examples: Sequence[Any] | None = None,
    languages: dict[str, str] | None = None,
) -> AnySource:
    """Bring a run folder, a `Run`, a pretrained folder or a Keras model into one form.

    Args:
        source: path of a run folder or of a Hugging Face folder, a `keras_attn.training.Run`, or a model
            of `keras_attn.models`.
        tokenizer: what `keras_attn.data.as_tokenizer` takes, needed (and allowed) beside a Keras model only.
        examples: held-out examples, instead of the run's: (source, target) pairs of texts, (text, label)
            pairs for a classifier, texts otherwise.
        languages: labels of source and target, instead of the run's or the folder's.

    Raises:
        ArgumentError: when the source is none of these, a model comes without its tokenizer, or its layers
            are quantized or have LoRA adapters.
    """
    from keras_attn.training.run_folder import Run, load_run

    if isinstance(source, str | os.PathLike):
        if tokenizer is not None:
            raise ArgumentError("a folder has its own tokenizer: leave `tokenizer` out")
        folder = Path(source)
        if not (folder / RUN).is_file() and (find_config(folder).is_file() or not folder.exists()):
            return _from_pretrained(source, examples, languages)
        source = load_run(folder)
    if isinstance(source, Run):
        return _from_run(source, examples, languages)
    if not hasattr(source, "get_config") or not hasattr(source, "variables"):
        raise ArgumentError(f"cannot export {type(source).__name__}: give a run folder or a Keras model")
    if tokenizer is None:
        raise ArgumentError("a Keras model needs `tokenizer`, whose ids it was trained with, to be exported")
    task = "generation" if isinstance(source, CausalLM) else task_of(source) or "translation"
    tokenizer = as_tokenizer(tokenizer, task, pad=getattr(source, "backbone", source).pad_id)
    made_from = {"model": source.name, "parameters": int(source.count_params())}
    return _from_model(source, tokenizer, examples, languages, made_from)


def _from_model(
    model: Any, tokenizer: Any, examples: Any, languages: Any, made_from: dict[str, Any], **more: Any
) -> AnySource:
    model = in_float32(model)
    common = {
        "model": model,
        "config": _json_config(model),
        "tokenizer": tokenizer,
        "special_ids": dict(tokenizer.special_ids),
        "made_from": made_from,
        **more,
    }
    if isinstance(model, CausalLM):
        return LanguageSource(texts=examples or (), **common)
    task = task_of(model)
    if task is None:
        languages = languages or {"source": "source", "target": "target"}
        return TranslationSource(languages=languages, pairs=examples or (), **common)
    labelled = task == "classification"
    texts = [text for text, _ in examples or ()] if labelled else list(examples or ())
    references = [label for _, label in examples or ()] if labelled else ()
    if labelled:
        common.setdefault("classes", {label: number for number, label in enumerate(model.labels)})
    return EncoderSource(task=task, texts=texts, references=references, **common)


def _from_run(run: Any, examples: Any, languages: Any) -> AnySource:
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
    elif isinstance(run.model, CausalLM):
        made_from["max_tokens"] = training["max_tokens"]
        tokenizer = PromptTokenizer(tokenizer, run.special_ids)
    else:
        tokenizer = encoder_tokenizer(tokenizer, run.model)
        if "classes" in run.config:
            more["classes"] = run.config["classes"]
            columns = {"text": training["text_column"], "label": training["label_column"]}
            options = {
                name: training[name] for name in ("delimiter", "header") if training.get(name) is not None
            }
            made_from["columns"] = {**columns, **options}
    languages = languages or run.config.get("languages")
    return _from_model(run.model, tokenizer, examples, languages, made_from, **more)


def _from_pretrained(folder_or_hub_name: Any, examples: Any, languages: Any) -> AnySource:
    from keras_attn import pretrained
    from keras_attn.pretrained.hub import folder_of
    from keras_attn.pretrained.tokenizers.text_length import longest_text
    from keras_attn.pretrained.tokenizers.tokenizer_json import with_words

    folder = folder_of(folder_or_hub_name)
    model, tokenizer = pretrained.load(folder), pretrained.load_tokenizer(folder)
    made_from = {"folder": folder.name, "parameters": int(model.count_params())}
    if isinstance(model, EncoderDecoder):
        return _from_translator(folder, model, tokenizer, examples, languages, made_from)
    tokenizer = with_words(tokenizer)
    if isinstance(model, CausalLM):
        if tokenizer.encode("").ids:
            raise ArgumentError(
                f"{folder}: the tokenizer puts special tokens around a text, but a language model's bundle "
                "continues a text as it is"
            )
        end = _end_id(folder, tokenizer)
        special_ids = {role: end for role in SPECIAL_ROLES}
        return _from_model(model, PromptTokenizer(tokenizer, special_ids), examples, None, made_from)
    if task_of(model) is None:
        raise ArgumentError(
            f"{folder_or_hub_name} holds a {type(model).__name__}, which has no task to export: only "
            "translators, classifiers, sentence encoders and language models do"
        )
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
        ArgumentError: when it is no classifier, or two texts cannot be told apart.
    """
    if not isinstance(source, EncoderSource) or source.task != "classification":
        raise ArgumentError(f"pairs: only classifiers read two texts, and this is a {source.class_name}")
    if source.model.backbone.num_segments < 2:
        raise ArgumentError("pairs: this model has no segments to tell two texts apart")
    found = source.tokenizer.tokenizer.encode("a", "b")
    if found.type_ids != segments_of(found.ids, source.special_ids["end"]).tolist():
        raise ArgumentError("pairs: the tokenizer does not put segment 1 after the first text's end")
    return dataclasses.replace(source, pairs=True)


def _from_translator(
    folder: Path, model: Any, tokenizer: Any, examples: Any, languages: Any, made_from: dict[str, Any]
) -> TranslationSource:
    """Bring MarianMT's model, tokenizers and search into one form.

    Raises:
        ArgumentError: when its search cannot be the device's.
    """
    from keras_attn import pretrained

    options = pretrained.search_options(folder)
    target = pretrained.load_tokenizer(folder, target=True)
    special_ids = {
        "pad": model.pad_id,
        "start": options["start_id"],
        "end": options["end_id"],
        "unknown": _unknown_id(tokenizer),
    }
    if options["renormalize"] and options["suppress"]:
        model = without_suppressed(model, options["suppress"])
    others = sorted({*options["suppress"]} - {special_ids["pad"], special_ids["start"]})
    if others and not options["renormalize"]:
        raise ArgumentError(
            f"{folder} never produces the tokens {others} (bad_words_ids, suppress_tokens), but a bundle's "
            "search leaves out padding alone"
        )
    settings = folder / TOKENIZER_OPTIONS
    named = json.loads(settings.read_text("utf-8")) if settings.is_file() else {}
    return TranslationSource(
        model=in_float32(model),
        config=_json_config(model),
        tokenizer=PairTokenizer(tokenizer, special_ids, target, model.vocabulary_size),
        special_ids=special_ids,
        made_from=made_from,
        languages=languages or {side: named.get(f"{side}_lang") or side for side in ("source", "target")},
        pairs=[_pair(example) for example in examples or ()],
        force_end=options["force_end"],
        early_stopping=options["early_stopping"],
    )


def _unknown_id(tokenizer: Any) -> int | None:
    model = json.loads(tokenizer.to_str())["model"]
    if model.get("unk_token") is None:
        return model.get("unk_id")
    return tokenizer.token_to_id(model["unk_token"])


def _pair(example: Any) -> tuple[str, str]:
    """Read a pair: two texts, or one with a tab between source and target, or the source alone."""
    source, target = example.partition("	")[::2] if isinstance(example, str) else example
    return source, target


def encoder_tokenizer(tokenizer: Any, model: Any) -> EncoderTokenizer:
    """Put the ids of an encoder's special tokens beside its tokenizer.

    Raises:
        ArgumentError: when the tokenizer does not enclose texts in special tokens, or does for GPT-2.
    """
    enclosing, wanted = len(tokenizer.encode("").ids), 0 if model.backbone.causal else 2
    if enclosing != wanted:
        raise ArgumentError(f"the tokenizer encloses a text in {enclosing} special tokens, not in {wanted}")
    tokenizer = as_tokenizer(tokenizer, task_of(model) or "", pad=model.backbone.pad_id)
    assert isinstance(tokenizer, EncoderTokenizer)
    return tokenizer


def _json_config(model: Any) -> dict[str, Any]:
    return json.loads(json.dumps(model.get_config()))
