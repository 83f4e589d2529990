"""The door of this package: `evaluate`, and what scores the models of each task."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from keras_attn.device.files.folder_kinds import is_run
from keras_attn.device.task_names import PREDICTION, TOKEN_TASKS
from keras_attn.errors import ArgumentError
from keras_attn.loading import Opened, folder_of, open_any

if TYPE_CHECKING:
    from keras_attn.training import Run

SCORED_AS_RUNS = ("classification", "masked-lm", "causal-lm")


def evaluate(
    source: Run | str | os.PathLike[str],
    *,
    test: str | os.PathLike[str] | None = None,
    data: str | None = None,
    limit: int | None = None,
    beam: int = 1,
    length_penalty: float = 1.0,
    bleu_tokenize: str | None = None,
    threads: int = 1,
    whole_vocabulary: bool = False,
) -> dict[str, Any]:
    """Score a trained model on held-out text.

    Args:
        source: a run or its folder, a bundle, or whatever else `keras_attn.load` takes.
        test: for a translator the PREFIX of PREFIX.en and PREFIX.de, or a table; for a classifier a CSV or
            TSV file with the columns that it was trained on; for a language model a text file.
        data: a corpus whose test split is taken, instead of `test`; for translators.
        limit: use only the first pairs, rows or paragraphs.
        beam: beam size of a translator.
        length_penalty: exponent of the length in a translator's search.
        bleu_tokenize: sacreBLEU's tokenization; by default the one of the training.
        threads: threads of the interpreter, for bundles.
        whole_vocabulary: whether a translator with a shortlist scores all tokens nevertheless.

    Returns:
        `bleu`, `chrf` and `exact_match` of a translator; `accuracy` and `macro_f1` of a classifier, and
        `micro_f1` of one of several labels; `spearman` and `pearson` of scores; `f1`, `precision` and
        `recall` of entities; `exact_match` and `f1` of answers; `mrr` and recalls of a sentence encoder, or
        correlations where the pairs have scores; `perplexity`, `loss` and `targets` of a language model; and
        the number of `sentences`.

    Raises:
        ArgumentError: `test` or `data` is missing or not for this task, or the task has no score.
        DataError: the held-out text cannot be read, or a label is not one of the model's classes.
        BundleError, TrainingError, PretrainedError: the model cannot be loaded; see `keras_attn.load`.
    """
    if limit is not None and limit < 1:
        raise ArgumentError(f"limit must be at least 1, not {limit}")
    opened = open_scored(source, threads, whole_vocabulary)
    if not is_translator(opened):
        if test is None or data is not None:
            raise ArgumentError("give test, the held-out file; data is for translators only")
        if (beam, length_penalty, bleu_tokenize) != (1, 1.0, None):
            raise ArgumentError("beam, length_penalty and bleu_tokenize are for translators only")
        return score_texts(opened, test, limit)
    from keras_attn.evaluation.translation import read_test, score_translator

    pairs = read_test(opened, test, data)[:limit]
    options = {"beam": beam, "length_penalty": length_penalty}
    return score_translator(opened, pairs, bleu_tokenize, **options).scores


def open_scored(
    source: Run | str | os.PathLike[str], threads: int = 1, whole_vocabulary: bool = False
) -> Opened | Run:
    """Open what is to be scored; runs of classifiers and language models as a `Run`, to score in batches."""
    folder = folder_of(source)
    if is_run(Path(folder)):
        from keras_attn.training.run_folder import Run, load_run, read_config

        if read_config(Path(folder))["task"] in SCORED_AS_RUNS:
            return source if isinstance(source, Run) else load_run(folder)
    return open_any(folder, threads, whole_vocabulary=whole_vocabulary)


def is_translator(opened: Opened | Run) -> TypeGuard[Opened]:
    """Return whether it is a translator that was opened."""
    return isinstance(opened, Opened) and opened.task_name == "translation"


def score_texts(opened: Opened | Run, test: str | os.PathLike[str], limit: int | None) -> dict[str, Any]:
    """Score a classifier or a language model on a file.

    Raises:
        ArgumentError: the task has no score.
        DataError: the file cannot be read, or a label is not one of the model's classes.
    """
    task = opened.task_name if isinstance(opened, Opened) else opened.config["task"]
    if task in ("classification", "scoring"):
        from keras_attn.evaluation.classification import score_classifier

        return score_classifier(opened, test, limit)
    if isinstance(opened, Opened) and task in (*TOKEN_TASKS, "embedding"):
        from keras_attn.evaluation import spans

        score = {
            "token-classification": spans.score_entities,
            "question-answering": spans.score_answers,
            "embedding": spans.score_embedder,
        }
        return score[task](opened, test, limit)
    if task == PREDICTION:
        raise ArgumentError(
            "a model of arrays has no score of its own: compute yours from keras_attn.load(...).predict(x)"
        )
    if isinstance(opened, Opened) and task != "generation":
        raise ArgumentError(f"models for {task} cannot be scored from a text: their runs can")
    from keras_attn.data.readers.paragraphs import read_paragraphs
    from keras_attn.evaluation.perplexity import generator_perplexity, run_perplexity

    paragraphs = read_paragraphs([test])[:limit]
    score = generator_perplexity if isinstance(opened, Opened) else run_perplexity
    return score(opened, paragraphs)  # pyright: ignore[reportArgumentType]
