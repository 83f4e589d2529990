"""A Keras model as the device's encoder, so that the device's tasks run where it was trained."""

import functools
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from keras import ops

from keras_attn.compilation import compiled
from keras_attn.device.runtime.encoder import Encoder, of_tokens, segments_of
from keras_attn.device.task_names import RESULTS
from keras_attn.device.tasks.classifier import entailment
from keras_attn.device.tasks.encoder_factory import EncoderObject, make_task
from keras_attn.device.text.tokenizer import EncoderTokenizer
from keras_attn.errors import ArgumentTypeError
from keras_attn.models import (
    MaskedLM,
    QuestionAnswerer,
    TextClassifier,
    TextEmbedder,
    TextScorer,
    TokenClassifier,
)
from keras_attn.models.tasks.own_encoder import OwnEncoder

TASKS = {
    TextClassifier: "classification",
    TextEmbedder: "embedding",
    MaskedLM: "masked-lm",
    TokenClassifier: "token-classification",
    QuestionAnswerer: "question-answering",
    TextScorer: "scoring",
}
Result = TypeVar("Result")
OF_PAIRS = ("classification", "question-answering", "scoring")
"""Tasks whose texts may be two."""


def task_of(model) -> str | None:
    """Return the name that manifests have for an encoder's task; `None` for other models."""
    if isinstance(model, OwnEncoder):
        return model.task
    return next((name for kind, name in TASKS.items() if isinstance(model, kind)), None)


def encoder_result(model):
    """Return the function that computes an encoder's result, which is trained, evaluated and exported.

    Args:
        model: of one of `TASKS`, or `OwnEncoder`.

    Returns:
        A function of token_ids (B, T) int32, padding_mask (B, T) bool, position (B, 1) int32, which only a
        `MaskedLM` reads, and segment_ids (B, T) int32 or `None`: log-probabilities of labels (B, C) or words
        (B, V), of each token's labels (B, T, C) or of each position to be an answer's start and end (B, 2,
        T), embeddings (B, D), or logits (B, 1) of a `TextScorer`. A classifier that knows entailment returns
        logits, which candidates are compared by.
    """
    sized = _sized_result(model)
    return lambda *inputs: sized(*inputs)[0]


def _sized_result(model):
    """Return `encoder_result` with a second result: the largest logit of each row (B,), 0 where unknown."""
    task = task_of(model)

    def result(token_ids, padding_mask, position, segment_ids=None):
        if isinstance(model, OwnEncoder):
            found = model.result(token_ids, padding_mask, position, segment_ids)
            return found, ops.zeros_like(found[:, 0])
        inputs = {"token_ids": token_ids, "padding_mask": padding_mask}
        if segment_ids is not None:
            inputs["segment_ids"] = segment_ids
        if task == "masked-lm":
            inputs["mask_positions"] = position
            hidden, _ = model.hidden(inputs, training=False)
            return model.log_probabilities(hidden[:, 0]), model.largest_logit(hidden[:, 0])
        outputs = model(inputs, training=False)
        if task in ("embedding", "scoring"):
            return outputs, ops.zeros_like(outputs[:, 0])
        largest = ops.max(ops.reshape(outputs, (ops.shape(outputs)[0], -1)), axis=-1)
        if task != "classification":
            return ops.log_softmax(outputs), largest
        if model.multi_label:
            return ops.log_sigmoid(outputs), ops.zeros_like(largest)
        return (outputs if entailment(model.labels) is not None else ops.log_softmax(outputs)), largest

    return result


class KerasEncoder:
    """`keras_attn.device.runtime.encoder.Encoder` over a Keras model; texts are padded to a few lengths.

    Args:
        model: of one of `TASKS`, or `OwnEncoder`.
        lengths: ascending ints, the lengths that are compiled. BigBird's outputs depend on them.
        end_id: int, what ends the first of two texts; without it pairs cannot be read.
        segments: whether what follows that end has segment 1, if the model has segments.
    """

    def __init__(self, model, lengths: Sequence[int], end_id: int | None = None, segments: bool = True):
        self.model = model
        self.lengths = list(lengths)
        self.end_id = end_id
        self.result_name = RESULTS[task_of(model) or ""]
        segments = segments and self.reads_pairs and segmented(model)
        result = _sized_result(model)
        pad_id = model.pad_id if isinstance(model, OwnEncoder) else model.backbone.pad_id
        self._pad_id = pad_id or 0

        def run(token_ids, padding_mask, position, segment_ids):
            return result(token_ids, padding_mask, position, segment_ids if segments else None)

        self._run = compiled(model, run)

    @property
    def max_tokens(self) -> int:
        """The largest length."""
        return self.lengths[-1]

    @property
    def reads_pairs(self) -> bool:
        """Whether texts may be two, distinguished by segments or by the tokens between them."""
        if isinstance(self.model, OwnEncoder):
            two = self.model.reads_pairs
        else:
            two = task_of(self.model) in OF_PAIRS and not self.model.backbone.causal
        return two and self.end_id is not None

    def run(self, ids: Sequence[int], position: int = 0) -> np.ndarray:
        """Compute the result of one text."""
        return of_tokens(self.result_name, self.run_batch([ids], [position])[0], len(ids))

    def run_sized(self, ids: Sequence[int], position: int = 0) -> tuple[np.ndarray, float]:
        """Compute the result of one text and, for log-probabilities, the largest of their logits."""
        results, logits = self._computed([ids], [position])
        return of_tokens(self.result_name, results[0], len(ids)), float(logits[0])

    def run_batch(self, texts: Sequence[Sequence[int]], positions: Sequence[int] | None = None) -> np.ndarray:
        """Compute the results of texts that are padded to the same length, (N, ...)."""
        return self._computed(texts, positions)[0]

    def _computed(
        self, texts: Sequence[Sequence[int]], positions: Sequence[int] | None
    ) -> tuple[np.ndarray, np.ndarray]:
        ids, mask = self.padded(texts)
        where = np.zeros(len(texts), np.int32) if positions is None else np.asarray(positions, np.int32)
        segments = segments_of(ids, self.end_id) * mask
        tensors = (ops.convert_to_tensor(array) for array in (ids, mask, where[:, None], segments))
        results, logits = (np.asarray(ops.convert_to_numpy(each), np.float32) for each in self._run(*tensors))
        return results, logits

    def heads(self, ids: Sequence[int]) -> np.ndarray:
        """Compute every head's attention in one text of T tokens: (layers, heads, T, T) float32."""
        token_ids, mask = self.padded([ids])
        inputs = {"token_ids": ops.convert_to_tensor(token_ids), "padding_mask": ops.convert_to_tensor(mask)}
        outputs = self.model.backbone(inputs, training=False, return_attention_scores=True)
        scores = np.asarray(ops.convert_to_numpy(outputs["attention_scores"]), np.float32)  # (L, 1, H, T, T)
        return scores[:, 0, :, : len(ids), : len(ids)]

    def padded(self, texts: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
        """Return ids and mask, (N, T), of the smallest length that holds all texts."""
        width = next(length for length in self.lengths if length >= max(map(len, texts)))
        ids = np.full((len(texts), width), self._pad_id, np.int32)
        mask = np.zeros(ids.shape, bool)
        for row, text in enumerate(texts):
            ids[row, : len(text)], mask[row, : len(text)] = text, True
        return ids, mask


class BatchedEncoder:
    """An encoder that computes in batches what a task asks it for one text at a time.

    Args:
        encoder: computes the batches.
        batch_size: int, texts at a time.
    """

    def __init__(self, encoder: KerasEncoder, batch_size: int = 32):
        self.encoder = encoder
        self.batch_size = batch_size
        self.max_tokens, self.reads_pairs = encoder.max_tokens, encoder.reads_pairs
        self._results: dict[tuple[int, ...], np.ndarray] = {}
        self._asked: dict[tuple[int, ...], None] | None = None

    def answers(self, ask: Callable[[], Result]) -> Result:
        """Return what `ask` returns, which runs twice: what it reads must not depend on results.

        Args:
            ask: calls a task over this encoder.
        """
        self._asked = {}
        ask()
        asked, self._asked = sorted(self._asked, key=len), None
        try:
            for first in range(0, len(asked), self.batch_size):
                some = asked[first : first + self.batch_size]
                # Every batch has as many rows, so that one function is compiled for each length.
                rows = [*some, *[some[-1]] * (self.batch_size - len(some))]
                results = self.encoder.run_batch(rows)
                for ids, result in zip(some, results[: len(some)], strict=True):
                    self._results[ids] = of_tokens(self.encoder.result_name, result, len(ids))
            return ask()
        finally:
            self._results.clear()

    def run(self, ids: Sequence[int], position: int = 0) -> np.ndarray:
        """Return the result of a text; while the texts are collected, that of some other one."""
        if self._asked is None:
            return self._results[tuple(ids)]
        self._asked[tuple(ids)] = None
        return self._blank(len(ids))

    @functools.cached_property
    def _like(self) -> np.ndarray:
        return self.encoder.run_batch([[0]] * self.batch_size)[0]

    def _blank(self, length: int) -> np.ndarray:
        if self.encoder.result_name == "token_scores":
            return np.zeros((length, self._like.shape[-1]), np.float32)
        return np.zeros((2, length) if self.encoder.result_name == "position_scores" else self._like.shape)

    def heads(self, ids: Sequence[int]) -> np.ndarray:
        """Compute every head's attention in one text."""
        return self.encoder.heads(ids)


def segmented(model) -> bool:
    """Return whether a model distinguishes two texts by segments."""
    return isinstance(model, OwnEncoder) or getattr(model.backbone, "num_segments", 0) > 1


def keras_task(model, tokenizer: EncoderTokenizer, lengths: Sequence[int]) -> EncoderObject:
    """Return a Keras model as the device's object of its task, such as one with `classify` or `entities`."""
    if task_of(model) is None:
        names = ", ".join(kind.__name__ for kind in TASKS)
        raise ArgumentTypeError(f"the model must be one of {names}, not a {type(model).__name__}")
    encoder = KerasEncoder(model, lengths, tokenizer.special_ids["end"], tokenizer.marks_segments)
    return keras_object(model, tokenizer, encoder)


def keras_object(model, tokenizer: EncoderTokenizer, encoder: Encoder) -> EncoderObject:
    """Return the device's object of a Keras model's task over an encoder that computes with the model."""
    task = task_of(model) or ""
    config = {} if isinstance(model, OwnEncoder) else model.get_config()
    return make_task(task, encoder, tokenizer, getattr(model, "labels", None), config)
