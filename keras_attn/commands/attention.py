"""`keras-attn attention`: a model's attention weights as a picture."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from keras_attn.commands.bundle_argument import found_source
from keras_attn.commands.paths import check_output
from keras_attn.commands.terminal.environment import choose_backend
from keras_attn.commands.terminal.screen import JsonOption, note, print_json, stdout_for_json
from keras_attn.device.files.folder_kinds import is_bundle
from keras_attn.device.task_names import PREDICTION
from keras_attn.loading import Opened, open_any

if TYPE_CHECKING:
    from keras_attn.device.tasks.encoder_task import EncoderTask
    from keras_attn.device.tasks.generator import Generator
    from keras_attn.device.tasks.translator import Translation
    from keras_attn.pictures import Alignment

EXAMPLES = """[bold]Examples[/bold]

  keras-attn attention runs/dates-int8 "5 juin 2018" --output alignment.png

  keras-attn attention runs/enja "i can not swim ." --beam 5 --output alignment.html

  keras-attn attention runs/multi30k "a dog runs ." --heads cross --output heads.png

  keras-attn attention gpt2-heads "The animal was too tired." --words --output heads.html

  keras-attn attention minilm-heads "The animal was too tired." --output heads.html
"""

ENDINGS = (".png", ".svg", ".pdf", ".html")


def _check_ending(output: Path) -> Path:
    if output.suffix.lower() not in ENDINGS:
        raise typer.BadParameter(f"{output} must end in {', '.join(ENDINGS)}")
    return output


def attention(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="RUN_OR_BUNDLE",
            help="Run folder, bundle or its name, or checkpoint folder.",
            callback=found_source,
        ),
    ],
    text: Annotated[str, typer.Argument(help="Text to translate or to read.")],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="Picture: .png, .svg, .pdf or .html.", callback=_check_ending),
    ],
    beam: Annotated[
        int | None, typer.Option(min=1, help="Translators: beam size (default 1: greedy).")
    ] = None,
    heads: Annotated[
        Literal["encoder", "decoder", "cross"] | None,
        typer.Option(
            help="Transformer translators on Keras: draw every head of every layer of this attention."
        ),
    ] = None,
    words: Annotated[
        bool, typer.Option("--words", help="Encoders, language models: merge the pieces of each word.")
    ] = False,
    backend: Annotated[
        Literal["jax", "tensorflow"] | None, typer.Option(help="Keras backend, for runs and checkpoints.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Draw attention weights: a translation's alignment matrix, or all heads of all layers.

    A translation has a row per target piece and a column per source piece. An encoder or a language model
    (a bundle exported with --heads, a run, or a checkpoint folder) has a panel per head, and as .html the
    head view: pointing at a word shows where each head looks. From a bundle it is the attention of the
    quantized model itself.
    """
    check_output(output, path)
    with stdout_for_json(json) as stream:
        if not is_bundle(path):
            choose_backend(backend)
        opened = open_any(path)
        if opened.task_name == PREDICTION:
            raise typer.BadParameter(f"{path} is a model of arrays, whose attention weights are not known")
        if opened.task_name == "translation":
            if words:
                raise typer.BadParameter("--words is not for translators")
            answer = draw_translation(opened, text, output, beam or 1, heads)
        else:
            if beam is not None or heads is not None:
                raise typer.BadParameter("--beam and --heads are for translators; others show all heads")
            answer = None
            draw_reading(opened.task, text, output, words=words)
        if json:
            translation = {} if answer is None else {"output": answer}
            print_json({"input": text, **translation, "picture": output}, stream)
        else:
            note(f"{output}: {text if answer is None else answer}")


def draw_reading(reader: "EncoderTask | Generator", text: str, output: Path, *, words: bool = False) -> None:
    """Draw the weights of every head with which an encoder or a language model reads a text.

    Args:
        reader: what reads.
        text: what it reads.
        output: where to; .html is the head view.
        words: whether the pieces of each word are gathered.

    Raises:
        typer.BadParameter: the text is empty.
        BundleError: a bundle was exported without its heads.
        TextTooLong: the text has more tokens than the model takes.
    """
    from keras_attn.pictures import attention_heads, whole_words

    if not text.strip():
        raise typer.BadParameter("there is nothing to draw: the text is empty")
    pieces, weights = reader.heads(text)
    if words:
        weights, pieces = whole_words(weights, pieces)
    attention_heads(weights, pieces, pieces, output, title=" ".join(text.split()))


def draw_translation(opened: Opened, text: str, output: Path, beam: int, heads: str | None) -> str:
    """Translate a text and draw the alignment, or one of the three attentions head by head.

    Returns:
        The translation.

    Raises:
        typer.BadParameter: there is nothing to draw, or the heads of a bundle are asked for.
    """
    from keras_attn.pictures import alignment_page

    translation = opened.task.translate(text, beam=beam, alignments=True)
    alignment = alignment_of(translation)
    if heads is None:
        alignment_page([alignment], output)
    else:
        draw_heads(opened, translation, alignment, heads, output)
    return translation.text


def alignment_of(translation: "Translation") -> "Alignment":
    """Bring a translation with its attention into the form that is drawn.

    Raises:
        typer.BadParameter: the text or its translation is empty, or the model has no attention.
    """
    best = translation.outputs[0]
    if not translation.source_ids or not best.ids:
        empty = "translation" if translation.source_ids else "text"
        raise typer.BadParameter(f"there is nothing to draw: the {empty} is empty")
    if best.alignment is None:
        raise typer.BadParameter("this model has no attention over its source: there is nothing to draw")
    return translation.to_alignment()


def draw_heads(
    opened: Opened, translation: "Translation", alignment: "Alignment", which: str, output: Path
) -> None:
    """Draw the weights of every head with which a Transformer made its translation.

    Raises:
        typer.BadParameter: the model is not a Transformer on Keras.
    """
    import numpy as np

    from keras_attn.pictures import attention_heads

    scores_of = getattr(opened.source and opened.source.model, "attention_scores", None)
    if scores_of is None:
        raise typer.BadParameter(
            "--heads needs the run folder of a Transformer: a bundle has only the mean of the heads"
        )
    start = opened.task.tokenizer.special_ids["start"]
    target = [start, *translation.outputs[0].ids][:-1]
    inputs = {
        "encoder_token_ids": np.asarray([translation.source_ids], np.int32),
        "decoder_token_ids": np.asarray([target], np.int32),
    }
    weights = np.asarray(scores_of(inputs)[which])[:, 0]  # (L, H, T, S)
    source, target_pieces = alignment.source_pieces, alignment.target_pieces
    read = [opened.task.tokenizer.target.token(start), *target_pieces][: len(target)]
    # A row of the decoder stands for the piece that it produces, a column for one that it has read.
    axes = {"encoder": (source, source), "decoder": (read, target_pieces), "cross": (source, target_pieces)}
    columns, rows = axes[which]
    attention_heads(weights, columns, rows, output, title=f"{which}: {alignment.title}")
