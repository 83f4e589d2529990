"""The checks of a proof: each compares measured figures with what is accepted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from keras_attn.device.proof.decoder_proof import Figures, Proof
from keras_attn.device.proof.encoder_proof import EncoderFigures, EncoderProof
from keras_attn.device.proof.one_call_proof import OneCallFigures
from keras_attn.device.proof.shortlist_proof import ShortlistFigures
from keras_attn.device.proof.text_proof import TextFigures
from keras_attn.device.proof.tokenizer_proof import TokenizerFigures

# Scores of a model that ignores its source change only by rounding.
LEAST_CHANGE = 1e-4


@dataclass
class Check:
    """One check of a proof run: its name, whether it passed, a sentence about it, and its figures."""

    name: str
    ok: bool
    detail: str
    figures: dict[str, Any] = field(default_factory=dict)


def judge(measured: Mapping[str, Figures], proof: Proof) -> list[Check]:
    """Compare figures, by number of rows, with what a proof accepts.

    Returns:
        The checks ``scores`` and ``tokens``.
    """
    worst = max(measured.values(), key=lambda figures: figures.max_error)
    mean = max(figures.mean_error for figures in measured.values())
    least = min(measured.values(), key=lambda figures: figures.token_agreement)
    ok = worst.max_error <= proof.max_error and mean <= proof.mean_error
    detail = (
        f"largest difference {worst.max_error:.3g} of {proof.max_error:.3g} accepted, mean {mean:.3g} of "
        f"{proof.mean_error:.3g}, over {worst.steps} steps of {worst.sentences} sentences"
    )
    if not ok:
        detail += f"; worst at {_position(worst.worst)}"
    figures = {rows: each.to_json() for rows, each in measured.items()}
    scores = Check("scores", ok, detail, {"by_rows": figures})
    ok = least.token_agreement >= proof.min_token_agreement
    detail = f"{least.token_agreement:.2%} of best tokens agree, {proof.min_token_agreement:.2%} needed"
    hits = [each.greedy_agreement for each in measured.values() if each.greedy_agreement is not None]
    if hits:
        detail += f"; {min(hits):.2%} of greedy outputs are equal"
    if least.first_disagreement is not None:
        detail += f"; the first that differs at {_position(least.first_disagreement)}"
    figures = {"token_agreement": least.token_agreement, "greedy_agreement": min(hits, default=None)}
    return [scores, Check("tokens", ok, detail, figures)]


def judge_shuffled(change: dict[str, Any], figures: Figures) -> Check:
    """Check that the source matters: most shuffled sources must change the scores beyond their error."""
    least = max(LEAST_CHANGE, figures.mean_error)
    beyond = [each > least for each in change["mean_change"]]
    ok = not beyond or sum(beyond) * 2 > len(beyond)
    detail = (
        f"{sum(beyond)} of {len(beyond)} shuffled sources change the scores by more than {least:.2g}, and "
        f"{change['outputs_changed']:.0%} change the output"
    )
    return Check("shuffled", ok, detail, change)


def judge_one_call(figures: OneCallFigures, mean_error: float) -> Check:
    """Check that one call finds the same outputs as the search over steps.

    Its sums are rounded differently, which decides between two tokens of equal score. Outputs may differ
    there: the scores of the first tokens that differ must lie within ``mean_error``.
    """
    accepted = max(LEAST_CHANGE, mean_error)
    detail = (
        f"{figures.equal} of {figures.sentences} outputs of one call equal the search's, their "
        f"log-probabilities within {figures.log_prob_error:.2g}"
    )
    if figures.worst is not None:
        detail += f"; sentence {figures.worst} differs by {figures.gap:.2g}, {accepted:.2g} accepted as a tie"
    return Check("one call", figures.gap <= accepted, detail, figures.to_json())


def judge_shortlist(figures: Sequence[ShortlistFigures], max_error: float, mean_error: float) -> Check:
    """Check that the steps of candidates score them as the steps of the whole vocabulary do.

    Args:
        figures: with each number of rows.
        max_error: the largest accepted difference.
        mean_error: the largest accepted mean difference.
    """
    worst, mean = max(each.max_error for each in figures), max(each.mean_error for each in figures)
    first = figures[0]
    detail = (
        f"largest difference {worst:.3g} of {max_error:.3g} accepted, mean {mean:.3g} of {mean_error:.3g}; "
        f"{first.candidates:.0f} candidates, {first.coverage:.1%} of the proof's tokens among them"
    )
    ok = worst <= max_error and mean <= mean_error
    return Check("shortlist", ok, detail, {**first.to_json(), "max_error": worst, "mean_error": mean})


def judge_encoder(figures: EncoderFigures, proof: EncoderProof) -> list[Check]:
    """Compare an encoder's figures with what a proof accepts.

    Returns:
        The checks ``scores`` and ``answers``.
    """
    ok = figures.max_error <= proof.max_error and figures.mean_error <= proof.mean_error
    detail = (
        f"largest difference {figures.max_error:.3g} of {proof.max_error:.3g} accepted, mean "
        f"{figures.mean_error:.3g} of {proof.mean_error:.3g}, over {figures.texts} texts"
    )
    if not ok:
        detail += f"; worst at text {figures.worst['text']}, signature {figures.worst['signature']}"
    scores = Check("scores", ok, detail, figures.to_json())
    ok = figures.agreement >= proof.min_token_agreement
    found, needed = figures.agreement, proof.min_token_agreement
    detail = (
        f"mean cosine {found:.5f}, {needed:.5f} needed"
        if proof.embeds
        else f"{found:.2%} of best answers agree, {needed:.2%} needed"
    )
    return [scores, Check("answers", ok, detail, {"agreement": figures.agreement})]


def judge_exchanged(
    changes: Sequence[float], mean_error: float, what: str = "texts change the values"
) -> Check:
    """Check that the inputs matter: most exchanged inputs must change the results beyond their error.

    Args:
        changes: of the results of each input that was exchanged.
        mean_error: of the results.
        what: the inputs and results, for the report.
    """
    least = max(LEAST_CHANGE, mean_error)
    beyond = sum(each > least for each in changes)
    ok = not changes or beyond * 2 > len(changes)
    detail = f"{beyond} of {len(changes)} exchanged {what} by more than {least:.2g}"
    return Check("exchanged", ok, detail, {"mean_change": list(changes)})


def judge_tokenizer(figures: TokenizerFigures, max_error: float) -> Check:
    """Check that a graph's tokenizer equals tokenizer.json's, and leads to the same results.

    Args:
        figures: what was measured.
        max_error: the largest accepted difference between the results of a text and those of its tokens.
    """
    found = figures.different
    ok = found is None and figures.max_error <= max_error
    detail = f"{figures.equal} of {figures.texts} texts have tokenizer.json's ids"
    if found is not None:
        detail += f"; {found['text'][:80]!r} differs after {found['same']} of {found['length']} tokens"
    detail += f"; largest difference of their results {figures.max_error:.3g} of {max_error:.3g} accepted"
    return Check("tokenizer", ok, detail, figures.to_json())


def judge_texts(figures: TextFigures, replaced: Sequence[str]) -> Check:
    """Check that a bundle's tokenizer is the one that it was exported with.

    Args:
        figures: what was measured.
        replaced: files, or fields of the manifest, that differ from those of the proof.
    """
    count = figures.encoded + figures.decoded
    detail = f"{figures.equal} of {count} texts are tokenized and decoded as in the export"
    if figures.different is not None:
        detail += f"; {figures.different[:80]!r} is the first that differs"
    if replaced:
        detail += f"; changed since the export: {', '.join(replaced)}; export the bundle again"
    ok = figures.different is None and not replaced
    return Check("texts", ok, detail, {**figures.to_json(), "replaced": list(replaced)})


def _position(found: dict[str, Any]) -> str:
    return f"sentence {found['sentence']}, step {found['step']}, signature {found['signature']}"
