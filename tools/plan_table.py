"""Writes the table of docs/plan.md from the plans that `keras-attn plan ... --output` has written.

python tools/plan_table.py
"""

import json
from pathlib import Path

from keras_attn.device.files.atomic_write import write_text

ROOT = Path(__file__).parents[1]
PAGE, PLANS = ROOT / "docs" / "plan.md", ROOT / "benchmarks" / "plans"
BEGIN, END = "<!-- table -->\n", "<!-- end of table -->\n"
HEAD = (
    "| model | chips | mesh | rows × tokens | attention | memory, GiB of | TFLOP | by theory | all-reduces | "
    "gathers in blocks | in place | compiled in |\n|---|---|---|---|---|---|---|---|---|---|---|---|\n"
)


def row(found: dict) -> str:
    """Return a plan's row."""
    request, gib = found["request"], 2**30
    collectives = found["collectives"]
    reduced = collectives.get("all-reduce", {"count": 0, "bytes": 0})
    gathered = collectives.get("all-gather", {"in_blocks": 0})["in_blocks"]
    cells = (
        request["model"],
        request["topology"],
        request["run_options"]["mesh"] or "data",
        f"{found['rows']} × {found['sequence']}",
        "splash" if found["kernels"] else "plain",
        f"{found['bytes_per_chip'] / gib:.2f} of {found['hbm_bytes'] / gib:.2f}",
        f"{found['flops_per_chip'] / 1e12:.3f}",
        f"{found['flops_per_chip'] / found['theoretical_flops_per_chip']:.3f}",
        f"{reduced['count']}, {reduced['bytes'] / 1e6:.0f} MB",
        str(gathered),
        f"{found['donated_bytes'] / found['state_bytes']:.0%}",
        f"{found['compile_seconds']:.0f} s",
    )
    return f"| {' | '.join(cells)} |\n"


def table() -> str:
    """Return the whole table."""
    plans = (json.loads(path.read_text("utf-8")) for path in sorted(PLANS.rglob("*.json")))
    return HEAD + "".join(map(row, plans))


def page() -> str:
    """Return the page with the table as it should be."""
    text = PAGE.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}{table()}{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    write_text(PAGE, page())
