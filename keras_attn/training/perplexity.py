"""How well a language model of a run folder predicts a text."""

from collections.abc import Sequence

from keras_attn.training.batch import mean_loss
from keras_attn.training.causal_lm import NextTokens
from keras_attn.training.language import perplexity
from keras_attn.training.masked_lm import MaskedRows
from keras_attn.training.run import Run
from keras_attn.training.task import TokenTraining
from keras_attn.training.text_configuration import CausalLMConfig, MaskedLMConfig

KINDS = {"masked-lm": (MaskedRows, MaskedLMConfig), "causal-lm": (NextTokens, CausalLMConfig)}


def text_scores(run: Run, paragraphs: Sequence[str]) -> dict[str, float]:
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
    task = TokenTraining(run.model)
    task.compile()
    loss = mean_loss(task, text.in_order())
    targets = sum(batch.count for batch in text.in_order())
    return {
        "perplexity": perplexity(loss),
        "loss": round(loss, 5),
        "targets": targets,
        "sentences": len(paragraphs),
    }
