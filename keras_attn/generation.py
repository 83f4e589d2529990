"""The step protocol over a Keras model, so that the device's search decodes it on any backend."""

import functools

import numpy as np
from keras import ops, tree

from keras_attn.compilation import compiled
from keras_attn.device.search.language_model import Prompts
from keras_attn.device.tasks.generator import Generator
from keras_attn.device.tasks.translator import Translator
from keras_attn.device.text.tokenizer import PromptTokenizer, Tokenizer
from keras_attn.models import GPT2

_UNLIMITED = 512
"""Tokens of a prompt, and as many that follow, where the model has no limit."""


class KerasState:
    """Decoding state of R rows: the memory of each row's sentence, what changes step by step, and the order.

    Reordering is delayed to the next step, where it is compiled together with the model.
    """

    def __init__(self, model, memory, state, sentences, rows=None, alignment=None):
        self._model = model
        self.memory = memory
        self.state = state
        self.sentences = sentences  # which sentence each row belongs to, (R,)
        self.rows = rows
        self._alignment = alignment

    @property
    def alignment(self):
        """Attention of the last step over the source, float32 (R, S), or `None`."""
        return None if self._alignment is None else _numpy(self._alignment)

    def select(self, rows):
        """Return the state whose row i is this one's row `rows[i]`."""
        rows = np.asarray(rows, np.int32)
        sentences = self.sentences[rows]
        memory = self.memory
        # Beams move within their sentence, whose memory is the same for all of them.
        if len(rows) != len(self.sentences) or not np.array_equal(sentences, self.sentences):
            memory = self._model.gather(memory, rows)
        rows = rows if self.rows is None else self.rows[rows]
        return KerasState(self._model, memory, self.state, sentences, rows, self._alignment)


class KerasStepModel:
    """`keras_attn.device.search.search.StepModel` over a translation model.

    Compiled once per shape: give batches of few shapes.

    Args:
        model: `keras_attn.models.EncoderDecoder`.
        max_length: int, the most steps that a search will take.
    """

    def __init__(self, model, max_length):
        self.max_length = max_length

        def start(source_ids, source_mask):
            return model.start(source_ids, source_mask, max_length)

        def step(tokens, memory, state):
            return model.step(tokens, memory, state)

        def step_selected(tokens, rows, memory, state):
            return model.step(tokens, memory, _gather(state, rows))

        self._start = compiled(model, start)
        self._step = compiled(model, step)
        self._step_selected = compiled(model, step_selected)
        self.gather = compiled(model, _gather)

    def start(self, source_ids, source_mask):
        """Encode sentences (B, S)."""
        memory, state = self._start(
            ops.convert_to_tensor(np.asarray(source_ids, np.int32)),
            ops.convert_to_tensor(np.asarray(source_mask, bool)),
        )
        return KerasState(self, memory, state, np.arange(len(source_ids)))

    def step(self, tokens, state):
        """Score the next token of each row: float32 log-probabilities (R, V), and the new state."""
        tokens = ops.convert_to_tensor(np.asarray(tokens, np.int32))
        if state.rows is None:
            scores, alignment, new = self._step(tokens, state.memory, state.state)
        else:
            rows = ops.convert_to_tensor(state.rows)
            scores, alignment, new = self._step_selected(tokens, rows, state.memory, state.state)
        return _numpy(scores), KerasState(self, state.memory, new, state.sentences, None, alignment)


class KerasLanguageModel(Prompts, KerasStepModel):
    """`KerasStepModel` over a `DecoderOnly` or `GPT2`; sources are prompts."""


def keras_step_model_class(task: str) -> type[KerasStepModel]:
    """Return the class that decodes Keras models of a task, by its name in manifests."""
    return KerasLanguageModel if task == "generation" else KerasStepModel


def _gather(tensors, rows):
    return tree.map_structure(lambda tensor: ops.take(tensor, rows, axis=0), tensors)


def _numpy(tensor):
    return np.asarray(ops.convert_to_numpy(tensor), np.float32)


def keras_translator(
    model,
    tokenizer: Tokenizer,
    *,
    max_source_tokens: int,
    max_target_tokens: int | None = None,
    batch_size: int = 64,
    multiple: int = 16,
    force_end: bool = False,
    early_stopping: bool = True,
    min_length: int = 0,
    no_repeat_ngram: int = 0,
) -> Translator:
    """Return a Keras model as the device's `Translator`: the same text handling, search and results.

    Args:
        model: `keras_attn.models.EncoderDecoder`.
        tokenizer: the model's tokenizer.
        max_source_tokens: int, longer texts are cut at sentence ends.
        max_target_tokens: int, longest output; by default the model's number of positions.
        batch_size: int, sentences decoded together.
        multiple: int, lengths are padded to multiples of this, so that few shapes are compiled.
        force_end: whether a translation that reaches its limit is searched as one that ends there.
        early_stopping: whether a beam search ends as soon as all hypotheses have finished.
        min_length: int, tokens to produce before a translation may end.
        no_repeat_ngram: int, length of the sequences of tokens that do not repeat; 0 for no such rule.
    """
    longest = getattr(model, "max_sequence_length", None)
    max_target_tokens = longest if max_target_tokens is None else max_target_tokens
    compiled_for = functools.cache(lambda slots: KerasStepModel(model, slots))

    def step_models(max_length):
        slots = -(-max_length // multiple) * multiple
        return compiled_for(slots if longest is None else min(slots, longest))

    return Translator(
        step_models,
        tokenizer,
        max_source_tokens=max_source_tokens if longest is None else min(longest, max_source_tokens),
        max_target_tokens=max_target_tokens,
        batch_size=batch_size,
        multiple=multiple,
        force_end=force_end,
        early_stopping=early_stopping,
        min_length=min_length,
        no_repeat_ngram=no_repeat_ngram,
    )


def keras_generator(
    model,
    tokenizer: PromptTokenizer,
    *,
    max_source_tokens: int | None = None,
    max_target_tokens: int | None = None,
    multiple: int = 16,
) -> Generator:
    """Return a Keras model as the device's `Generator`: `generate`, `stream` and `heads`.

    Args:
        model: `keras_attn.models.DecoderOnly` or `GPT2`.
        tokenizer: the model's tokenizer.
        max_source_tokens: int, longest prompt; by default half of the model's positions, or 512 if it has no
            limit.
        max_target_tokens: int, most new tokens; by default what `max_source_tokens` leaves, or as many.
        multiple: int, lengths are padded to multiples of this, so that few shapes are compiled.
    """
    longest = getattr(model, "max_sequence_length", None)
    most = max_source_tokens or (_UNLIMITED if longest is None else longest // 2)
    slots: int = (max_target_tokens or most) if longest is None else longest - most
    compiled_for = functools.cache(lambda steps: KerasLanguageModel(model, steps))

    def heads(ids):
        inputs = {"token_ids": ops.convert_to_tensor(np.asarray([ids], np.int32))}
        backbone = getattr(model, "backbone", model)
        return _numpy(backbone(inputs, return_attention_scores=True)["attention_scores"])[:, 0]

    return Generator(
        lambda max_length: compiled_for(min(slots, -(-max_length // multiple) * multiple)),
        tokenizer,
        max_source_tokens=most,
        max_target_tokens=max_target_tokens or slots,
        multiple=multiple,
        head_weights=heads if isinstance(getattr(model, "backbone", model), GPT2) else None,
    )
