"""The step protocol over a Keras model, so that the device's search decodes it on any backend."""

from collections.abc import Sequence

import numpy as np
from keras import ops, tree

from keras_attn.compilation import compiled
from keras_attn.device.search import Hypothesis, search


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
        """Give the state whose row i is this one's row `rows[i]`."""
        rows = np.asarray(rows, np.int32)
        sentences = self.sentences[rows]
        memory = self.memory
        # Beams move within their sentence, whose memory is the same for all of them.
        if len(rows) != len(self.sentences) or not np.array_equal(sentences, self.sentences):
            memory = self._model.gather(memory, rows)
        rows = rows if self.rows is None else self.rows[rows]
        return KerasState(self._model, memory, self.state, sentences, rows, self._alignment)


class KerasStepModel:
    """`keras_attn.device.search.StepModel` over a translation model.

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


def _gather(tensors, rows):
    return tree.map_structure(lambda tensor: ops.take(tensor, rows, axis=0), tensors)


def _numpy(tensor):
    return np.asarray(ops.convert_to_numpy(tensor), np.float32)


def generate(
    model,
    sources: Sequence[Sequence[int]],
    *,
    special_ids: dict[str, int],
    beam: int = 1,
    max_length: int | None = None,
    length_penalty: float = 1.0,
    batch_size: int = 64,
    multiple: int = 16,
    alignments: bool = False,
    step_models: dict[int, KerasStepModel] | None = None,
    progress=None,
) -> list[Hypothesis]:
    """Find the best target of each source with a Keras model, batched by length.

    Args:
        model: `keras_attn.models.EncoderDecoder`.
        sources: token ids of each source, end token included.
        special_ids: ids of `pad`, `start` and `end`.
        beam: hypotheses kept per sentence.
        max_length: the most target tokens; by default twice the source's length plus 10.
        length_penalty: exponent of the length that divides a log-probability.
        batch_size: sentences decoded together.
        multiple: source lengths are padded to multiples of this, so that few shapes are compiled.
        alignments: whether to keep the attention over the source.
        step_models: compiled step models by maximal length, kept by the caller to be used again.
        progress: called with the number of finished sentences after each batch.

    Returns:
        The best hypothesis of each source, in the order of `sources`.
    """
    step_models = {} if step_models is None else step_models
    results: list[Hypothesis | None] = [None] * len(sources)
    padded = [-(-len(source) // multiple) * multiple for source in sources]
    order = sorted(range(len(sources)), key=lambda i: (padded[i], len(sources[i])))
    while order:
        width = padded[order[0]]
        chosen = [i for i in order[:batch_size] if padded[i] == width]
        order = order[len(chosen) :]
        limit = (2 * width + 10) if max_length is None else max_length
        room = _fitting(limit, getattr(model, "max_sequence_length", None))
        step_model = step_models.setdefault(room, KerasStepModel(model, room))
        # Rows without a sentence keep the shape; they hold one end token, and their results are dropped.
        ids = np.full((batch_size, width), special_ids["pad"], np.int32)
        ids[:, 0] = special_ids["end"]
        limits = np.ones(batch_size, np.int32)
        for row, i in enumerate(chosen):
            ids[row, : len(sources[i])] = sources[i]
            limits[row] = min(room, 2 * len(sources[i]) + 10 if max_length is None else max_length)
        found = search(
            step_model,
            ids,
            _mask(ids, [len(sources[i]) for i in chosen]),
            start_id=special_ids["start"],
            end_id=special_ids["end"],
            beam=beam,
            max_length=limits,
            length_penalty=length_penalty,
            alignments=alignments,
            suppress=(special_ids["pad"], special_ids["start"]),
        )
        for row, i in enumerate(chosen):
            results[i] = found[row][0]
        if progress is not None:
            progress(len(sources) - len(order))
    return [result for result in results if result is not None]


def _fitting(limit, max_sequence_length):
    return limit if max_sequence_length is None else min(limit, max_sequence_length)


def _mask(ids, lengths):
    lengths = np.array(lengths + [1] * (len(ids) - len(lengths)))
    return np.arange(ids.shape[1])[None, :] < lengths[:, None]
