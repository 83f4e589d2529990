"""Translate the same sentences in a browser and with Python, greedy and with a beam, and compare the tokens.

    python tests/support/web/web_compare.py runs/demo/dates-int8 dates.txt --count 500

The file has a sentence per line. It needs Node with the packages of demos/web (`npm ci`) and Chromium.
Where the tokens differ, it tells by what margin Python's search decided against the browser's translation.
What the proof accepts as an error of one score makes that a near-tie; more is wrong (exit code 1).
"""

import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from near_ties import WatchedStepModel, margin

from keras_attn import device
from keras_attn.cli import run_program, run_script
from keras_attn.data.readers.text_files import read_lines
from keras_attn.device.files.bundle import PROOF, Bundle
from keras_attn.device.proof.decoder_proof import Proof
from keras_attn.device.tasks.translation import Translation
from keras_attn.device.tasks.translator import Translator

SCRIPT = Path(__file__).parents[3] / "demos" / "web" / "drive" / "translate.mjs"


def main(
    bundle: Annotated[Path, typer.Argument(help="Bundle of a translator.")],
    sentences: Annotated[Path, typer.Argument(help="Text file, a sentence per line.")],
    count: Annotated[int, typer.Option(min=1, help="Sentences to compare.")] = 500,
    beam: Annotated[int, typer.Option(min=2, help="Hypotheses of the wider search.")] = 4,
) -> None:
    """Print how many sentences have the same tokens, how near the others are, and how long each side took."""
    translator = device.load(bundle, whole_vocabulary=True)  # as the page does
    assert isinstance(translator, Translator)
    accepted = Proof.load(Bundle.open(bundle).read(PROOF)).max_error
    lines = (line.strip() for line in read_lines(sentences))
    texts = [line for line in lines if line and translator.fits(line)][:count]
    wrong = 0
    for width, found in zip((1, beam), _in_browser(bundle, texts, (1, beam)), strict=True):
        began = time.perf_counter()
        expected = translator.translate(texts, beam=width)
        python_ms = 1000 * (time.perf_counter() - began)
        pairs = list(zip(found["outputs"], expected, strict=True))
        different = [
            (_margin(translator, one["ids"], other, width), one, other)
            for one, other in pairs
            if one["ids"] != other.outputs[0].ids
        ]
        far = sum(gap > accepted for gap, *_ in different)
        wrong += far
        print(
            f"beam {width}: {len(texts) - len(different)} of {len(texts)} sentences have the same tokens, "
            f"{len(different) - far} are near-ties (within {accepted:.4f}), {far} are wrong; "
            f"{found['ms'] / len(texts):.1f} ms a sentence in the browser, {python_ms / len(texts):.1f} in "
            f"Python; runtime's memory after each hundred: {found['memory']}"
        )
        for gap, one, other in different:
            print(f"  {other.input}")
            print(f"    margin {gap:.5f}")
            print(f"    browser {one['score']:.4f} {one['text']}")
            print(f"    Python  {other.score:.4f} {other}")
    raise typer.Exit(bool(wrong))


def _in_browser(bundle: Path, texts: list[str], beams: tuple[int, ...]) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        site = Path(folder) / "site"
        if run_program(["web", str(bundle), "--output", str(site)]):
            raise typer.Exit(2)
        jobs = [{"bundle": bundle.stem, "beam": width, "texts": texts} for width in beams]
        done = subprocess.run(["node", SCRIPT, site], input=json.dumps(jobs), capture_output=True, text=True)
    if done.returncode:
        raise typer.BadParameter((done.stdout or done.stderr)[-500:])
    return json.loads(done.stdout)


def _margin(translator: Translator, ids: list[int], expected: Translation, beam: int) -> float:
    """Search once more and see by how much the browser's translation was let go."""
    watched: list[WatchedStepModel] = []

    def step_models(steps: int) -> WatchedStepModel:
        watched.append(WatchedStepModel(translator.step_models(steps)))
        return watched[-1]

    again = Translator(
        step_models,
        translator.tokenizer,
        max_source_tokens=translator.max_source_tokens,
        max_target_tokens=translator.max_target_tokens,
        force_end=translator.force_end,
        early_stopping=translator.early_stopping,
    )
    again.translate(expected.input, beam=beam)
    special = translator.tokenizer.special_ids
    return margin(watched[0], [special["start"], *ids, special["end"]], expected.score, 1.0)


if __name__ == "__main__":
    run_script(main)
