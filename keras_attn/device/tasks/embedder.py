"""Embedding of texts: the embedder and its results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np

from keras_attn.device.errors import InputError
from keras_attn.device.runtime.encoder import Encoder
from keras_attn.device.tasks.encoder_task import EncoderTask
from keras_attn.device.tasks.result_views import shortened
from keras_attn.device.text.tokenizer import EncoderTokenizer
from keras_attn.errors import ArgumentError

_SHOWN = 4  # numbers of a vector in its repr


@dataclass(frozen=True)
class Embedding:
    """The vector of a text, (D,) float32."""

    input: str
    embedding: np.ndarray

    def __repr__(self) -> str:
        first = ", ".join(f"{value:.4g}" for value in self.embedding[:_SHOWN])
        more = ", …" if len(self.embedding) > _SHOWN else ""
        return f"Embedding({shortened(self.input)}, [{first}{more}], size={len(self.embedding)})"

    def __str__(self) -> str:
        return " ".join(f"{value:.6g}" for value in self.embedding)

    def to_json(self) -> dict[str, Any]:
        """Return what ``--json`` prints."""
        return {"input": self.input, "outputs": [{"embedding": self.embedding.tolist()}]}


class Embedder(EncoderTask):
    """Computes one vector per text.

    Args:
        encoder: computes vectors.
        tokenizer: the model's tokenizer.
        prompts: texts that the model expects before its input, by name, such as ``{"query": "query: "}``.
        default_prompt: the name of the prompt that is used by default.
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
        """Return the prompt of a name; see ``embed``.

        Raises:
            InputError: the model has no prompt of this name.
        """
        name = (self.default_prompt or "") if prompt is None else prompt
        if name in self.prompts or not name:
            return self.prompts.get(name, "")
        known = f"choose {', '.join(self.prompts)}" if self.prompts else "it has none"
        raise InputError(f"The model has no prompt {name!r}; {known}.")

    def fits(self, text: str, prompt: str | None = None) -> bool:
        """Return whether the encoder takes all of a text at once, with its prompt."""
        return super().fits(self.prefix(prompt) + text)

    @overload
    def embed(
        self, text: str, *, prompt: str | None = None, truncate: bool = False, dimensions: int | None = None
    ) -> Embedding: ...

    @overload
    def embed(
        self,
        text: Sequence[str],
        *,
        prompt: str | None = None,
        truncate: bool = False,
        dimensions: int | None = None,
    ) -> list[Embedding]: ...

    def embed(
        self,
        text: str | Sequence[str],
        *,
        prompt: str | None = None,
        truncate: bool = False,
        dimensions: int | None = None,
    ) -> Embedding | list[Embedding]:
        """Embed one text, or each of a list.

        Args:
            text: one text, or several.
            prompt: the name of one of the model's ``prompts``, which is written before the text; by default
                its ``default_prompt``, if it has one. ``""`` writes none.
            truncate: whether to read only the beginning of a text that is too long; otherwise it raises.
            dimensions: how many of a vector's first values to keep, for models whose vectors may be cut
                (Kusupati et al., 2022, arXiv:2205.13147), as sentence-transformers' ``truncate_dim``: the
                rest is not scaled again. By default all.

        Raises:
            TextTooLong: a text has more tokens than the model takes.
            InputError: a text is not valid Unicode, the model has no prompt of this name, or its vectors have
                fewer values.
            ArgumentError: ``dimensions`` is not a whole number of at least 1.
            ArgumentTypeError: a text is not a string.
        """
        prefix = self.prefix(prompt)
        if dimensions is not None and (
            isinstance(dimensions, bool) or not isinstance(dimensions, int) or dimensions < 1
        ):
            raise ArgumentError(f"dimensions must be a whole number of at least 1, not {dimensions!r}")

        def answer(one: str) -> Embedding:
            vector = self.encoder.run(self.ids(one, truncate, prefix=prefix))
            if dimensions is not None and dimensions > len(vector):
                raise InputError(
                    f"The model's vectors have {len(vector)} values, and {dimensions} were asked for."
                )
            return Embedding(one, vector[:dimensions])

        return self.answer_each(text, answer)
