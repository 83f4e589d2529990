"""From texts to printed answers, whatever a bundle's task is: what both command lines share."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from keras_attn.device.array_answers import print_predictions, write_predictions
from keras_attn.device.errors import InputError, one_line
from keras_attn.device.run_options import ANSWER, check_options, flags, method_options, options_of
from keras_attn.device.standard_streams import read_block
from keras_attn.device.task_names import METHODS
from keras_attn.device.tasks.answerer import Answer
from keras_attn.device.tasks.classifier import Classification
from keras_attn.device.tasks.embedder import Embedding
from keras_attn.device.tasks.entity_recognizer import Entities
from keras_attn.device.tasks.generator import Generation, Generator
from keras_attn.device.tasks.mask_filler import Fillings
from keras_attn.device.tasks.predictor import Predictor
from keras_attn.device.tasks.scorer import Score
from keras_attn.device.tasks.translator import Translation, Translator

if TYPE_CHECKING:
    from keras_attn.device import Loaded

AnyAnswer = Translation | Generation | Classification | Embedding | Fillings | Entities | Answer | Score


def answerer(loaded: Loaded, options: Mapping[str, Any]) -> Callable[[str], AnyAnswer]:
    """Return the function from a text to its answer.

    Args:
        loaded: what ``keras_attn.device.load`` returned.
        options: by name; ``None`` for those that were not given.

    Raises:
        InputError: an option was given that this task does not take.
    """
    method, given = _given(loaded, options)
    return lambda text: getattr(loaded, method)(text, **given)


def streamer(loaded: Loaded, options: Mapping[str, Any]) -> Callable[[str], Iterator[str]]:
    """Return the function from a text to the parts of its answer, as they come; see ``answerer``.

    A text that is continued is the first part.

    Raises:
        InputError: this task's answers come whole, or an option was given that it does not take.
    """
    _, given = _given(loaded, options)
    if isinstance(loaded, Translator):
        whole = sorted(set(given) - {"max_length", "source", "target"})
        if whole:
            raise InputError(f"{flags(whole)}: --stream translates greedily; leave out one of them.")
        return lambda text: loaded.stream(text, **given)
    if not isinstance(loaded, Generator):
        raise InputError(f"--stream: this bundle is a {type(loaded).__name__}, whose answers come whole.")
    return lambda text: chain([text], loaded.stream(text, **given))


def run_bundle(
    bundle: str | os.PathLike[str],
    texts: Sequence[str],
    options: Mapping[str, Any],
    complain: Callable[[str], None],
) -> int:
    """Answer texts in their order with a bundle, and print each answer when it is there.

    A text that is refused does not end the others, and keeps its place in the output.

    Args:
        bundle: path of the bundle.
        texts: the arguments; ``-`` stands for the lines of standard input.
        options: the values of all ``run_options.OPTIONS`` by name.
        complain: called with one line that says why a text was refused or has no answer.

    Returns:
        The exit code: 2 if a text was refused.

    Raises:
        InputError: an option was given that this task does not take.
        ArgumentError: an option is out of range.
        BundleError: the bundle cannot be opened.
    """
    from keras_attn.device import load

    check_options(options)
    threads, cache, whole = (options[name] for name in ("threads", "weight_cache", "whole_vocabulary"))
    loaded, given, as_json = load(bundle, threads, cache, whole), method_options(options), options["json"]
    if isinstance(loaded, Predictor):
        return _predict(loaded, texts, options, given, complain)
    if isinstance(loaded, Translator) and not all(text.strip() for text in texts):
        complain("an empty text has an empty translation")
    if options["stream"]:
        answers = _answer_all(streamer(loaded, given), _at_hand(texts), 1)
    else:
        answers = _answer_all(answerer(loaded, given), _at_hand(texts), _together(loaded, given))
    refused = 0
    for text, found in answers:
        try:
            if isinstance(found, InputError):
                raise found
            show(found, as_json)
            continue
        except InputError as error:  # found before the answer began, or while it was streamed
            problem = one_line(error)
        refused += 1
        complain(problem)
        if as_json:
            record = {"input": text.encode(errors="replace").decode(), "error": problem}
            print(json.dumps(record, ensure_ascii=False), flush=True)
        else:
            print(flush=True)
    return 2 if refused else 0


def _predict(
    predictor: Predictor,
    inputs: Sequence[str],
    options: Mapping[str, Any],
    given: Mapping[str, Any],
    complain: Callable[[str], None],
) -> int:
    """Predict for the arguments, as ``run_bundle`` answers texts; return the exit code."""
    if options["stream"]:
        streamer(predictor, given)
    _, given = _given(predictor, given)
    if "output" not in given:
        lines = (line for group in _at_hand(inputs) for line in group)
        return print_predictions(predictor, lines, options["json"], complain)
    if options["json"]:
        raise InputError("--output writes a file, which --json does not print: leave out one of them.")
    write_predictions(predictor, inputs, given["output"])
    return 0


def _answer_all(
    answer: Callable[[Any], Any], texts: Iterable[Sequence[str]], together: int
) -> Iterator[tuple[str, Any]]:
    """Answer texts in their order; yield each with its answer, or with the InputError that refused it.

    Args:
        answer: from ``answerer`` or ``streamer``.
        texts: those that are at hand at the same time, again and again.
        together: how many of them may be answered with one call.
    """
    for group in texts:
        for first in range(0, len(group), together):
            some = group[first : first + together]
            if len(some) > 1:
                try:
                    yield from zip(some, answer(some), strict=True)
                    continue
                except InputError:
                    pass  # Which of them it is shows one by one, and the others keep their answers.
            for text in some:
                try:
                    found = answer(text)
                except InputError as error:
                    found = error
                yield text, found


def _together(loaded: Loaded, options: Mapping[str, Any]) -> int:
    """Return how many texts are best answered with one call."""
    return loaded.together(options.get("beam") or 1) if isinstance(loaded, Translator) else 1


def _at_hand(texts: Sequence[str], standard_input: str = "-") -> Iterator[Sequence[str]]:
    """Yield the arguments in order, and where ``-`` stands, the lines of standard input.

    Lines are yielded as they arrive, those together that arrived together: whoever writes one line and waits
    gets its answer.
    """
    for text in texts:
        if text == standard_input:
            yield from _lines_at_hand()
        else:
            yield [text]


def _lines_at_hand() -> Iterator[Sequence[str]]:
    def line(content: bytes) -> str:
        return content.decode("utf-8", "surrogateescape").rstrip("\r")

    begun: list[bytes] = []  # a line, of which the end has not come
    while block := read_block(1 << 16):
        *whole, rest = block.split(b"\n")
        if whole:
            whole[0] = b"".join([*begun, whole[0]])
            begun.clear()
            yield [line(each) for each in whole]
        if rest:
            begun.append(rest)
    if begun:
        yield [line(b"".join(begun))]


def _given(loaded: Loaded, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the method that answers, and its options among those that were given."""
    method = next(name for name in METHODS.values() if hasattr(loaded, name))
    given = {name: value for name, value in options.items() if value is not None}
    if foreign := sorted(given.keys() - options_of(method)):
        raise InputError(
            f"{flags(foreign)}: this bundle is a {type(loaded).__name__}, which has no such option."
        )
    if "candidates" in given:
        given["candidates"] = [name.strip() for name in given["candidates"].split(",") if name.strip()]
    if method == ANSWER:
        if "pair" not in given:
            raise InputError("--pair: give the text in which the answer to the question is.")
        given["context"] = given.pop("pair")
    return method, given


def show(found: AnyAnswer | Iterator[str], as_json: bool) -> None:
    """Print an answer, as lines or as one JSON object, or its parts as they come."""
    if isinstance(found, Iterator):
        for part in found:
            print(part, end="", flush=True)
        print(flush=True)
    elif as_json:
        print(json.dumps(found.to_json(), ensure_ascii=False), flush=True)
    else:
        print("\n".join(lines(found)), flush=True)


def lines(answer: AnyAnswer) -> list[str]:
    """Return an answer as lines: one, or one for each of several outputs, with its score."""
    if isinstance(answer, Embedding):
        return [str(answer)]
    if isinstance(answer, Classification):
        shown = [each for each in answer.outputs if each.label in answer.labels]
        return [f"{each.score:.4f}\t{one_line(each.label)}" for each in shown]
    if isinstance(answer, Generation):
        return [str(answer)]
    if isinstance(answer, Score):
        return [f"{float(answer):.6g}"]
    if isinstance(answer, Entities):
        return [f"{each.score:.4f}\t{one_line(each.label)}\t{one_line(each.text)}" for each in answer]
    if isinstance(answer, Translation) and len(answer.outputs) == 1:
        return [one_line(answer.text)]
    return [f"{output.score:.4f}\t{one_line(output.text)}" for output in answer.outputs]
