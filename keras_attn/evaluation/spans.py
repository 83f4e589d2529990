"""F1 of entities and of answers to questions, and the rank of what belongs to a text, on held-out text."""

from __future__ import annotations

import os
from typing import Any

from keras_attn.loading import Opened


def score_entities(opened: Opened, test: str | os.PathLike[str], limit: int | None) -> dict[str, Any]:
    """Score a recognizer on a file of texts with labelled spans, see `read_tagged`.

    Returns:
        `f1`, `precision`, `recall` (0 to 1), the numbers of `spans` and of `sentences`.

    Raises:
        DataError: the file cannot be read.
    """
    from keras_attn.data.readers.tagged import read_tagged
    from keras_attn.scores.spans import span_scores

    tagged = read_tagged(test)
    texts, right = tagged.texts[:limit], tagged.spans[:limit]
    found = [[(each.start, each.end, each.label) for each in one] for one in opened.task.entities(texts)]
    return {**span_scores(right, found), "sentences": len(texts)}


def score_answers(opened: Opened, test: str | os.PathLike[str], limit: int | None) -> dict[str, Any]:
    """Score an answerer on a file of questions, see `read_questions`.

    If any question has no answer, the model may find none, too.

    Returns:
        `exact_match` and `f1` (0 to 1), and the number of `sentences`, the questions.

    Raises:
        DataError: the file cannot be read.
    """
    from keras_attn.data.readers.squad import read_questions
    from keras_attn.scores.answers import answer_scores

    questions = read_questions(test)[:limit]
    none = any(not each.answers for each in questions)
    found = [opened.task.answer(each.question, each.context, no_answer=none).text for each in questions]
    return answer_scores([[text for text, _ in each.answers] for each in questions], found)


def score_embedder(opened: Opened, test: str | os.PathLike[str], limit: int | None) -> dict[str, Any]:
    """Score a sentence encoder on a file of texts that belong together, see `read_groups`.

    Returns:
        `spearman` and `pearson` if the rows have scores; else `mrr` and recalls of the second texts among all
        others; and the number of `sentences`.

    Raises:
        DataError: the file cannot be read, or has single texts.
    """
    from keras_attn.data.errors import DataError
    from keras_attn.data.readers.text_groups import read_groups
    from keras_attn.scores.retrieval import group_scores

    groups = read_groups(test)
    if groups.width == 1:
        raise DataError(f"{test} has single texts: give pairs, in a .tsv, .csv or .jsonl file.")
    groups = groups.part(range(len(groups))[:limit])
    found = opened.task.embed(groups.different, prompt="", truncate=True)
    vectors = {one.input: one.embedding for one in found}
    return group_scores(vectors, groups.texts, groups.scores)
