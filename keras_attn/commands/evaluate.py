"""`keras-attn evaluate`: scores of a run or a bundle on held-out text."""

import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TextIO

import typer

from keras_attn.commands.environment import choose_backend
from keras_attn.commands.evaluate_text import required_test, score_text, show_scores
from keras_attn.commands.paths import STDOUT, check_output, task_of
from keras_attn.commands.screen import (
    JsonOption,
    console,
    note,
    print_json,
    print_title,
    stdout_for_json,
    table,
)
from keras_attn.commands.translators import Opened, open_translator, translate_all
from keras_attn.device.files.atomic_write import write_text
from keras_attn.training.progress_bar import DownloadBar

if TYPE_CHECKING:
    from keras_attn.data import Pairs

EXAMPLES = """[bold]Examples[/bold]

  keras-attn evaluate runs/dates-int8 --data dates

  keras-attn evaluate runs/multi30k --test data/test_2016_flickr --beam 5

  keras-attn evaluate runs/news --test test.csv --json

  keras-attn evaluate multi30k.zip --data multi30k:en-de --beam 5 --output translations.txt --json
"""


def evaluate(
    path: Annotated[Path, typer.Argument(metavar="RUN_OR_BUNDLE", help="Run folder or bundle.")],
    test: Annotated[
        str | None, typer.Option(help="PREFIX of PREFIX.en and PREFIX.de, a .tsv, a .csv, or text.")
    ] = None,
    data: Annotated[str | None, typer.Option(help="A corpus, of which the test split is taken.")] = None,
    beam: Annotated[int, typer.Option(min=1, help="Hypotheses kept; 1 is greedy.")] = 1,
    length_penalty: Annotated[float, typer.Option(min=0, help="Exponent of the length.")] = 1.0,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many pairs.")] = None,
    bleu_tokenize: Annotated[
        str | None, typer.Option(help="sacreBLEU's tokenization; default: as in training.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the translations here; - is standard output.")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of the interpreter, for bundles.")] = 1,
    whole_vocabulary: Annotated[
        bool, typer.Option("--whole-vocabulary", help="Score all tokens, where the bundle has a shortlist.")
    ] = False,
    backend: Annotated[
        Literal["jax", "tensorflow"] | None, typer.Option(help="What Keras computes with, for runs.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Score a translator, a classifier or a language model on held-out text."""
    if task_of(path) != "translation":
        wide = beam if beam > 1 else None
        test = required_test(test, data=data, beam=wide, bleu_tokenize=bleu_tokenize, output=output)
        with stdout_for_json(json) as stream:
            scores = score_text(path, test, limit, threads, backend)
            if json:
                print_json(scores, stream)
            else:
                show_scores(scores, path)
        return
    if (test is None) == (data is None):
        raise typer.BadParameter("give either --test PREFIX or --data NAME")
    to_stdout = output == STDOUT
    if to_stdout and json:
        raise typer.BadParameter("--output - and --json both write to standard output; leave out one of them")
    file = None if to_stdout else output
    if file is not None:
        check_output(file, path)
    with stdout_for_json(json or to_stdout) as stream:
        opened = open_translator(path, threads=threads, backend=backend, whole_vocabulary=whole_vocabulary)
        if file is not None and test is not None:
            check_output(file, *_files_behind(test, opened.languages.values()))
        pairs = read_test(test, data, opened)[:limit]
        tokenize = bleu_tokenize or opened.bleu_tokenize
        target = stream if to_stdout else file
        scores = score_pairs(opened, pairs, tokenize, target, beam=beam, length_penalty=length_penalty)
        if json:
            print_json(scores, stream)
        else:
            _show(scores, path, beam, tokenize)


def _files_behind(test: str, languages: Iterable[str]) -> list[str]:
    """The files that a prefix, or the name of a table, may stand for."""
    endings = ["", *(f".{language}" for language in languages)]
    return [f"{test}{ending}{packed}" for ending in endings for packed in ("", ".gz")]


def read_test(test: str | None, data: str | None, opened: Opened) -> "Pairs":
    """Read held-out pairs from a prefix, or the test split of a corpus.

    Raises:
        DataError: a file is missing or damaged.
        typer.BadParameter: the corpus has no test split.
    """
    from keras_attn.data import load_corpus, read_pairs

    languages = opened.languages.get("source"), opened.languages.get("target")
    if test is not None:
        return read_pairs(test, *languages)
    with DownloadBar() as downloads:
        corpus = load_corpus(
            data or "", source_language=languages[0], target_language=languages[1], progress=downloads
        )
    if not corpus.test:
        raise typer.BadParameter(f"{data} has no test split: give --test PREFIX")
    return corpus.test


def score_pairs(
    opened: Opened, pairs: "Pairs", tokenize: str, output: Path | TextIO | None = None, **options: float
) -> dict[str, float]:
    """Translate the sources, write the translations to a file or stream if one is given, and score them."""
    begin = time.monotonic()
    found = translate_all(opened.translator, [source for source, _ in pairs], **options)
    note(f"{len(pairs)} sentences translated in {time.monotonic() - begin:.1f} s")
    if output is not None:
        # One line each: what ends a line in a file becomes a space, and nothing else.
        lines = "".join(" ".join(re.split("\r\n|\r|\n", text)) + "\n" for text in found)
        if isinstance(output, Path):
            write_text(output, lines)
        else:
            print(lines, end="", file=output, flush=True)
    choose_backend()  # the package of the scores loads Keras
    from keras_attn.training.evaluation.translation_scores import corpus_scores

    try:
        return corpus_scores(found, [target for _, target in pairs], tokenize)
    except KeyError as error:
        raise typer.BadParameter(f"sacreBLEU has no tokenization {tokenize!r}") from error


def _show(scores: dict[str, float], path: Path, beam: int, tokenize: str) -> None:
    shown = table("", ">")
    shown.add_row(f"BLEU ({tokenize})", f"{scores['bleu']:.2f}")
    shown.add_row("chrF", f"{scores['chrf']:.2f}")
    shown.add_row("exact matches", f"{scores['exact_match']:.2%}")
    shown.add_row("sentences", str(scores["sentences"]))
    print_title(f"{path}, beam {beam}")
    console().print(shown)
