"""Proves small bundles of every task and recipe on every runtime, and writes docs/runtimes.md.

    python tools/runtimes/matrix.py --work build/runtimes    # it continues where it was stopped

It fails if a bundle computes something else on a runtime that its manifest lists.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from browser import Browser
from bundles import KINDS, ONLY, make_bundle
from cache import MissingError, note
from environments import BETWEEN, ENVIRONMENTS, MAIN_PYTHON, Environment
from keras_attn_export import ExportError
from keras_attn_export.recipes import RECIPES
from keras_attn_export.single_file import NAME, write_single_file
from page import write_results
from proving import prove

from keras_attn.device.files.atomic_write import write_text

# On other Pythons, versions in between and an emulated processor, two tasks stand for all.
FEW = ("translation, Transformer", "classification, BERT")
QUICK_FIRST = ("x86_64", "Chromium", "aarch64")


@dataclass(frozen=True)
class Made:
    """A bundle, and what it is of."""

    kind: str
    recipe: str
    path: Path


def everywhere(kind: str, environment: Environment | Browser) -> bool:
    """Return whether a kind of bundle is proven in an environment."""
    if isinstance(environment, Browser) and kind.startswith("language model"):
        return False  # the web app has none
    usual = environment.python in (MAIN_PYTHON, "") and environment.machine != "aarch64"
    return kind in FEW or (usual and environment.version not in BETWEEN)


def main(
    work: Annotated[Path, typer.Option(help="Folder for bundles and results.")] = Path("build/runtimes"),
    recipes: Annotated[str, typer.Option(help="Which recipes.")] = ",".join(RECIPES),
    only: Annotated[str, typer.Option(help="Only environments with this in their title.")] = "",
) -> None:
    """Prove, and write the page."""
    work.mkdir(parents=True, exist_ok=True)
    program = write_single_file(work / NAME)
    bundles = list(_exported(recipes.split(","), work))
    for environment in sorted((*ENVIRONMENTS, Browser()), key=lambda each: QUICK_FIRST.index(each.machine)):
        waiting = {
            made.path: (made, result)
            for made in bundles
            if only in environment.title
            and everywhere(made.kind, environment)
            and not (result := work / "results" / f"{made.path.name} on {environment.title}.json").exists()
        }
        try:
            for path, found in prove(list(waiting), environment, program):
                made, result = waiting[path]
                note(f"{made.kind}, {made.recipe}, {environment.title}: {found}")
                content = {
                    "kind": made.kind,
                    "recipe": made.recipe,
                    **environment.as_json(),
                    **found.as_json(),
                }
                write_text(result, json.dumps(content))
        except MissingError as error:
            note(f"MISSING {environment.title}: {error}")
    results = [json.loads(path.read_text("utf-8")) for path in sorted((work / "results").glob("*.json"))]
    write_results(results)
    wrong = [each for each in results if each["listed"] and not each["right"]]
    for each in wrong:
        note(f"WRONG where the manifest allows it: {each}")
    sys.exit(bool(wrong))


def _exported(recipes: list[str], work: Path) -> Iterator[Made]:
    for kind in KINDS:
        for recipe in recipes:
            if recipe not in ONLY.get(kind, RECIPES):
                continue
            try:
                yield Made(kind, recipe, make_bundle(kind, recipe, work / "bundles"))
                note(f"{kind}, {recipe}: exported")
            except ExportError as error:
                note(f"{kind}, {recipe}: not exported: {error}")


if __name__ == "__main__":
    typer.run(main)
