"""Make the bundles that have names: train, export, prove, evaluate, describe, register.

    python tools/bundles/make.py dates en-ja ja-en news en-de          each continues where it stopped
    python tools/bundles/make.py en-de --finish                        with the checkpoints that there are
    python tools/bundles/make.py --page                                only docs/bundles.md, from the registry

It runs in the root of a checkout, with the corpora in `data/`: `enja/` (train and dev of the Tanaka corpus),
`multi30k/` and `ag_news/`. Runs are written to `runs/bundles`, bundles to `demos/bundles`, the .zip files of
a release to `dist`; with `--release URL` the registry says that they lie below that address.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Annotated, Any

import typer
from recipes import RECIPES, Recipe

from keras_attn.bundles.registry import FILE
from keras_attn.device.files.atomic_write import write_text

ROOT = Path(__file__).parents[2]
RUNS, BUNDLES = ROOT / "runs" / "bundles", ROOT / "demos" / "bundles"
PAGE = ROOT / "docs" / "bundles.md"
CARD = "README.md"
MINUTES = "minutes.json"
HEAD = """# Bundles to try at once

Small models that run without training, after `pip install` or in a checkout. They come with the package; one
that does not is downloaded once, checked against its SHA-256, and kept in `$KERAS_ATTN_CACHE/bundles` or the
platform's cache folder. Without a network, put the file there. What lies at a path wins over a name.

```
keras-attn run dates "Dienstag, 5. Juni 2018"
keras-attn verify dates
keras-attn web dates --output site
```

`keras_attn.load("dates").translate("5 juin 2018").text` does the same in Python. Each was made by
`python tools/bundles/make.py NAME`, with one seed and nothing tuned on a test set, and carries its proof and
a card. `make docs` writes this page.
"""


def command(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run keras-attn in the root of the checkout."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "GOMP_SPINCOUNT": "3000"}
    program = [sys.executable, "-m", "keras_attn", *arguments]
    return subprocess.run(program, cwd=ROOT, env=environment, text=True, check=True, **options)


def answer(*arguments: str) -> dict[str, Any]:
    """Run keras-attn, and return the JSON object that it prints."""
    return json.loads(command(*arguments, "--json", stdout=subprocess.PIPE).stdout)


def train(name: str, recipe: Recipe, finish: bool) -> Path:
    """Train, or continue a training, or end it with what it has; return the run folder."""
    run = RUNS / name
    going_on = (run / "run.json").is_file()
    if (run / "model.keras").is_file():
        state = json.loads((run / "run.json").read_text("utf-8"))
        if finish or state["step"] == state["total_steps"]:
            return run
    more = (["--resume"] if going_on else []) + (["--finish"] if finish and going_on else [])
    if recipe.prepare and not (ROOT / recipe.prepare[1]).exists():
        subprocess.run([sys.executable, *recipe.prepare], cwd=ROOT, check=True)
    begin, before = time.monotonic(), _minutes(run)
    try:
        command("train", *recipe.train, "--output", str(run), *more)
    finally:
        if run.is_dir():
            minutes = before + (time.monotonic() - begin) / 60
            write_text(run / MINUTES, json.dumps({"minutes": round(minutes, 1)}))
    return run


def _minutes(run: Path) -> float:
    path = run / MINUTES
    return json.loads(path.read_text("utf-8"))["minutes"] if path.is_file() else 0.0


def figures_of(bundle: Path, recipe: Recipe, run: Path) -> dict[str, Any]:
    """Evaluate and verify a bundle, and count what its training took."""
    scores = answer("evaluate", str(bundle), *recipe.evaluate)
    verified = answer("verify", str(bundle))
    if not verified["ok"]:
        raise SystemExit(f"{bundle} does not verify")
    training = json.loads((run / "run.json").read_text("utf-8"))
    wanted = ("bleu", "chrf", "exact_match", "accuracy", "macro_f1", "f1", "sentences", "rows", "texts")
    return {
        **{name: scores[name] for name in wanted if scores.get(name) is not None},
        "model_bytes": (bundle / "model.tflite").stat().st_size,
        "steps": training["step"],
        "planned_steps": training["total_steps"],
        "minutes": _minutes(run),
        "seed": training["training"]["seed"],
        "checks": len(verified["rungs"]),
    }


def zip_of(bundle: Path, path: Path) -> None:
    """Write a bundle as a .zip that depends on the files only, not on when and where it is made."""
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(bundle.iterdir()):
            entry = zipfile.ZipInfo(file.name, (2000, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, file.read_bytes(), zipfile.ZIP_DEFLATED, compresslevel=9)


def card(name: str, recipe: Recipe, figures: dict[str, Any], history: str) -> str:
    """Write a model card."""
    rows = "\n".join(f"| {key.replace('_', ' ')} | {_shown(value)} |" for key, value in figures.items())
    prepare = f"python {_shell(recipe.prepare)}\n" if recipe.prepare else ""
    return f"""# {name}: {recipe.title}

- **Data**: {recipe.data}
- **Licence**: {recipe.licence}
- **Limits**: {recipe.limits}
- **Try it**: `keras-attn run {name} "{recipe.example}"`
- **Made by** `python tools/bundles/make.py {name}`, which runs

```
{prepare}keras-attn train {_shell(recipe.train)} --output runs/{name}
keras-attn export runs/{name} {name} --recipe int8 {_shell(recipe.export)}
keras-attn evaluate {name} {_shell(recipe.evaluate)}
```

| figure | of the int8 bundle |
|---|---|
{rows}

The proof is in report.md; `keras-attn verify {name}` repeats it. The training's history:

```
{history.strip()}
```
"""


def _shell(arguments: tuple[str, ...]) -> str:
    return " ".join(f"'{each}'" if " " in each else each for each in arguments)


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else value


def register(
    name: str, recipe: Recipe, bundle: Path, figures: dict[str, Any], output: Path, release: str
) -> None:
    """Write the .zip for the release, and the registry's entry."""
    output.mkdir(parents=True, exist_ok=True)
    path = output / f"{name}.zip"
    zip_of(bundle, path)
    registry = json.loads(FILE.read_text("utf-8"))
    registry["bundles"][name] = {
        "title": recipe.title,
        "task": json.loads((bundle / "manifest.json").read_text("utf-8"))["task"],
        "url": release and f"{release}/{path.name}",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "bytes": path.stat().st_size,
        "licence": recipe.licence,
        "example": recipe.example,
        "figures": figures,
    }
    ordered = [each for each in RECIPES if each in registry["bundles"]]
    registry["bundles"] = {each: registry["bundles"][each] for each in ordered}
    write_text(FILE, json.dumps(registry, ensure_ascii=False, indent=1) + "\n")


def page() -> str:
    """Return docs/bundles.md, from the registry."""
    lines = [HEAD, "| name | what it does | quality | size | licence |", "|---|---|---|---|---|"]
    for name, entry in json.loads(FILE.read_text("utf-8"))["bundles"].items():
        figures = entry["figures"]
        quality = next(
            text.format(figures[key])
            for key, text in (
                ("exact_match", "{:.1%} exact"),
                ("accuracy", "{:.1%} right"),
                ("f1", "{:.1%} F1"),
                ("bleu", "{:.1f} BLEU"),
            )
            if key in figures and (key != "exact_match" or name == "dates")
        )
        if figures["steps"] < figures["planned_steps"]:
            quality += f" [1], after {figures['steps']:,} of {figures['planned_steps']:,} steps"
        size = f"{entry['bytes'] / 1e6:.1f} MB"
        title = f"[{entry['title']}](../demos/bundles/{name}/{CARD})"
        lines.append(
            f"| `{name}` | {title}; `{entry['example']}` | {quality} | {size} | {entry['licence']} |"
        )
    if any("[1]" in line for line in lines):
        lines.append("\n[1] The training was ended early; the same command without `--finish` reaches more.")
    return "\n".join(lines) + "\n"


def main(
    names: Annotated[list[str] | None, typer.Argument(help=", ".join(RECIPES))] = None,
    finish: Annotated[bool, typer.Option("--finish", help="End trainings that have begun.")] = False,
    only_page: Annotated[bool, typer.Option("--page", help="Write docs/bundles.md only.")] = False,
    release: Annotated[str, typer.Option(help="Address that the .zip files are published below.")] = "",
    output: Annotated[Path, typer.Option(help="Folder for the .zip files of a release.")] = ROOT / "dist",
) -> None:
    """Make bundles one after another."""
    if unknown := set(names or ()) - RECIPES.keys():
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}: there are {', '.join(RECIPES)}")
    for name in [] if only_page else names or RECIPES:
        recipe, bundle = RECIPES[name], BUNDLES / name
        run = train(name, recipe, finish)
        shutil.rmtree(bundle, ignore_errors=True)
        command("export", str(run), str(bundle), "--recipe", "int8", *recipe.export)
        figures = figures_of(bundle, recipe, run)
        history = (run / "history.csv").read_text("utf-8")
        write_text(bundle / CARD, card(name, recipe, figures, history))
        register(name, recipe, bundle, figures, output, release)
        write_text(PAGE, page())
    write_text(PAGE, page())


if __name__ == "__main__":
    typer.run(main)
