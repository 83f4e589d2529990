"""Kill a download again and again, and let it continue.

    python tests/support/kills/interrupted_downloads.py --kills 25 --folder FOLDER

Each kill comes at a random moment after some more bytes have arrived. Prints the figures as JSON; exits 1 if
the file is not right in the end, or something else is left. The default tests do the same with a few kills.
"""

import argparse
import hashlib
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

from download_server import Server

ROOT = Path(__file__).resolve().parents[3]
FETCH = """
import sys
from pathlib import Path
from keras_attn.downloads import fetch
fetch(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
"""


def start(server: Server, content: bytes, folder: Path, name: str = "big.gz") -> subprocess.Popen:
    """Start a download in a process of its own."""
    digest = hashlib.sha256(content).hexdigest()
    command = [sys.executable, "-c", FETCH, f"{server.url}/{name}", str(folder / name), digest]
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)})


def interrupt(server: Server, content: bytes, folder: Path, kills: int, seed: int = 0) -> dict:
    """Download with kills until it is done: how many there were, and what is there in the end."""
    rng, part, killed = random.Random(seed), folder / "big.gz.part", 0
    while True:
        before = part.stat().st_size if part.exists() else 0
        process = start(server, content, folder)
        if killed < kills:
            while process.poll() is None and not (part.exists() and part.stat().st_size > before):
                time.sleep(0.002)
            time.sleep(rng.uniform(0, 0.03))
            process.kill()
        code = process.wait(120)
        if code == 0:
            break
        if code > 0:
            raise SystemExit(f"The download ended with code {code}.")
        killed += 1
    right = (folder / "big.gz").read_bytes() == content
    left = sorted({path.name for path in folder.iterdir()} - {"big.gz", ".lock"})
    return {"killed": killed, "right": right, "left": left}


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=25)
    parser.add_argument("--folder", type=Path, required=True)
    given = parser.parse_args()
    given.folder.mkdir(parents=True)
    server = Server()
    server.files["big.gz"], server.pause = random.Random(0).randbytes(given.kills * 200_000), 0.002
    try:
        figures = interrupt(server, server.files["big.gz"], given.folder, given.kills)
    finally:
        server.close()
    print(json.dumps(figures))
    return int(not figures["right"] or bool(figures["left"]))


if __name__ == "__main__":
    sys.exit(main())
