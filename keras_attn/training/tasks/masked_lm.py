"""Training a masked language model, from text to a run folder."""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from keras_attn.data.batching.row_batches import RowBatch
from keras_attn.data.byte_tokenizer import BERT_TOKENS
from keras_attn.models import Bert, MaskedLM
from keras_attn.training.config.language import MaskedLMConfig
from keras_attn.training.step_batch import TrainingBatch
from keras_attn.training.tasks.language_model import LanguageTraining, Packed, cut_rows
from keras_attn.training.tasks.masking import Masker


@dataclasses.dataclass(frozen=True)
class Framed(Sequence[np.ndarray]):
    """Rows with one element added before and after each, when a row is read.

    Attributes:
        rows: arrays (T,).
        before, after: scalars.
    """

    rows: Sequence[np.ndarray]
    before: int | bool
    after: int | bool

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index):
        row = self.rows[index]
        return np.concatenate([[self.before], row, [self.after]]).astype(row.dtype)


class MaskedRows(Packed):
    """Rows of `[CLS]`, running text, `[SEP]`, masked differently in every epoch."""

    separator = "sep"

    def __init__(self, tokenizer, special_ids, config, paragraphs, folder=None):
        super().__init__(tokenizer, special_ids, config, paragraphs, folder)
        self.masker = Masker(
            self.vocabulary_size,
            special_ids["mask"],
            set(special_ids.values()),
            config.mask_rate,
            config.whole_words,
        )

    def cut(self, ids, starts):
        """Return rows of the text, with room for `[CLS]` and `[SEP]`."""
        cls, sep = (self.special_ids[role] for role in ("cls", "sep"))
        rows, marks = (cut_rows(values, self.length - 2) for values in (ids, starts))
        return Framed(rows, cls, sep), Framed(marks, True, True)

    def step_batch(self, batch: RowBatch, rng: np.random.Generator) -> TrainingBatch:
        """Return a masked batch."""
        token_ids, exists = batch.padded(self.rows, self.special_ids["pad"])
        starts, _ = batch.padded(self.starts, 1)
        masked, positions, targets, weights = self.masker(token_ids, starts.astype(bool), rng)
        inputs = {"token_ids": masked, "padding_mask": exists, "mask_positions": positions}
        return TrainingBatch(inputs, targets, weights)


class MaskedLMTraining(LanguageTraining):
    """The training of a masked language model."""

    config: MaskedLMConfig
    packed = MaskedRows
    special_tokens = BERT_TOKENS
    roles = ("cls", "sep", "mask")
    backbones: ClassVar[tuple[type, ...]] = (Bert,)
    whole = MaskedLM
    # Without next-sentence prediction a pooler would not be trained.
    backbone_options: ClassVar[dict] = {"pooler": False}

    def make_model(self) -> MaskedLM:
        """Return the model."""
        model = super().make_model()
        for layer in (model.backbone.pooler_dense, model.next_sentence_dense):
            if layer is not None:
                layer.trainable = False  # it is not used
        return model
