"""Perplexity of language models on a text, as runs and as bundles."""

import math
from collections.abc import Sequence
from typing import Any

from keras_attn.data.byte_tokenizer import encode_stream
from keras_attn.device.proof.perplexity import text_loss
from keras_attn.loading import Opened
from keras_attn.training.config.language import CausalLMConfig, MaskedLMConfig
from keras_attn.training.optimization.objectives import TokenObjective
from keras_attn.training.run_folder import Run
from keras_attn.training.step_batch import mean_loss
from keras_attn.training.tasks.causal_lm import NextTokens, next_token_rows
from keras_attn.training.tasks.language_model import perplexity
from keras_attn.training.tasks.masked_lm import MaskedRows

KINDS = {"masked-lm": (MaskedRows, MaskedLMConfig), "causal-lm": (NextTokens, CausalLMConfig)}


def run_perplexity(run: Run, paragraphs: Sequence[str]) -> dict[str, Any]:
    """Score a text as the validation text was scored in training; masks are the same every time.

    Args:
        run: of a masked or a causal language model.
        paragraphs: the text.

    Returns:
        `perplexity`, the mean `loss` in nats, the number of `targets` that were predicted, and of the
        `sentences` (paragraphs).
    """
    packed, config = KINDS[run.config["task"]]
    text = packed(run.tokenizer, run.special_ids, config(**run.config["training"]), paragraphs)
    task = TokenObjective(run.model)
    task.compile()
    loss = mean_loss(task, text.in_order())
    targets = sum(batch.count for batch in text.in_order())
    return {
        "perplexity": perplexity(loss),
        "loss": round(loss, 5),
        "targets": targets,
        "sentences": len(paragraphs),
    }


def generator_perplexity(opened: Opened, paragraphs: Sequence[str]) -> dict[str, Any]:
    """Score a text as `run_perplexity` does, in rows no longer than what the model adds to a prompt."""
    generator = opened.task
    longest = min(opened.made_from.get("max_tokens", 1024), generator.max_target_tokens)
    end = generator.tokenizer.special_ids["end"]
    ids, _ = encode_stream(generator.tokenizer.tokenizer, paragraphs, end)
    rows = [row.tolist() for row in next_token_rows(ids, end, longest)]
    loss, targets = text_loss(generator.step_models, rows, generator.tokenizer.special_ids)
    return {
        "perplexity": round(math.exp(loss), 4),
        "loss": round(loss, 5),
        "targets": targets,
        "sentences": len(paragraphs),
    }
