"""Fill the masks of a text, by a bundle, a run folder or a pretrained folder of a masked language model.

    python demos/fill_mask.py --model runs/words "The match was [MASK] on Sunday."
    python demos/fill_mask.py --model bert-base-uncased "The capital of France is [MASK]."
    python demos/fill_mask.py                      no model: first one learns to count, in about a minute

`keras-attn train masked-lm --train texts/ --output runs/words` learns from texts of your own.
"""

import calendar
import random
from pathlib import Path
from typing import Annotated

import typer

import keras_attn
from keras_attn.cli import run_script
from keras_attn.commands.terminal.environment import choose_backend
from keras_attn.device.files.atomic_write import write_text

ROUNDS = [
    [*calendar.day_name],
    [*calendar.month_name][1:],
    ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"],
    ["Mercury", "Venus", "Earth", "Mars", "Jupiter", "Saturn", "Uranus", "Neptune"],
    ["spring", "summer", "autumn", "winter"],
]
TEXTS = [
    "Here come Monday Tuesday [MASK] Thursday.",
    "Here come five six [MASK] eight nine.",
    "Here come May [MASK] July [MASK] September.",
]


def learn_to_count(folder: Path, steps: int) -> None:
    """Train a tiny model on days, months, numbers, planets and seasons in their order.

    What is masked follows from what stands beside it, and dropout would only slow so small a task down.
    """
    from keras_attn.commands.terminal.environment import choose_backend, keep_freed_memory

    choose_backend()
    keep_freed_memory()
    from keras_attn import train

    rng, lines = random.Random(0), []
    for _ in range(6000):
        names = rng.choice(ROUNDS)
        first = rng.randrange(len(names))
        lines.append(f"Here come {' '.join([*names, *names][first : first + rng.randint(3, 6)])}.\n")
    texts = folder.with_name(f"{folder.name}.txt")
    write_text(texts, "".join(lines))
    train.masked_lm(
        folder, train=str(texts), vocabulary_size=500, max_tokens=16, mask_rate=0.2, steps=steps,
        evaluations=2, batch_size=64, learning_rate=3e-3, warmup=50, dropout=0.0,
    )  # fmt: skip


def main(
    texts: Annotated[list[str] | None, typer.Argument(help="Texts with [MASK] in them.")] = None,
    model: Annotated[str | None, typer.Option(help="Bundle, run folder or pretrained folder.")] = None,
    top: Annotated[int, typer.Option(min=1, help="Words for each mask.")] = 5,
    output: Annotated[Path, typer.Option(help="Run folder that is made without --model.")] = Path(
        "runs/counted-words"
    ),
    steps: Annotated[int, typer.Option(min=1, help="Steps of its training.")] = 600,
) -> None:
    """Print the likeliest words for each mask."""
    if model is None:
        if not output.exists():
            typer.echo(f"No --model is given: {output} learns to count first.")
            learn_to_count(output, steps)
        texts, model = texts or TEXTS, str(output)
    if not texts:
        raise typer.BadParameter("give texts with [MASK] in them")
    choose_backend()
    filler = keras_attn.load(model, task="masked-lm")
    for text in texts:
        typer.echo(f"\n{text}")
        for found in filler.fill_mask(text, top).outputs:
            typer.echo(f"  {found.score:6.1%}  {found.text}")


if __name__ == "__main__":
    run_script(main)
