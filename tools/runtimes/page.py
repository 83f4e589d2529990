"""Writes the tables of docs/runtimes.md from tools/runtimes/results.json, which matrix.py has measured.

python tools/runtimes/page.py
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from keras_attn.device.files.atomic_write import write_text

RESULTS = Path(__file__).with_name("results.json")
PAGE = Path(__file__).parents[2] / "docs" / "runtimes.md"
RECIPES = ("fp32", "fp16", "int8", "int8-weights", "int4-mixed")
MAIN_PYTHON = "3.11"
NAMES = {"tensorflow": "tf.lite of tensorflow", "@litertjs/core": "LiteRT.js"}
Result = dict[str, Any]


def column(result: Result) -> tuple[str, str, str]:
    """The heading of a result: the runtime, its version and the machine."""
    return result["runtime"], result["version"], result["machine"]


def title(key: tuple[str, str, str]) -> str:
    """A column's head."""
    runtime, version, machine = key
    where = {"aarch64": ", ARM", "x86_64": ""}.get(machine, f", {machine}")
    return f"{NAMES.get(runtime, runtime)} {version}{where}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def summary(results: Sequence[Result]) -> str:
    """Return the result of several bundles."""
    proven = sum(each["listed"] and each["right"] for each in results)
    wrong = sum(each["listed"] and not each["right"] for each in results)
    refused = len(results) - proven - wrong
    shown = [f"proven ({proven})"] * bool(proven) + [f"**WRONG ({wrong})**"] * bool(wrong)
    return ", ".join(shown + [f"refused ({refused})"] * bool(refused))


def forced(results: Sequence[Result]) -> str:
    """Return what refused bundles do where they are not refused."""
    seen = Counter(_ending(each) for each in results)
    return ", ".join(f"{count} {ending}" for ending, count in seen.most_common())


def _ending(result: Result) -> str:
    if result["right"]:
        return "would be right"
    says = result["says"]
    if says.startswith(("scores", "tokens", "answers", "shuffled", "exchanged")) and "difference" in says:
        return "would compute something else, silently"
    return "would fail aloud"


def tables(results: Sequence[Result]) -> dict[str, str]:
    """Return the measured parts of the page, by name."""
    main = [each for each in results if each["python"] in (MAIN_PYTHON, "")]
    columns = list(dict.fromkeys(column(each) for each in main))
    kinds = list(dict.fromkeys(each["kind"] for each in main))

    def of(key: tuple[str, str, str], **wanted: str) -> list[Result]:
        return [
            each
            for each in main
            if column(each) == key and all(each[name] == value for name, value in wanted.items())
        ]

    recipes = table(
        ["runtime", *RECIPES],
        [[title(key), *(summary(of(key, recipe=recipe)) for recipe in RECIPES)] for key in columns],
    )
    by_kind = table(
        ["kind of bundle", *map(title, columns)],
        [[kind, *(_recipes(of(key, kind=kind)) for key in columns)] for kind in kinds],
    )
    refusals = [
        f"- {title(key)}, {recipe}: {forced(refused)}.{_example(refused)}\n"
        for key in columns
        for recipe in RECIPES
        if (refused := [each for each in of(key, recipe=recipe) if not each["listed"]])
    ]
    return {"recipes": recipes, "kinds": by_kind, "refused": "".join(refusals), "pythons": _pythons(results)}


def written(text: str, results: Sequence[Result]) -> str:
    """Put the tables into a page, between the marks of their names."""
    for name, content in tables(results).items():
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        before, _, rest = text.partition(begin)
        text = f"{before}{begin}{content}{end}{rest.partition(end)[2]}"
    return text


def _recipes(results: Sequence[Result]) -> str:
    proven = [each["recipe"] for each in results if each["listed"] and each["right"]]
    ordered = sorted(proven, key=RECIPES.index)
    return "all" if len(ordered) == len(RECIPES) else ", ".join(ordered) or ("none" if results else "")


def _example(results: Sequence[Result]) -> str:
    worst = max(results, key=lambda each: (not each["right"], "difference" in each["says"]))
    if worst["right"]:
        return ""
    says = " ".join(worst["says"].partition("\n    at ")[0].split())
    shown = says if len(says) < 240 else says[:240] + " …"
    return f" For example {worst['kind']}: `{shown}`"


def _pythons(results: Sequence[Result]) -> str:
    few = {each["kind"] for each in results if each["python"] not in (MAIN_PYTHON, "")}
    native = [each for each in results if each["machine"] == "x86_64" and each["kind"] in few]
    versions = sorted({each["python"] for each in native}, key=lambda text: tuple(map(int, text.split("."))))
    rows = []
    for key in dict.fromkeys(column(each) for each in native):
        found = [each for each in native if column(each) == key]
        if {each["python"] for each in found} != {MAIN_PYTHON}:
            cells = [summary([each for each in found if each["python"] == version]) for version in versions]
            rows.append([title(key), *cells])
    return table(["runtime", *versions], rows)


def write_results(results: Sequence[Result]) -> None:
    """Write the file of results, in a fixed order, and the page's tables."""
    lines = ",\n".join(json.dumps(each, ensure_ascii=False) for each in sorted(results, key=_order))
    write_text(RESULTS, f"[\n{lines}\n]\n")
    write_text(PAGE, written(PAGE.read_text("utf-8"), read_results()))


def read_results() -> list[Result]:
    """Return what tools/runtimes/results.json has."""
    return json.loads(RESULTS.read_text("utf-8"))


def _order(result: Result) -> tuple[Any, ...]:
    runtimes = ("ai-edge-litert", "@litertjs/core", "tensorflow", "tflite-runtime")
    place = runtimes.index(result["runtime"]) if result["runtime"] in runtimes else len(runtimes)
    version = tuple(-int(number) for number in result["version"].split("."))
    return (
        result["machine"] == "aarch64",
        place,
        version,
        result["python"],
        RECIPES.index(result["recipe"]),
        result["kind"],
    )


if __name__ == "__main__":
    write_results(read_results())
