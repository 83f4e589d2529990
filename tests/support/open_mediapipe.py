"""MediaPipe's own text tasks as a process: a file and texts in, its answers out, all as JSON.

PYTHONPATH=.venv/mediapipe python tests/support/open_mediapipe.py < {"task", "file", "texts"}
"""

import json
import os
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / ".venv" / "mediapipe"
"""Where `make test` puts it."""


def answers(task: str, file: Path, texts: list[str]) -> list:
    """Return what MediaPipe answers: of each text an embedding, or probabilities by label."""
    asked = json.dumps({"task": task, "file": str(file), "texts": texts})
    environment = {**os.environ, "PYTHONPATH": str(FOLDER), "GLOG_minloglevel": "2"}
    done = subprocess.run(
        [sys.executable, __file__],
        input=asked,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def main() -> None:
    """Answer what standard input asks."""
    from mediapipe.tasks.python import text  # pyright: ignore[reportMissingImports]
    from mediapipe.tasks.python.core.base_options import BaseOptions  # pyright: ignore[reportMissingImports]

    asked = json.load(sys.stdin)
    base = BaseOptions(model_asset_path=asked["file"])
    if asked["task"] == "embedding":
        with text.TextEmbedder.create_from_options(text.TextEmbedderOptions(base_options=base)) as task:
            found = [task.embed(each).embeddings[0].embedding for each in asked["texts"]]
            print(json.dumps([[float(value) for value in each] for each in found]))
        return
    with text.TextClassifier.create_from_options(text.TextClassifierOptions(base_options=base)) as task:
        found = [task.classify(each).classifications[0].categories for each in asked["texts"]]
        print(json.dumps([{each.category_name: each.score for each in one} for one in found]))


if __name__ == "__main__":
    main()
