"""Continuation of text, over any language model: a bundle's, or a Keras model's where it was trained."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np

from keras_attn.device.errors import InputError, TextTooLong
from keras_attn.device.files.bundle import Bundle
from keras_attn.device.reopening import Opening, Reopened
from keras_attn.device.search.language_model import open_decoder
from keras_attn.device.search.sampling import Sampling, continue_prompt
from keras_attn.device.search.search import StepModel
from keras_attn.device.tasks.result_views import shortened
from keras_attn.device.tasks.translation import Decoded, Output
from keras_attn.device.text.text_stream import parts_of_text
from keras_attn.device.text.tokenizer import PromptTokenizer, never_produced
from keras_attn.errors import ArgumentError, ArgumentTypeError

DEFAULT_MAX_LENGTH = 50


@dataclass(frozen=True)
class Generation(Decoded):
    """A text and its continuation; ``str()`` is both joined.

    There is one output: its ``text`` is what was added, its ``score`` the mean log-probability of its tokens.
    """

    def __str__(self) -> str:
        return self.input + self.text

    def __repr__(self) -> str:
        return f"Generation({shortened(self.input)}, text={shortened(self.text)}, score={self.score:.3f})"


class Generator(Reopened):
    """Continues texts with any language model.

    Threads may share one; those of a bundle take turns token by token. Streams may be read during other
    calls, and abandoned at any time.

    Args:
        step_models: given the most steps of a text, returns the step model for it.
        tokenizer: the model's tokenizer.
        max_source_tokens: the most tokens of a prompt.
        max_target_tokens: the most tokens that may follow, the end token counted.
        multiple: prompts are padded to multiples of this, so that a compiled model sees few shapes.
        head_weights: computes every head's attention in a prompt's tokens, (layers, heads, T, T) float32.
    """

    def __init__(
        self,
        step_models: Callable[[int], StepModel],
        tokenizer: PromptTokenizer,
        *,
        max_source_tokens: int,
        max_target_tokens: int,
        multiple: int = 1,
        head_weights: Callable[[Sequence[int]], np.ndarray] | None = None,
    ):
        self.step_models = step_models
        self.tokenizer = tokenizer
        self.max_source_tokens = max_source_tokens
        self.max_target_tokens = max_target_tokens
        self.multiple = multiple
        self.head_weights = head_weights

    @classmethod
    def from_bundle(cls, bundle: Bundle, threads: int = 1) -> Generator:
        """Make a generator of a bundle that has been opened.

        Raises:
            BundleError: a file of the bundle is not what it should be, or may not run on this interpreter.
            MissingPackage: no interpreter is installed.
        """
        steps, tokenizer = open_decoder(bundle, PromptTokenizer, threads)
        made = cls(
            steps.for_length,
            tokenizer,
            max_source_tokens=bundle.manifest["max_source_tokens"],
            max_target_tokens=steps.max_target_tokens,
            head_weights=getattr(steps, "heads", None),
        )
        made.opening = Opening.of(bundle, threads)
        return made

    @overload
    def generate(
        self,
        text: str,
        *,
        max_length: int | None = None,
        temperature: float = 0.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int | None = None,
        truncate: bool = False,
    ) -> Generation: ...

    @overload
    def generate(
        self,
        text: Sequence[str],
        *,
        max_length: int | None = None,
        temperature: float = 0.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int | None = None,
        truncate: bool = False,
    ) -> list[Generation]: ...

    def generate(self, text: str | Sequence[str], **options: Any) -> Generation | list[Generation]:
        """Continue one text, or each of a list.

        An empty text is continued as the beginning of any text.

        Args:
            text: one text, or several.
            **options: as for ``stream``; with a seed, each text of a list is continued as in a separate call.

        Returns:
            A Generation, or a list of them.

        Raises:
            TextTooLong, InputError, TypeError, ValueError: as ``stream``.
        """
        if isinstance(text, str):
            return self._generation(text, options)
        if not isinstance(text, Sequence) or isinstance(text, bytes | bytearray):
            raise ArgumentTypeError(f"text must be a string or a list of strings, not {type(text).__name__}")
        return [self._generation(one, options) for one in text]

    def stream(
        self,
        text: str,
        *,
        max_length: int | None = None,
        temperature: float = 0.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int | None = None,
        truncate: bool = False,
    ) -> Iterator[str]:
        """Continue a text and yield what is added as it is produced; joined, it is ``generate``'s text.

        Args:
            text: the beginning.
            max_length: the most tokens to add, the end token counted; by default 50, or the model's limit.
            temperature: sampling temperature; 0 is greedy.
            top_k: sample from the k most likely tokens.
            top_p: nucleus sampling, from the smallest set of tokens with this probability mass.
            seed: random seed; by default each call samples anew.
            truncate: whether to read only the end of a text that is too long; otherwise it raises
                TextTooLong.

        Raises:
            TextTooLong: the text has more tokens than the model takes.
            InputError: the text is not valid Unicode.
            ArgumentTypeError: the text is not text.
            ArgumentError: an option is out of its range, or over the model's limit.
        """
        _, tokens = self._begin(
            text,
            max_length=max_length,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            seed=seed,
            truncate=truncate,
        )
        return parts_of_text(self.tokenizer.decode, (token for token, _ in tokens))

    def heads(self, text: str, truncate: bool = False) -> tuple[list[str], np.ndarray]:
        """Return the pieces of a text, T of them, and every head's attention, (layers, heads, T, T) float32.

        Pieces are those of the tokenizer's ``text_pieces``: ``▁`` marks where a word begins.

        Raises:
            BundleError: the bundle was exported without its heads.
            TextTooLong: there are more tokens than the model takes, and ``truncate``, with which only the
                end is read, is not set.
            InputError: the text is empty, or not valid Unicode.
        """
        ids = self._prompt(text, truncate)
        if self.head_weights is None or not ids:
            raise InputError(
                "This model was loaded without the attention of its heads." if ids else "The text is empty."
            )
        pieces = self.tokenizer.text_pieces(self.tokenizer.ending(text, self.max_source_tokens))
        return pieces[-len(ids) :], self.head_weights(ids)

    def _prompt(self, text: str, truncate: bool) -> list[int]:
        """Return the tokens of a text, or of its end."""
        limit = self.max_source_tokens
        read = (self.tokenizer.ending if truncate else self.tokenizer.beginning)(text, limit)
        ids = self.tokenizer.encode(read)
        characters = len(text) if len(read) < len(text) else None
        if (len(ids) > limit or characters) and not truncate:
            raise TextTooLong(len(ids), limit, truncates=True, characters=characters)
        return ids[-limit:]

    def _generation(self, text: str, options: dict[str, Any]) -> Generation:
        source_ids, tokens = self._begin(text, **options)
        end = self.tokenizer.special_ids["end"]
        added = list(tokens)
        ids = [token for token, _ in added if token != end]
        score = float(np.mean([log_prob for _, log_prob in added]))
        output = Output(self.tokenizer.decode(ids), score, ids, self.tokenizer)
        return Generation(text, [output], source_ids)

    def _begin(
        self,
        text: str,
        *,
        max_length: int | None = None,
        temperature: float = 0.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int | None = None,
        truncate: bool = False,
    ) -> tuple[list[int], Iterator[tuple[int, float]]]:
        """Check all arguments; return the prompt's ids and an iterator over the tokens that follow."""
        if not isinstance(text, str):
            raise ArgumentTypeError(f"text must be a string, not {type(text).__name__}")
        sampling = Sampling(temperature, top_k, top_p)
        rng = np.random.default_rng(seed)
        limit = self._limit(max_length)
        special = self.tokenizer.special_ids
        ids = self._prompt(text, truncate) or [special["end"]]
        width = min(-(-len(ids) // self.multiple) * self.multiple, self.max_source_tokens)
        prompt, mask = np.full((1, width), special["pad"], np.int32), np.zeros((1, width), bool)
        prompt[0, : len(ids)], mask[0, : len(ids)] = ids, True
        tokens = continue_prompt(
            self.step_models(limit),
            prompt,
            mask,
            start_id=special["start"],
            end_id=special["end"],
            max_length=limit,
            sampling=sampling,
            rng=rng,
            suppress=never_produced(special),
        )
        return ids, tokens

    def _limit(self, max_length: Any) -> int:
        if max_length is None:
            return min(DEFAULT_MAX_LENGTH, self.max_target_tokens)
        if isinstance(max_length, bool) or not isinstance(max_length, int | np.integer) or max_length < 1:
            raise ArgumentError(f"max_length must be a whole number of at least 1, not {max_length!r}")
        if max_length > self.max_target_tokens:
            raise ArgumentError(
                f"max_length is {max_length}, but the model adds at most {self.max_target_tokens} tokens."
            )
        return int(max_length)
