"""A gallery of attention pictures: position encodings, and what a Transformer run looks at.

python demos/gallery.py --output pictures
python demos/gallery.py --output pictures --run runs/multi30k --text "a girl climbs into a playhouse ."
"""

from pathlib import Path
from typing import Annotated

import typer

from keras_attn.commands.attention import alignment_of, draw_heads
from keras_attn.loading import open_any
from keras_attn.pictures import alignment_page, position_encoding


def main(
    output: Annotated[Path, typer.Option(help="Folder to write.")] = Path("pictures"),
    run: Annotated[Path | None, typer.Option(help="Run folder of a Transformer.")] = None,
    text: Annotated[str | None, typer.Option(help="Text that it translates.")] = None,
) -> None:
    """Draw the gallery."""
    if (run is None) != (text is None):
        raise typer.BadParameter("give both --run and --text, or neither")
    output.mkdir(parents=True, exist_ok=True)
    from keras_attn.layers import sine_table

    title = "SinePositionEncoding: 100 positions, 128 dimensions"
    position_encoding(sine_table(100, 128), output / "positions.png", title=title)
    if run is not None and text is not None:
        opened = open_any(run)
        translation = opened.task.translate(text, alignments=True)
        alignment = alignment_of(translation)
        alignment_page([alignment], output / "alignment.png")
        for which in ("encoder", "decoder", "cross"):
            draw_heads(opened, translation, alignment, which, output / f"heads-{which}.png")
    print(f"{output}: {', '.join(sorted(path.name for path in output.glob('*.png')))}")


if __name__ == "__main__":
    typer.run(main)
