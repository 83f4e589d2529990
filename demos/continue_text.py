"""Train a small GPT-2 on your own text, ship it as int8, and let it continue what you begin.

    python demos/continue_text.py "A man in a" --texts stories.txt --output runs/stories

Without --texts it reads this project's own pages, which is little, and shows. What is trained and exported
already is used again, so a second call answers at once, from the bundle on the device runtime.
"""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

from pathlib import Path
from typing import Annotated

import typer

from keras_attn import device
from keras_attn.cli import run_script

PAGES = Path(__file__).parents[1]


def make_bundle(texts: list[Path], steps: int, output: Path) -> Path:
    """Train and export, or find what was exported before."""
    from keras_attn_export import export

    from keras_attn import train
    from keras_attn.training.run_folder import MODEL

    run, bundle = output / "run", output / "bundle"
    if not bundle.exists():
        if not (run / MODEL).exists():
            pages = [*PAGES.glob("*.md"), *sorted((PAGES / "docs").rglob("*.md"))]
            files = [str(path) for path in texts or pages]
            train.causal_lm(run, resume=run.exists(), train=files, max_tokens=64, steps=steps)
        export(run, bundle, "int8", metric_sentences=100, progress=print)
    return bundle


def main(
    prompt: Annotated[str, typer.Argument(help="The beginning.")] = "The attention of",
    texts: Annotated[list[Path] | None, typer.Option(help="Files to learn from, .txt or .gz.")] = None,
    steps: Annotated[int, typer.Option(help="Optimizer steps of the training.")] = 400,
    temperature: Annotated[float, typer.Option(help="Sampling temperature; 0 is greedy.")] = 0.8,
    top_p: Annotated[
        float | None,
        typer.Option(help="Nucleus sampling: smallest set of tokens with this probability mass."),
    ] = None,
    max_length: Annotated[int, typer.Option(help="Tokens to add.")] = 30,
    seed: Annotated[int | None, typer.Option(help="Random seed.")] = None,
    output: Annotated[Path, typer.Option(help="Folder for the run and the bundle.")] = Path("runs/continue"),
) -> None:
    """Print a text as it grows."""
    generator = device.load(make_bundle(texts or [], steps, output), task="generation")
    print(prompt, end="")
    for part in generator.stream(
        prompt, temperature=temperature, top_p=top_p, max_length=max_length, seed=seed
    ):
        print(part, end="", flush=True)
    print()


if __name__ == "__main__":
    run_script(main)
