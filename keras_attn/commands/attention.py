"""`keras-attn attention`: what a model looked at, as a picture."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from keras_attn.commands.screen import JsonOption, note, print_json, stdout_for_json
from keras_attn.commands.translators import Opened, open_translator

if TYPE_CHECKING:
    from keras_attn.device.translator import Translation, Translator
    from keras_attn.pictures import Alignment

EXAMPLES = """[bold]Examples[/bold]

  keras-attn attention runs/dates-int8 "5 juin 2018" --output alignment.png

  keras-attn attention runs/enja "i can not swim ." --beam 5 --output alignment.html

  keras-attn attention runs/multi30k "a dog runs ." --heads cross --output heads.png
"""

ENDINGS = (".png", ".svg", ".pdf", ".html")


def _check_ending(output: Path) -> Path:
    if output.suffix.lower() not in ENDINGS:
        raise typer.BadParameter(f"{output} must end in {', '.join(ENDINGS)}")
    return output


def attention(
    path: Annotated[Path, typer.Argument(metavar="RUN_OR_BUNDLE", help="Run folder or bundle.")],
    text: Annotated[str, typer.Argument(help="Text to translate.")],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="Picture: .png, .svg, .pdf or .html.", callback=_check_ending),
    ],
    beam: Annotated[int, typer.Option(min=1, help="Hypotheses kept; 1 is greedy.")] = 1,
    heads: Annotated[
        Literal["encoder", "decoder", "cross"] | None,
        typer.Option(help="Every head of every layer of a Transformer run: which of its attentions."),
    ] = None,
    backend: Annotated[
        Literal["jax", "tensorflow"] | None, typer.Option(help="What Keras computes with, for runs.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Draw the alignment matrix of a translation: a row per target piece, a column per source piece.

    From a bundle it is the attention of the quantized model itself. Use .html where fonts are missing.
    """
    from keras_attn.pictures import alignment_page

    with stdout_for_json(json) as stream:
        opened = open_translator(path, backend=backend)
        translation = opened.translator.translate(text, beam=beam, alignments=True)
        alignment = alignment_of(translation, opened.translator)
        if heads is None:
            alignment_page([alignment], output)
        else:
            draw_heads(opened, translation, alignment, heads, output)
        if json:
            print_json({"input": text, "output": translation.text, "picture": output}, stream)
        else:
            note(f"{output}: {translation.text}")


def alignment_of(translation: "Translation", translator: "Translator") -> "Alignment":
    """Bring a translation with its attention into the form that is drawn.

    Raises:
        typer.BadParameter: the text or its translation is empty, or the model has no attention.
    """
    from keras_attn.pictures import Alignment

    best = translation.outputs[0]
    if not translation.source_ids or not best.ids:
        empty = "translation" if translation.source_ids else "text"
        raise typer.BadParameter(f"there is nothing to draw: the {empty} is empty")
    if best.alignment is None:
        raise typer.BadParameter("this model has no attention over its source: there is nothing to draw")
    sources = _marked(translation.source_pieces, translation.source_ids, translator)
    targets = _marked(best.pieces, best.ids, translator)
    return Alignment(sources, targets, best.alignment, f"{translation.input.strip()} → {best.text}")


def draw_heads(
    opened: Opened, translation: "Translation", alignment: "Alignment", which: str, output: Path
) -> None:
    """Draw the weights of every head with which a Transformer made its translation.

    Raises:
        typer.BadParameter: the model is no Transformer in a run folder, or `output` is an .html page.
    """
    import numpy as np

    from keras_attn.pictures import attention_heads

    scores_of = getattr(opened.model, "attention_scores", None)
    if scores_of is None:
        raise typer.BadParameter(
            "--heads needs the run folder of a Transformer: a bundle keeps the mean only"
        )
    if output.suffix.lower() == ".html":
        raise typer.BadParameter("--heads draws .png, .svg and .pdf")
    start = opened.translator.tokenizer.special_ids["start"]
    target = [start, *translation.outputs[0].ids][:-1]
    inputs = {
        "encoder_token_ids": np.asarray([translation.source_ids], np.int32),
        "decoder_token_ids": np.asarray([target], np.int32),
    }
    weights = np.asarray(scores_of(inputs)[which])[:, 0]  # (L, H, T, S)
    source, target_pieces = alignment.source_pieces, alignment.target_pieces
    read = [opened.translator.tokenizer.tokenizer.id_to_token(start), *target_pieces][: len(target)]
    # A row of the decoder stands for the piece that it produces, a column for one that it has read.
    axes = {"encoder": (source, source), "decoder": (read, target_pieces), "cross": (source, target_pieces)}
    columns, rows = axes[which]
    attention_heads(weights, columns, rows, output, title=f"{which}: {alignment.title}")


def _marked(pieces: list[str], ids: list[int], translator: "Translator") -> list[str]:
    """Pieces to show, with the mark of a word's start put back, which the picture draws as a gap."""
    from keras_attn.pictures.alignment import WORD_START

    tokens = [translator.tokenizer.tokenizer.id_to_token(number) or "" for number in ids]
    special = set(translator.tokenizer.special_ids.values())
    starts = [
        token.startswith(WORD_START) or number in special for token, number in zip(tokens, ids, strict=True)
    ]
    return [WORD_START * start + piece for piece, start in zip(pieces, starts, strict=True)]
