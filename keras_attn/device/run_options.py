"""The options of `run`, defined once for both programs: names, help, and what they may be."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from keras_attn.device.task_names import METHODS
from keras_attn.errors import ArgumentError


@dataclass(frozen=True)
class Option:
    """An option of `run`; one of type bool is a flag.

    Attributes:
        name: as a Python argument; the option has hyphens.
        help: what it means, with its default.
        kind: type of the value.
        methods: the methods of tasks that take it; all others refuse it. Empty where it is for no method.
        least: the smallest value, if there is one.
        most: the largest value, if there is one.
        metavar: what the help calls the value.
        default: the value where the option is not given.
        written: the option's name on the command line, where it differs.
    """

    name: str
    help: str
    kind: type = str
    methods: tuple[str, ...] = ()
    least: float | None = None
    most: float | None = None
    metavar: str | None = None
    default: Any = None
    written: str | None = None

    @property
    def flag(self) -> str:
        """The option as it is written."""
        return f"--{(self.written or self.name).replace('_', '-')}"


TRANSLATE, GENERATE, EMBED = METHODS["translation"], METHODS["generation"], METHODS["embedding"]
CLASSIFY, FILL, PREDICT = METHODS["classification"], METHODS["masked-lm"], METHODS["prediction"]
ENTITIES, ANSWER, SCORE = (
    METHODS[task] for task in ("token-classification", "question-answering", "scoring")
)

OPTIONS = (
    Option("beam", "Translators: beam size (default 1: greedy).", int, (TRANSLATE,), least=1),
    Option(
        "n_best", "Translators: translations to print per text, at most --beam.", int, (TRANSLATE,), least=1
    ),
    Option(
        "max_length",
        "Maximum number of new tokens (default: twice the source plus ten; 50 after a prompt).",
        int,
        (TRANSLATE, GENERATE),
        least=1,
    ),
    Option(
        "length_penalty",
        "Translators: exponent of the length in the score (default 1).",
        float,
        (TRANSLATE,),
        least=0,
    ),
    Option(
        "source",
        "Translators of several languages: language of the texts, such as en.",
        str,
        (TRANSLATE,),
        metavar="LANGUAGE",
        written="from",
    ),
    Option(
        "target",
        "Translators of several languages: language of the translations.",
        str,
        (TRANSLATE,),
        metavar="LANGUAGE",
        written="to",
    ),
    Option("temperature", "Sampling temperature; 0 (default) is greedy.", float, (GENERATE,), least=0),
    Option("top_k", "Sample from the k most likely tokens.", int, (GENERATE,), least=1),
    Option(
        "top_p",
        "Nucleus sampling: smallest set of tokens with this probability mass.",
        float,
        (GENERATE,),
        most=1,
    ),
    Option("seed", "Random seed of the sampling.", int, (GENERATE,)),
    Option(
        "pair",
        "Classifiers and scorers of pairs: the second text. Questions: the text with the answer.",
        str,
        (CLASSIFY, SCORE, ANSWER),
        metavar="TEXT",
    ),
    Option(
        "candidates",
        "Language-inference models: labels of your own to choose from, separated by commas.",
        str,
        (CLASSIFY,),
        metavar="LABELS",
    ),
    Option(
        "hypothesis",
        "With --candidates: a sentence with {} for the label (default: This example is {}.).",
        str,
        (CLASSIFY,),
        metavar="TEXT",
    ),
    Option("several", "With --candidates: a text may have several of them, or none.", bool, (CLASSIFY,)),
    Option(
        "strategy",
        "Entities: how words are labelled: simple (default), first, average or max.",
        str,
        (ENTITIES,),
        metavar="NAME",
    ),
    Option("no_answer", "Questions: allow for a text without an answer.", bool, (ANSWER,)),
    Option("prompt", "Sentence encoders: name of the prompt to prepend.", str, (EMBED,), metavar="NAME"),
    Option(
        "dimensions",
        "Sentence encoders: first values of a vector to keep (default all).",
        int,
        (EMBED,),
        least=1,
    ),
    Option(
        "top",
        "Masked language models: words to print per mask (default 5). Questions: answers (default 1).",
        int,
        (FILL, ANSWER),
        least=1,
    ),
    Option(
        "truncate",
        "Cut texts that are too long instead of refusing them: keep the beginning, of prompts the end.",
        bool,
        (GENERATE, CLASSIFY, EMBED, SCORE),
    ),
    Option(
        "output",
        "Models of arrays: write the outputs to this .npz instead of printing them.",
        str,
        (PREDICT,),
        metavar="FILE",
    ),
    Option("stream", "Print the answer piece by piece, as it is produced.", bool),
    Option("threads", "Interpreter threads.", int, least=1, default=1),
    Option("weight_cache", "Folder that keeps a large model's packed weights.", str, metavar="FOLDER"),
    Option("whole_vocabulary", "Score all tokens, even if the bundle has a shortlist.", bool),
    Option("json", "Print one JSON object per input.", bool),
)


def flags(names: Iterable[str]) -> str:
    """Return options by name as they are written, for messages."""
    written = {option.name: option.flag for option in OPTIONS}
    return ", ".join(written[name] for name in names)


def options_of(method: str) -> frozenset[str]:
    """Return the names of the options that a method takes."""
    return frozenset(option.name for option in OPTIONS if method in option.methods)


def method_options(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options for a task's method among all values, by name; `None` for those not given."""
    chosen = {option.name: values[option.name] for option in OPTIONS if option.methods}
    return {name: None if value is False else value for name, value in chosen.items()}


def check_options(values: Mapping[str, Any]) -> None:
    """Check the values of all options, before anything is loaded.

    Raises:
        ArgumentError: a value is out of range, or two options exclude each other.
    """
    for option in OPTIONS:
        value = values[option.name]
        if value is None or option.kind is bool:
            continue
        if option.least is not None and not value >= option.least:  # this way round for NaN
            raise ArgumentError(f"{option.flag} must be at least {option.least:g}, not {value}")
        if option.most is not None and not value <= option.most:
            raise ArgumentError(f"{option.flag} must be at most {option.most:g}, not {value}")
        if isinstance(value, float) and not math.isfinite(value):
            raise ArgumentError(f"{option.flag} must be a finite number, not {value}")
    beam, n_best = values["beam"] or 1, values["n_best"] or 1
    if n_best > beam:
        raise ArgumentError(f"--n-best {n_best} needs a --beam of at least {n_best}")
    if values["stream"] and values["json"]:
        raise ArgumentError("--stream prints text as it comes, which --json cannot: leave out one of them")
