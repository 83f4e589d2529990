"""Fill the masks of a text, by a bundle, a run folder or a pretrained folder of a masked language model.

    python demos/fill_mask.py --model runs/words "The match was [MASK] on Sunday."
    python demos/fill_mask.py --model bert-base-uncased "The capital of France is [MASK]."
    python demos/fill_mask.py                      no model: train a tiny one first, on calendar sentences

`keras-attn train masked-lm --train texts/ --output runs/words` learns from texts of your own.
"""

import calendar
from pathlib import Path
from typing import Annotated

import typer

from keras_attn.cli import run_script
from keras_attn.commands.encoders import open_encoder
from keras_attn.device.encoder_tasks import MaskFiller

TEXTS = ["[MASK] comes before Friday.", "June comes after [MASK].", "After [MASK] comes [MASK]."]


def learn_calendar(folder: Path, steps: int) -> None:
    """Train a tiny model on sentences about days and months.

    In a few hundred steps it learns that a name is wanted, not yet which one.
    """
    from keras_attn.commands.environment import choose_backend, keep_freed_memory
    from keras_attn.commands.progress import TrainingBar

    choose_backend()
    keep_freed_memory()
    from keras_attn.training import MaskedLMConfig, train_masked_lm

    rounds = [[*calendar.day_name], [*calendar.month_name][1:]]
    pairs = [pair for names in rounds for pair in zip(names, [*names[1:], names[0]], strict=True)]
    lines = [f"{a} comes before {b}.\n{b} comes after {a}.\nAfter {a} comes {b}.\n" for a, b in pairs]
    texts = folder.with_name(f"{folder.name}.txt")
    texts.parent.mkdir(parents=True, exist_ok=True)
    texts.write_text("".join(lines) * 50, "utf-8")
    config = MaskedLMConfig.recommended(
        train=(str(texts),), whole_words=True, vocabulary_size=400, max_tokens=32, steps=steps, evaluations=2,
        warmup=50, batch_size=64,
    )  # fmt: skip
    with TrainingBar() as bar:
        train_masked_lm(config, folder, progress=bar)


def main(
    texts: Annotated[list[str] | None, typer.Argument(help="Texts with [MASK] in them.")] = None,
    model: Annotated[str | None, typer.Option(help="Bundle, run folder or pretrained folder.")] = None,
    top: Annotated[int, typer.Option(min=1, help="Words for each mask.")] = 5,
    output: Annotated[Path, typer.Option(help="Run folder that is made without --model.")] = Path(
        "runs/calendar-words"
    ),
    steps: Annotated[int, typer.Option(min=1, help="Steps of its training.")] = 500,
) -> None:
    """Print the likeliest words for each mask."""
    if model is None:
        if not output.exists():
            typer.echo(f"No --model is given: {output} learns the calendar first.")
            learn_calendar(output, steps)
        texts, model = texts or TEXTS, str(output)
    filler = open_encoder(model)
    if not isinstance(filler, MaskFiller) or not texts:
        raise typer.BadParameter("give texts, and a masked language model")
    for text in texts:
        typer.echo(f"\n{text}")
        for found in filler.fill_mask(text, top).outputs:
            typer.echo(f"  {found.score:6.1%}  {found.text}")


if __name__ == "__main__":
    run_script(main)
