"""A Matplotlib figure that a notebook shows, whether or not `pyplot` was ever imported."""

import io

from matplotlib.figure import Figure


class NotebookFigure(Figure):
    """`matplotlib.figure.Figure` that IPython displays by itself."""

    def _repr_png_(self) -> bytes:
        image = io.BytesIO()
        self.savefig(image, format="png", bbox_inches="tight", pad_inches=0.15)
        return image.getvalue()
