"""Classification, embedding and filling masks, over any encoder: a bundle's or a Keras model's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, overload

import numpy as np

from keras_attn.device.errors import InputError, TextTooLong
from keras_attn.device.files.bundle import TOKENIZER, Bundle
from keras_attn.device.reopening import Opening, Reopened
from keras_attn.device.runtime.encoder import Encoder, LiteRTEncoder
from keras_attn.device.runtime.interpreter import Model
from keras_attn.device.runtime.litert import runtime
from keras_attn.device.text.tokenizer import EncoderTokenizer
from keras_attn.errors import ArgumentError, ArgumentTypeError

Result = TypeVar("Result")


@dataclass(frozen=True)
class Label:
    """A label and its probability."""

    label: str
    score: float


@dataclass(frozen=True)
class Classification:
    """The labels of a text, or of two, the most probable first; ``str()`` is that one."""

    input: str
    outputs: list[Label]
    pair: str | None = None

    @property
    def label(self) -> str:
        """The most probable label."""
        return self.outputs[0].label

    @property
    def score(self) -> float:
        """Its probability."""
        return self.outputs[0].score

    def __str__(self) -> str:
        return self.label

    def to_json(self) -> dict[str, Any]:
        """Return what ``--json`` prints."""
        pair = {} if self.pair is None else {"pair": self.pair}
        return {"input": self.input, **pair, "outputs": [dict(vars(output)) for output in self.outputs]}


@dataclass(frozen=True)
class Embedding:
    """The vector of a text, (D,) float32."""

    input: str
    embedding: np.ndarray = field(repr=False)

    def __str__(self) -> str:
        return " ".join(f"{value:.6g}" for value in self.embedding)

    def to_json(self) -> dict[str, Any]:
        """Return what ``--json`` prints."""
        return {"input": self.input, "outputs": [{"embedding": self.embedding.tolist()}]}


@dataclass(frozen=True)
class Filling:
    """A word for the mask of a text.

    Attributes:
        text: the text with this word and, for the other masks, the best ones.
        token: the word as the vocabulary has it.
        id: its id.
        score: its probability.
        mask: which mask it is for, counted from 0.
    """

    text: str
    token: str
    id: int
    score: float
    mask: int = 0


@dataclass(frozen=True)
class Fillings:
    """The words for each mask of a text, the best first; ``str()`` is the text with the best ones."""

    input: str
    outputs: list[Filling]

    def __str__(self) -> str:
        return self.outputs[0].text

    def to_json(self) -> dict[str, Any]:
        """Return what ``--json`` prints."""
        return {"input": self.input, "outputs": [dict(vars(output)) for output in self.outputs]}


class EncoderTask(Reopened):
    """Texts to tokens, and tokens through an encoder.

    Threads may share one; those of a bundle take turns text by text.

    Args:
        encoder: what computes.
        tokenizer: the model's tokenizer.
    """

    def __init__(self, encoder: Encoder, tokenizer: EncoderTokenizer):
        self.encoder = encoder
        self.tokenizer = tokenizer

    def fits(self, text: str) -> bool:
        """Return whether the encoder takes all of a text at once."""
        try:
            self.ids(text)
        except TextTooLong:
            return False
        return True

    def ids(self, text: str, truncate: bool = False, pair: str | None = None, prefix: str = "") -> list[int]:
        """Return the tokens of a text, or of two, with what is written before the first.

        Raises:
            TextTooLong: there are more than the encoder takes, and ``truncate`` is not set, or would leave
                nothing of the second text.
            InputError: a text is not valid Unicode, or there are two and the encoder takes one.
            ArgumentTypeError: a text is not text.
        """
        for each in (text, "" if pair is None else pair):
            if not isinstance(each, str):
                raise ArgumentTypeError(f"text must be a string, not {type(each).__name__}")
        if pair is not None and not self.encoder.reads_pairs:
            raise InputError("A pair was given to a model of single texts; export a bundle with --pairs.")
        limit = self.encoder.max_tokens
        texts = [each for each in (prefix + text, pair) if each is not None]
        read = [self.tokenizer.beginning(each, limit) for each in texts]
        ids = self.tokenizer.encode(*read)
        cut = self.tokenizer.cut(ids, limit)
        lost = pair is not None and self.tokenizer.special_ids["end"] not in cut[:-2]
        characters = sum(map(len, texts)) if read != texts else None
        if (len(ids) > limit or characters) and (lost or not truncate):
            raise TextTooLong(len(ids), limit, splits=False, characters=characters)
        return cut

    def heads(self, text: str, truncate: bool = False) -> tuple[list[str], np.ndarray]:
        """Return the pieces of a text, T of them, and every head's attention, (layers, heads, T, T) float32.

        Pieces are those of the tokenizer's ``text_pieces``: ``▁`` marks where a word begins.

        Raises:
            BundleError: the bundle was exported without its heads.
            TextTooLong: there are more tokens than the encoder takes, and ``truncate`` is not set.
        """
        ids = self.ids(text, truncate)
        pieces = self.tokenizer.text_pieces(self.tokenizer.beginning(text, self.encoder.max_tokens))
        pieces = self.tokenizer.cut(pieces, len(ids))
        return pieces, self.encoder.heads(ids)

    def _each(self, text: str | Sequence[str], answer: Callable[[str], Result]) -> Result | list[Result]:
        if isinstance(text, str):
            return answer(text)
        if not isinstance(text, Sequence) or isinstance(text, bytes | bytearray):
            raise ArgumentTypeError(f"text must be a string or a list of strings, not {type(text).__name__}")
        return [answer(one) for one in text]


class Classifier(EncoderTask):
    """Labels for texts.

    Args:
        encoder: gives log-probabilities of the labels.
        tokenizer: the model's tokenizer.
        labels: their names.
    """

    def __init__(self, encoder: Encoder, tokenizer: EncoderTokenizer, labels: Sequence[str]):
        super().__init__(encoder, tokenizer)
        self.labels = list(labels)

    @overload
    def classify(self, text: str, *, pair: str | None = None, truncate: bool = False) -> Classification: ...

    @overload
    def classify(
        self, text: Sequence[str], *, pair: str | None = None, truncate: bool = False
    ) -> list[Classification]: ...

    def classify(
        self, text: str | Sequence[str], *, pair: str | None = None, truncate: bool = False
    ) -> Classification | list[Classification]:
        """Classify one text, or each of a list, alone or with a second text after it.

        Args:
            text: one text, or several.
            pair: the second text, such as the one that may follow.
            truncate: whether only the beginning of a text that is too long is read; otherwise it is refused.

        Raises:
            TextTooLong: a text has more tokens than the model takes.
            InputError: a text is not valid Unicode, or a pair is given to a model of single texts.
            ArgumentTypeError: the text is not text.
        """

        def answer(one: str) -> Classification:
            scores = np.exp(self.encoder.run(self.ids(one, truncate, pair)))
            order = np.argsort(-scores, kind="stable")
            return Classification(one, [Label(self.labels[i], float(scores[i])) for i in order], pair)

        return self._each(text, answer)


class Embedder(EncoderTask):
    """One vector per text.

    Args:
        encoder: gives vectors.
        tokenizer: the model's tokenizer.
        prompts: what the model wants before a text, by name, such as ``{"query": "query: "}``.
        default_prompt: the name of the prompt that a text gets where none is asked for.
    """

    def __init__(
        self,
        encoder: Encoder,
        tokenizer: EncoderTokenizer,
        prompts: Mapping[str, str] | None = None,
        default_prompt: str | None = None,
    ):
        super().__init__(encoder, tokenizer)
        self.prompts = dict(prompts or {})
        self.default_prompt = default_prompt

    def prefix(self, prompt: str | None = None) -> str:
        """Return what is written before a text for the prompt of a name; see ``embed``.

        Raises:
            InputError: the model has no prompt of this name.
        """
        name = (self.default_prompt or "") if prompt is None else prompt
        if name in self.prompts or not name:
            return self.prompts.get(name, "")
        known = f"only {', '.join(self.prompts)}" if self.prompts else "it has none"
        raise InputError(f"The model has no prompt {name!r}, {known}.")

    def fits(self, text: str, prompt: str | None = None) -> bool:
        """Return whether the encoder takes all of a text at once, with its prompt."""
        return super().fits(self.prefix(prompt) + text)

    @overload
    def embed(self, text: str, *, prompt: str | None = None, truncate: bool = False) -> Embedding: ...

    @overload
    def embed(
        self, text: Sequence[str], *, prompt: str | None = None, truncate: bool = False
    ) -> list[Embedding]: ...

    def embed(
        self, text: str | Sequence[str], *, prompt: str | None = None, truncate: bool = False
    ) -> Embedding | list[Embedding]:
        """Embed one text, or each of a list.

        Args:
            text: one text, or several.
            prompt: the name of one of the model's ``prompts``, which is written before the text; by default
                its ``default_prompt``, if it has one. ``""`` writes none.
            truncate: whether only the beginning of a text that is too long is read; otherwise it is refused.

        Raises:
            TextTooLong: a text has more tokens than the model takes.
            InputError: a text is not valid Unicode, or the model has no prompt of this name.
            ArgumentTypeError: the text is not text.
        """
        prefix = self.prefix(prompt)
        return self._each(
            text, lambda one: Embedding(one, self.encoder.run(self.ids(one, truncate, prefix=prefix)))
        )


class MaskFiller(EncoderTask):
    """Words behind masks. The mask token of the vocabulary, such as ``[MASK]``, is written in the text."""

    @overload
    def fill_mask(self, text: str, top: int = 5) -> Fillings: ...

    @overload
    def fill_mask(self, text: Sequence[str], top: int = 5) -> list[Fillings]: ...

    def fill_mask(self, text: str | Sequence[str], top: int = 5) -> Fillings | list[Fillings]:
        """Find words for the masks of one text, or of each of a list.

        Args:
            text: one text, or several, with at least one mask each.
            top: how many words for each mask.

        Raises:
            InputError: a text has no mask, or is not valid Unicode.
            TextTooLong: a text has more tokens than the model takes.
            ArgumentError: ``top`` is below 1.
        """
        if isinstance(top, bool) or not isinstance(top, int) or top < 1:
            raise ArgumentError(f"top must be a whole number of at least 1, not {top!r}")
        return self._each(text, lambda one: self._fill(one, top))

    def _fill(self, text: str, top: int) -> Fillings:
        ids = self.ids(text)
        places = [i for i, token in enumerate(ids) if token == self.tokenizer.special_ids["mask"]]
        if not places:
            raise InputError(f"The text has no {self.tokenizer.mask_token}: write it where a word is wanted.")
        scores = [np.exp(self.encoder.run(ids, place)) for place in places]
        best = [np.argsort(-each, kind="stable")[:top] for each in scores]
        filled = list(ids)
        for place, tokens in zip(places, best, strict=True):
            filled[place] = int(tokens[0])
        outputs = []
        for number, place in enumerate(places):
            for token in best[number]:
                chosen = [*filled[:place], int(token), *filled[place + 1 :]]
                piece = self.tokenizer.tokenizer.id_to_token(int(token)) or f"<{token}>"
                score = float(scores[number][token])
                outputs.append(Filling(self.tokenizer.decode(chosen), piece, int(token), score, number))
        return Fillings(text, outputs)


def from_bundle(bundle: Bundle, threads: int = 1) -> Classifier | Embedder | MaskFiller:
    """Make the task of a bundle that has been opened.

    Raises:
        BundleError: a file of the bundle is not what it should be, or may not run on this interpreter.
        ImportError: no interpreter is installed.
    """
    bundle.check_runtime(*runtime())
    manifest = bundle.manifest
    name = f"{bundle.path}/model.tflite"
    model = Model(bundle.model(), threads, name, bundle.weight_cache, manifest["signatures"])
    special_ids = manifest["special_ids"]
    encoder = LiteRTEncoder(model, manifest["buckets"], special_ids["pad"], special_ids["end"])
    config = manifest["model"].get("config", {})
    labels = manifest["model"].get("labels")
    prompts, default = config.get("prompts"), config.get("default_prompt")
    made = make_task(manifest["task"], encoder, read_tokenizer(bundle), labels, prompts, default)
    made.opening = Opening.of(bundle, threads)
    return made


def read_tokenizer(bundle: Bundle) -> EncoderTokenizer:
    """Read the tokenizer of a bundle.

    Raises:
        BundleError: it is not what it should be.
    """
    return EncoderTokenizer.from_json(
        bundle.read(TOKENIZER).decode(errors="replace"),
        bundle.manifest["special_ids"],
        name=f"{bundle.path}/{TOKENIZER}",
        written_specials=bundle.manifest["task"] == "masked-lm",
    )


def make_task(
    task: str,
    encoder: Encoder,
    tokenizer: EncoderTokenizer,
    labels: Sequence[str] | None = None,
    prompts: Mapping[str, str] | None = None,
    default_prompt: str | None = None,
) -> Classifier | Embedder | MaskFiller:
    """Make a task by its name in manifests."""
    if task == "classification":
        return Classifier(encoder, tokenizer, labels or [])
    if task == "embedding":
        return Embedder(encoder, tokenizer, prompts, default_prompt)
    return MaskFiller(encoder, tokenizer)
