"""Tries to export what no bundle can hold, and prints the refusals.

Usage: python -m zoo.refuse_zoo NAME ..., which prints a line of JSON for each model.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile


def main(names: list[str]) -> None:
    """Print for each model the error, which words it lacks, and what was left behind."""
    import keras_attn
    from zoo.refused import CASES

    for name in names:
        build, words = CASES[name]
        with tempfile.TemporaryDirectory() as folder:
            try:
                keras_attn.export(build(), os.path.join(folder, "bundle"), "fp32")
                kind, message = "", "it was exported"
            except Exception as error:  # the kind is tested
                kind, message = type(error).__name__, str(error)
            left = os.listdir(folder)
        missing = [word for word in words if word not in message]
        print(json.dumps({"name": name, "kind": kind, "message": message, "missing": missing, "left": left}))


if __name__ == "__main__":
    main(sys.argv[1:])
