"""Writes mediapipe_ids.json: the ids that MediaPipe makes of `HARD_TEXTS` by a vocabulary of characters.

    PYTHONPATH=tests/support:export python tests/golden/make_mediapipe.py

`make test` puts MediaPipe (1.2.3 made the file) into .venv/mediapipe.
"""

import json
import tempfile
from pathlib import Path

from mediapipe_ids import carried, returning_ids
from open_mediapipe import answers

from keras_attn.device.proof.tokenizer_proof import HARD_TEXTS

END = 3


def main() -> None:
    """Write the file."""
    with tempfile.TemporaryDirectory() as folder:
        file = returning_ids(1000, Path(folder) / "ids.tflite")
        found = answers("embedding", file, [carried(text) for text in HARD_TEXTS])
    ids = [[int(number) for number in row] for row in found]
    ended = [row[: len(row) - row[::-1].index(END)] for row in ids]
    text = "[\n" + ",\n".join(json.dumps(row, separators=(",", ":")) for row in ended) + "\n]\n"
    (Path(__file__).parent / "mediapipe_ids.json").write_text(text, "utf-8")


if __name__ == "__main__":
    main()
