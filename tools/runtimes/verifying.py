"""Repeats the proofs of bundles with the device's program, and prints a report for each, as a line of JSON.

    python tools/runtimes/verifying.py keras_attn-device.pyz BUNDLE...

It is run by the Python of an environment, which may be older than the package's.
"""

import contextlib
import io
import json
import sys


def main(program: str, *bundles: str) -> None:
    """Do for each bundle what `python PROGRAM BUNDLE --verify --json` does, in one process."""
    sys.path[0] = program  # instead of this file's folder
    from keras_attn.device.__main__ import main as run

    for bundle in bundles:
        said, complained = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(complained):
            code = run([bundle, "--verify", "--json"])
        if code == 2:
            check = {"name": "program", "ok": False, "detail": complained.getvalue().strip()}
            print(json.dumps({"ok": False, "rungs": [check]}), flush=True)
        else:
            print(said.getvalue().strip(), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
