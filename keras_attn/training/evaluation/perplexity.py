"""Perplexity of a run's language model on a text."""

from collections.abc import Sequence

from keras_attn.training.config.language import CausalLMConfig, MaskedLMConfig
from keras_attn.training.optimization.objectives import TokenObjective
from keras_attn.training.run_folder import Run
from keras_attn.training.step_batch import mean_loss
from keras_attn.training.tasks.causal_lm import NextTokens
from keras_attn.training.tasks.language_model import perplexity
from keras_attn.training.tasks.masked_lm import MaskedRows

KINDS = {"masked-lm": (MaskedRows, MaskedLMConfig), "causal-lm": (NextTokens, CausalLMConfig)}


def text_scores(run: Run, paragraphs: Sequence[str]) -> dict[str, float]:
    """Compute the scores of a text as those of the validation text in training; masks are always the same.

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
