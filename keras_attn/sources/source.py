"""What a source is: a trained model and what belongs to it, whichever kind of folder it came from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from keras_attn.device.files.bundle import TARGET_TOKENIZER, TOKENIZER
from keras_attn.device.text.text_template import TextTemplate

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

    def weights(self) -> Mapping[str, np.ndarray]:
        """Return the trained arrays by variable path below the model's name, each made when it is read."""
        paths = {variable.path.partition("/")[2]: variable for variable in self.model.variables}
        return _Weights({path: each for path, each in paths.items() if not path.endswith(_NOT_A_WEIGHT)})


class _Weights(Mapping[str, np.ndarray]):
    """Variables as float32 arrays: of a large model, copies of all of them at once would take gigabytes."""

    def __init__(self, variables: Mapping[str, Any]) -> None:
        self._variables = variables

    def __getitem__(self, path: str) -> np.ndarray:
        from keras import ops

        return np.asarray(ops.convert_to_numpy(self._variables[path].value), np.float32)

    def __iter__(self) -> Iterator[str]:
        return iter(self._variables)

    def __len__(self) -> int:
        return len(self._variables)


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
        min_length: tokens to produce before a translation may end.
        no_repeat_ngram: length of the sequences of tokens that do not repeat; 0 for no such rule.
        template: the tokens around its texts, where they depend on the call or are more than an end token.
    """

    task: ClassVar[str] = "translation"
    languages: dict[str, str]
    pairs: Sequence[tuple[str, str]] = ()
    metric: str = "bleu"
    bleu_tokenize: str = "13a"
    force_end: bool = False
    early_stopping: bool = True
    min_length: int = 0
    no_repeat_ngram: int = 0
    template: TextTemplate | None = None

    @property
    def users_tokenizer(self) -> Any:
        """The tokenizer that asks for a language where the model has none by default."""
        return self.tokenizer if self.template is None else self.tokenizer.with_template(self.template)

    @property
    def search(self) -> dict[str, Any]:
        """The search's rules that are not the usual ones, for the manifest and for `Translator`."""
        usual = {"force_end": False, "early_stopping": True, "min_length": 0, "no_repeat_ngram": 0}
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
    """A model that reads a text at once, such as a classifier or an embedder.

    Attributes:
        task: the manifest's `task`.
        texts: held-out texts, or pairs of them; may be empty.
        references: what is right for each text, see `examples.read_examples`; may be empty.
        classes: the number of the class of each label that files may have, for a classifier.
        pairs: whether texts may be two.
        segments: whether the model distinguishes these by segments, besides the tokens between them.
        longest_text: most tokens of a text, which is cut there; `None` where only the model decides.
    """

    task: str
    texts: Sequence[str | tuple[str, str]] = ()
    references: Sequence[Any] = ()
    classes: dict[str, int] = field(default_factory=dict)
    pairs: bool = False
    segments: bool = False
    longest_text: int | None = None


AnySource = TranslationSource | LanguageSource | EncoderSource
