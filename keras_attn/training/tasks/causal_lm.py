"""Training a causal language model, from text to a run folder."""

from typing import ClassVar

import numpy as np

from keras_attn.data.batching.row_batches import RowBatch
from keras_attn.data.byte_tokenizer import GPT_TOKENS
from keras_attn.device.text.tokenizer import SPECIAL_ROLES, PromptTokenizer
from keras_attn.generation import keras_generator
from keras_attn.models import GPT2, CausalLM
from keras_attn.training.config.language import CausalLMConfig
from keras_attn.training.step_batch import TrainingBatch
from keras_attn.training.tasks.language_model import LanguageTraining, Packed, cut_rows

PROMPT, SAMPLE = 8, 24  # tokens of held-out text, and tokens that the model generates after it
TEMPERATURE, TOP_P = 0.8, 0.9  # of the sample


def next_token_rows(ids: np.ndarray, end: int, length: int) -> list[np.ndarray]:
    """Return rows of `length` tokens and the next one of running text (N,); they overlap by one token."""
    return cut_rows(after_an_end(ids, end), length + 1, length)


def after_an_end(ids: np.ndarray, end: int) -> np.ndarray:
    """Prepend the end-of-text token to running text."""
    return np.concatenate([np.array([end], np.int32), ids])


class NextTokens(Packed):
    """Rows of running text in which each token's target is the next one; every token is a target once."""

    separator = "end"

    def lead(self, ids):
        """Prepend the end-of-text token."""
        return after_an_end(ids, self.special_ids["end"])

    def cut(self, ids, starts):
        """Return rows of the text, each starting with the last token of the previous one."""
        return cut_rows(ids, self.length + 1, self.length), []

    def step_batch(self, batch: RowBatch, rng: np.random.Generator) -> TrainingBatch:
        """Return a batch whose targets are its inputs shifted by one token."""
        wider = RowBatch(batch.width + 1, batch.rows, batch.size, batch.number)
        ids, exists = wider.padded(self.rows, self.special_ids["pad"])
        inputs = {"token_ids": ids[:, :-1], "padding_mask": exists[:, :-1]}
        return TrainingBatch(inputs, ids[:, 1:], exists[:, 1:].astype(np.float32))


class CausalLMTraining(LanguageTraining):
    """The training of a causal language model."""

    config: CausalLMConfig
    packed = NextTokens
    special_tokens = GPT_TOKENS
    roles = ("end",)
    backbones: ClassVar[tuple[type, ...]] = (GPT2,)
    whole = CausalLM
    # The padding token also ends texts, where it is not padding.
    backbone_options: ClassVar[dict] = {"pad_id": None}

    def make_model(self) -> CausalLM:
        """Return the model, and make the generator that continues texts with it."""
        model = super().make_model()
        special_ids = {**dict.fromkeys(SPECIAL_ROLES, self.special_ids["end"]), **self.special_ids}
        self.generator = keras_generator(
            model, PromptTokenizer(self.tokenizer, special_ids), max_source_tokens=PROMPT
        )
        return model

    def evaluate(self) -> dict:
        """Return the perplexity, and show how the model continues a held-out text."""
        row = super().evaluate()
        self.progress.note(f"step {self.step}: {self.sample()}")
        return row

    def final_score(self) -> float:
        """Return the perplexity, without a sample."""
        return super().evaluate()[self.config.metric]

    def sample(self) -> str:
        """Return the beginning of the held-out text and, after a bar, the model's continuation."""
        prompt = self.validation.rows[0][:PROMPT]
        (ends,) = np.nonzero(prompt == self.special_ids["end"])
        prompt = prompt[: ends[1]] if len(ends) > 1 else prompt  # of the first paragraph
        room = min(SAMPLE, self.generator.max_target_tokens)
        found = self.generator.generate(
            self.tokenizer.decode(list(prompt)),
            max_length=room,
            temperature=TEMPERATURE,
            top_p=TOP_P,
            seed=self.step,
            truncate=True,
        )
        return " | ".join(" ".join(text.split()) for text in (found.input, found.text))
