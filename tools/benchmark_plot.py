"""Draw docs/images/relative-time.png from the tables of docs/benchmarks.md: `make docs`."""

import re
from pathlib import Path

from keras_attn.pictures.figure import INK, MUTED, SERIES, new_figure, plain_axes, written

DOCS = Path(__file__).parents[1] / "docs"
# Label -> section, beginning of the row, column, and which number in the cell (or the two columns to divide).
BARS = {
    "decode tiny, greedy (CTranslate2)": ("Decoding", "tiny (", 1, 0),
    "decode tiny, beam size 4 (CTranslate2)": ("Decoding", "tiny (", 2, 0),
    "decode opus, greedy (CTranslate2)": ("Decoding", "opus (", 1, 0),
    "decode opus, beam size 4 (CTranslate2)": ("Decoding", "opus (", 2, 0),
    "translate lists of 128, greedy (CTranslate2)": ("Decoding", "lists of 128", 1, 0),
    "MiniLM, Xeon (onnxruntime)": ("Sentence", "int8 on LiteRT", 5, 0),
    "MiniLM, AMD with AVX2 (onnxruntime)": ("Sentence", "int8 on LiteRT", 6, 0),
    "train Transformer tiny, JAX (KerasHub)": ("Training steps", "Transformer tiny", 2, 3),
    "train Transformer base, JAX (KerasHub)": ("Training steps", "Transformer base", 2, 3),
    "train BERT-base, JAX (KerasHub)": ("Training steps", "BERT-base", 2, 3),
}


def ratios(page: str) -> dict[str, float]:
    """Return our time over the other library's of each bar, as the page's tables have it."""
    sections = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", page, re.DOTALL | re.MULTILINE))
    found = {}
    for label, (title, row, column, which) in BARS.items():
        text = next(text for name, text in sections.items() if name.startswith(title))
        line = next(line for line in text.splitlines() if line.startswith(f"| {row}"))
        cells = [
            [float(each.replace(",", "")) for each in re.findall(r"\d+(?:,\d{3})*(?:\.\d+)?", cell)]
            for cell in line.split("|")[1:-1]
        ]
        divided = title == "Training steps"
        found[label] = cells[column][0] / cells[which][0] if divided else cells[column][which]
    return found


def draw(path: Path) -> None:
    """Draw one bar for each comparison; what takes longer than the other library has another color."""
    found = ratios((DOCS / "benchmarks.md").read_text("utf-8"))
    figure = new_figure(7.2, 3.6)
    axes = figure.add_subplot()
    colors = [SERIES[0] if value <= 1 else SERIES[1] for value in found.values()]
    places = range(len(found), 0, -1)
    axes.barh(places, list(found.values()), color=colors, height=0.62)
    for place, value in zip(places, found.values(), strict=True):
        axes.text(value - 0.015, place, f"{value:.2f}", ha="right", va="center", fontsize=9, color="white")
    axes.axvline(1, color=MUTED, linewidth=1, linestyle="--")
    plain_axes(axes)
    axes.grid(visible=False)
    axes.set_yticks(list(places), list(found), color=INK)
    axes.set_xlim(0, 1.3)
    axes.set_xlabel("time of keras-attn / time of the other library (less is better)")
    written(figure, path)


if __name__ == "__main__":
    draw(DOCS / "images" / "relative-time.png")
