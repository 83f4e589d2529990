"""Proves small bundles of every task and recipe on every runtime, and writes docs/runtimes.json and .md.

    python demos/runtimes/matrix.py --work build/runtimes    # an hour; it goes on where it was stopped

It fails if a bundle computes something else on a runtime that its manifest lists.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from browser import Browser
from bundles import KINDS, make_bundle
from cache import MissingError, note
from environments import ENVIRONMENTS, MAIN_PYTHON, Environment
from keras_attn_export import ExportError
from keras_attn_export.recipes import RECIPES
from keras_attn_export.single_file import NAME, write_single_file
from page import write_results
from proving import prove

# Where another Python or an emulated processor would only repeat what is known, two tasks stand for all.
FEW = ("translation, Transformer", "classification, BERT")


def everywhere(kind: str, environment: Environment | Browser) -> bool:
    """Whether a kind of bundle is proven in an environment."""
    if isinstance(environment, Browser) and kind.startswith("language model"):
        return False  # the web app has none
    return kind in FEW or (environment.python in (MAIN_PYTHON, "") and environment.machine != "aarch64")


def main(
    work: Annotated[Path, typer.Option(help="Folder for bundles and results.")] = Path("build/runtimes"),
    recipes: Annotated[str, typer.Option(help="Which recipes.")] = ",".join(RECIPES),
    only: Annotated[str, typer.Option(help="Only environments with this in their title.")] = "",
) -> None:
    """Prove, and write the page."""
    work.mkdir(parents=True, exist_ok=True)
    program = write_single_file(work / NAME)
    missing: dict[str, str] = {}
    for recipe in recipes.split(","):
        for kind in KINDS:
            try:
                bundle = make_bundle(kind, recipe, work / "bundles")
            except ExportError as error:
                note(f"{kind}, {recipe}: not exported: {error}")
                continue
            for environment in (*ENVIRONMENTS, Browser()):
                if not everywhere(kind, environment) or environment.title in missing:
                    continue
                result = work / "results" / f"{bundle.name} on {environment.title}.json"
                if only not in environment.title or result.exists():
                    continue
                try:
                    found = prove(bundle, environment, program)
                except MissingError as error:
                    missing[environment.title] = str(error)
                    note(f"MISSING {environment.title}: {error}")
                    continue
                note(f"{kind}, {recipe}, {environment.title}: {found}")
                _keep(result, {"kind": kind, "recipe": recipe, **environment.as_json(), **found.as_json()})
    results = [json.loads(path.read_text("utf-8")) for path in sorted((work / "results").glob("*.json"))]
    write_results(results)
    wrong = [each for each in results if each["listed"] and not each["right"]]
    for each in wrong:
        note(f"WRONG where the manifest allows it: {each}")
    sys.exit(bool(wrong))


def _keep(path: Path, result: dict[str, Any]) -> None:
    path.parent.mkdir(exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_text(json.dumps(result), "utf-8")
    aside.replace(path)


if __name__ == "__main__":
    typer.run(main)
