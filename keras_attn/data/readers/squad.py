"""Questions with their contexts and answers: SQuAD's JSON (Rajpurkar et al., 2016, 2018), or JSON lines."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_attn.data.errors import DataError
from keras_attn.data.readers.text_files import read_text


@dataclass(frozen=True)
class Question:
    """A question, the text that may answer it, and the right answers with their first characters there."""

    question: str
    context: str
    answers: list[tuple[str, int]]


def read_questions(path: str | os.PathLike[str]) -> list[Question]:
    """Read a file of questions, plain or `.gz`.

    Args:
        path: SQuAD's JSON, version 1.1 or 2.0, whose questions may have no answer; or JSON lines, each an
            object with `question`, `context` and `answers` of SQuAD's form.

    Raises:
        DataError: if the file cannot be read or an answer is not in its context.
    """
    path, text = Path(path), read_text(path)
    try:
        try:
            content = json.loads(text)
            rows = _of_squad(content) if "data" in content else iter([content])
        except json.JSONDecodeError:
            rows = (json.loads(line) for line in text.splitlines() if line.strip())
        found = [_question(row) for row in rows]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(
            f"{path} is not SQuAD's JSON of questions, contexts and answers: {error!r}."
        ) from None
    if not found:
        raise DataError(f"{path} has no questions.")
    return found


def _of_squad(content: Any) -> Iterator[dict[str, Any]]:
    for article in content["data"]:
        for paragraph in article["paragraphs"]:
            for each in paragraph["qas"]:
                answers = [] if each.get("is_impossible") else each["answers"]
                yield {
                    "question": each["question"],
                    "context": paragraph["context"],
                    "answers": answers,
                }


def _question(row: dict[str, Any]) -> Question:
    question, context, given = row["question"], row["context"], row.get("answers") or []
    if isinstance(given, dict):  # as in the hub's data sets
        pairs = zip(given["text"], given["answer_start"], strict=True)
    else:
        pairs = ((each["text"], each["answer_start"]) for each in given)
    answers = []
    for answer, start in pairs:
        if context[start : start + len(answer)] != answer:
            raise ValueError(f"the answer {answer!r} does not stand at {start} of its context")
        answers.append((answer, start))
    if not isinstance(question, str):
        raise TypeError(f"{question!r} is not a question")
    return Question(question, context, answers)
