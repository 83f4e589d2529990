"""The history of a training: a row for each evaluation, as a CSV file and as a picture."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from keras_attn.device.files.atomic_write import write_text
from keras_attn.errors import ArgumentError
from keras_attn.training.errors import TrainingError
from keras_attn.training.run_folder import HISTORY, PICTURE


def read_history(folder: Path) -> list[dict]:
    """Read history.csv; before the first evaluation, return an empty list.

    Raises:
        TrainingError: if it is truncated or otherwise damaged; the line is named.
    """
    path = folder / HISTORY
    if not path.is_file():
        return []
    try:
        reader = csv.DictReader(io.StringIO(path.read_text("utf-8"), newline=""), strict=True)
        rows = []
        for row in reader:
            if None in row or None in row.values():
                raise ArgumentError("its number of fields is not that of the first line")
            rows.append({name: _number(value) for name, value in row.items()})
    except (csv.Error, ValueError) as error:
        raise TrainingError(
            f"{path}, line {reader.line_num}: the row cannot be read ({error}); --resume writes it again."
        ) from None
    return rows


def _number(value: str) -> float | int | None:
    if value == "":
        return None
    return int(value) if value.lstrip("-").isdigit() else float(value)


def write_history(folder: Path, rows: list[dict], metric: str) -> None:
    """Write history.csv and draw history.png, with the metric that selects the best checkpoint.

    Without rows both are removed.
    """
    from keras_attn.pictures.curves import training_curves

    if not rows:
        for name in (HISTORY, PICTURE):
            (folder / name).unlink(missing_ok=True)
        return
    lines = io.StringIO()
    writer = csv.DictWriter(lines, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    write_text(folder / HISTORY, lines.getvalue())
    training_curves(rows, folder / PICTURE, metric)
