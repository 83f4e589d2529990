"""Translate the same sentences in a browser and with Python, greedy and with a beam, and compare the tokens.

    python demos/web/compare.py runs/demo/dates-int8 dates.txt --count 500

The file has a sentence per line. It needs Node with the packages of demos/web (`npm ci`) and Chromium.
"""

import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer

from keras_attn import device
from keras_attn.cli import run_program, run_script
from keras_attn.device.translator import Translator

SCRIPT = Path(__file__).parent / "drive" / "translate.mjs"


def main(
    bundle: Annotated[Path, typer.Argument(help="Bundle of a translator.")],
    sentences: Annotated[Path, typer.Argument(help="Text file, a sentence per line.")],
    count: Annotated[int, typer.Option(min=1, help="Sentences to compare.")] = 500,
    beam: Annotated[int, typer.Option(min=2, help="Hypotheses of the wider search.")] = 4,
) -> None:
    """Print how many sentences have the same tokens, and how long each side took."""
    translator = device.load(bundle, whole_vocabulary=True)  # as the page does
    assert isinstance(translator, Translator)
    lines = (line.strip() for line in sentences.read_text(encoding="utf-8").splitlines())
    texts = [line for line in lines if line and translator.fits(line)][:count]
    with tempfile.TemporaryDirectory() as folder:
        site = Path(folder) / "site"
        if run_program(["web", str(bundle), "--output", str(site)]):
            raise typer.Exit(2)
        jobs = [{"bundle": bundle.stem, "beam": width, "texts": texts} for width in (1, beam)]
        done = subprocess.run(["node", SCRIPT, site], input=json.dumps(jobs), capture_output=True, text=True)
    if done.returncode:
        raise typer.BadParameter((done.stdout or done.stderr)[-500:])
    for width, found in zip((1, beam), json.loads(done.stdout), strict=True):
        began = time.perf_counter()
        expected = translator.translate(texts, beam=width)
        python_ms = 1000 * (time.perf_counter() - began)
        pairs = list(zip(texts, found["outputs"], expected, strict=True))
        different = [(text, one, other) for text, one, other in pairs if one["ids"] != other.outputs[0].ids]
        print(
            f"beam {width}: {len(texts) - len(different)} of {len(texts)} sentences have the same tokens; "
            f"{found['ms'] / len(texts):.1f} ms a sentence in the browser, {python_ms / len(texts):.1f} in "
            "Python; "
            f"runtime's memory after each hundred: {found['memory']}"
        )
        for text, one, other in different[:5]:
            print(f"  {text}")
            print(f"    browser {one['score']:.4f} {one['text']}")
            print(f"    Python  {other.score:.4f} {other}")


if __name__ == "__main__":
    run_script(main)
