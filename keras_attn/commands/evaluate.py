"""`keras-attn evaluate`: scores of a run or a bundle on held-out text."""

import re
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TextIO

import typer

from keras_attn.commands.bundle_argument import found_source
from keras_attn.commands.paths import STDOUT, check_output
from keras_attn.commands.terminal.environment import choose_backend
from keras_attn.commands.terminal.progress import translation_bar
from keras_attn.commands.terminal.screen import (
    JsonOption,
    console,
    note,
    print_json,
    print_title,
    stdout_for_json,
    table,
)
from keras_attn.device.files.atomic_write import write_text
from keras_attn.loading import Opened
from keras_attn.training.progress_bar import DownloadBar

EXAMPLES = """[bold]Examples[/bold]

  keras-attn evaluate runs/dates-int8 --data dates

  keras-attn evaluate runs/multi30k --test data/test_2016_flickr --beam 5

  keras-attn evaluate runs/news --test test.csv --json

  keras-attn evaluate multi30k.zip --data multi30k:en-de --beam 5 --output translations.txt --json
"""


# How each score is called and shown; others are counts.
SHOWN = {
    "bleu": ("BLEU", "{:.2f}"),
    "chrf": ("chrF", "{:.2f}"),
    "exact_match": ("exact matches", "{:.2%}"),
    "accuracy": ("accuracy", "{:.2%}"),
    "macro_f1": ("macro F1", "{:.2%}"),
    "micro_f1": ("micro F1", "{:.2%}"),
    "spearman": ("Spearman's correlation", "{:.4f}"),
    "pearson": ("Pearson's correlation", "{:.4f}"),
    "mrr": ("mean reciprocal rank", "{:.4f}"),
    "recall_at_1": ("recall at 1", "{:.2%}"),
    "recall_at_5": ("recall at 5", "{:.2%}"),
    "recall_at_10": ("recall at 10", "{:.2%}"),
    "f1": ("F1", "{:.2%}"),
    "precision": ("precision", "{:.2%}"),
    "recall": ("recall", "{:.2%}"),
}


def evaluate(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="RUN_OR_BUNDLE",
            help="Run folder, bundle or its name, or checkpoint folder.",
            callback=found_source,
        ),
    ],
    test: Annotated[
        str | None,
        typer.Option(
            help="Held-out text. Translators: PREFIX of PREFIX.en and PREFIX.de, or a .tsv; classifiers and "
            "scorers: a .csv or .tsv; entities: JSON lines or CoNLL; questions: SQuAD's JSON; language "
            "models: a text file."
        ),
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="Translators: corpus whose test split is used, such as multi30k:en-de.")
    ] = None,
    beam: Annotated[
        int | None, typer.Option(min=1, help="Translators: beam size (default 1: greedy).")
    ] = None,
    length_penalty: Annotated[
        float, typer.Option(min=0, help="Translators: exponent of the length in the search.")
    ] = 1.0,
    source: Annotated[
        str | None,
        typer.Option("--from", metavar="LANGUAGE", help="Translators of several languages: of the sources."),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option("--to", metavar="LANGUAGE", help="Translators of several languages: of the targets."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Use only the first N pairs, rows or paragraphs.")
    ] = None,
    bleu_tokenize: Annotated[
        str | None, typer.Option(help="Translators: sacreBLEU's tokenization (default: as in training).")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Translators: write the translations to this file; - is stdout."),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Interpreter threads, for bundles.")] = 1,
    whole_vocabulary: Annotated[
        bool,
        typer.Option("--whole-vocabulary", help="Score all tokens, even if the bundle has a shortlist."),
    ] = False,
    backend: Annotated[
        Literal["jax", "tensorflow"] | None, typer.Option(help="Keras backend, for runs and checkpoints.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Score a translator, a classifier or a language model on held-out text."""
    if (test is None) == (data is None):
        raise typer.BadParameter("give either --test PREFIX or --data NAME")
    if output == STDOUT and json:
        raise typer.BadParameter("--output - and --json both write to standard output; leave out one of them")
    if output not in (None, STDOUT):
        check_output(output, path)
    choose_backend(backend)
    from keras_attn.evaluation.api import is_translator, open_scored, score_texts
    from keras_attn.evaluation.translation import tokenization_of

    with stdout_for_json(json or output == STDOUT) as stream:
        opened = open_scored(path, threads, whole_vocabulary)
        if is_translator(opened):
            written = stream if output == STDOUT else output
            search = {"beam": beam or 1, "length_penalty": length_penalty}
            pair = {"source": source, "target": target}
            tokenize = bleu_tokenize or tokenization_of(opened)
            scores = _score_translations(opened, test, data, limit, tokenize, written, pair, **search)
            title = f"{path}, beam size {beam or 1}, sacreBLEU's tokenization {tokenize}"
        else:
            for_translators = {"data": data, "beam": beam, "bleu-tokenize": bleu_tokenize, "output": output}
            for_translators |= {"from": source, "to": target}
            if given := [name for name, value in for_translators.items() if value is not None]:
                raise typer.BadParameter(f"--{', --'.join(given)} is for translators only")
            scores, title = score_texts(opened, test or "", limit), str(path)
        if json:
            print_json(scores, stream)
        else:
            show_scores(scores, title)


def _score_translations(
    opened: Opened,
    test: str | None,
    data: str | None,
    limit: int | None,
    tokenize: str,
    output: Path | TextIO | None,
    pair: dict[str, str | None],
    **search: float,
) -> dict[str, Any]:
    """Score a translator, and write its translations to a file or stream if one is given."""
    from keras_attn.evaluation.translation import read_test, score_translator

    if isinstance(output, Path) and test is not None:
        named = {**opened.languages, **{side: code for side, code in pair.items() if code}}
        check_output(output, *_files_behind(test, named.values()))
    with DownloadBar() as downloads:
        pairs = read_test(opened, test, data, downloads, **pair)[:limit]
    begin = time.monotonic()
    with translation_bar(len(pairs)) as progress:
        found = score_translator(opened, pairs, tokenize, progress=progress, **pair, **search)
    note(f"{len(pairs)} sentences translated in {time.monotonic() - begin:.1f} s")
    if found.too_long:
        note(f"{found.too_long} sentences are too long for the model and count as translated to nothing")
    if output is not None:
        _write_lines(found.translations, output)
    return found.scores


def _write_lines(texts: Sequence[str], output: Path | TextIO) -> None:
    """Write one line for each text: what ends a line in a file becomes a space, and nothing else."""
    lines = "".join(" ".join(re.split("\r\n|\r|\n", text)) + "\n" for text in texts)
    if isinstance(output, Path):
        write_text(output, lines)
    else:
        print(lines, end="", file=output, flush=True)


def _files_behind(test: str, languages: Iterable[str]) -> list[str]:
    """The files that a prefix, or the name of a table, may stand for."""
    endings = ["", *(f".{language}" for language in languages)]
    return [f"{test}{ending}{packed}" for ending in endings for packed in ("", ".gz")]


def show_scores(scores: dict[str, Any], title: str) -> None:
    """Print scores as a table."""
    shown = table("", ">")
    for name, value in scores.items():
        label, form = SHOWN.get(name, (name, "{:,}"))
        shown.add_row(label, form.format(value))
    print_title(title)
    console().print(shown)
