"""Fill the masks of a text, by a bundle, a run folder or a pretrained folder of a masked language model.

    python demos/fill_mask.py --model runs/words "The match was [MASK] on Sunday."
    python demos/fill_mask.py --model bert-base-uncased "The capital of France is [MASK]."
    python demos/fill_mask.py                      no model: learn to read dates first, in a minute or two

`keras-attn train masked-lm --train texts/ --output runs/words` learns from texts of your own.
"""

from pathlib import Path
from typing import Annotated

import typer

from keras_attn.cli import run_script
from keras_attn.commands.encoders import open_encoder
from keras_attn.device.encoder_tasks import MaskFiller

DATES = ["friday, 5 [MASK] 2018", "24. [MASK] 1999", "5 juin [MASK]"]


def learn_dates(folder: Path, steps: int) -> Path:
    """Train a small model on dates as people write them in many languages."""
    from keras_attn.commands.environment import choose_backend

    choose_backend()
    from keras_attn.data import load_corpus
    from keras_attn.training import MaskedLMConfig, train_masked_lm

    corpus = load_corpus("dates")
    texts = folder.with_name(f"{folder.name}-texts")
    texts.mkdir(parents=True, exist_ok=True)
    for name, pairs in (("train", corpus.train), ("validation", corpus.validation)):
        (texts / f"{name}.txt").write_text("".join(f"{text}\n" for text, _ in pairs), "utf-8")
    config = MaskedLMConfig.recommended(
        train=(str(texts / "train.txt"),), validation=(str(texts / "validation.txt"),),
        whole_words=True, vocabulary_size=2000, max_tokens=64, steps=steps, evaluations=2,
    )  # fmt: skip
    return train_masked_lm(config, folder).folder


def main(
    texts: Annotated[list[str] | None, typer.Argument(help="Texts with [MASK] in them.")] = None,
    model: Annotated[str | None, typer.Option(help="Bundle, run folder or pretrained folder.")] = None,
    top: Annotated[int, typer.Option(min=1, help="Words for each mask.")] = 5,
    output: Annotated[Path, typer.Option(help="Run folder that is made without --model.")] = Path(
        "runs/date-words"
    ),
    steps: Annotated[int, typer.Option(min=1, help="Steps of its training.")] = 400,
) -> None:
    """Print the likeliest words for each mask."""
    if model is None:
        if not output.exists():
            typer.echo(f"No --model is given: {output} learns to read dates.")
            learn_dates(output, steps)
        texts, model = texts or DATES, str(output)
    filler = open_encoder(model)
    if not isinstance(filler, MaskFiller) or not texts:
        raise typer.BadParameter("give texts, and a masked language model")
    for text in texts:
        typer.echo(f"\n{text}")
        for found in filler.fill_mask(text, top).outputs:
            typer.echo(f"  {found.score:6.1%}  {found.text}")


if __name__ == "__main__":
    run_script(main)
