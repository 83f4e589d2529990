"""The proof run's report: `report.json` for programs, `report.md` for readers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from keras_attn.device.proof.checks import Check


def checks_json(checks: Sequence[Check]) -> list[dict[str, Any]]:
    """Return checks as plain values."""
    return [{"name": r.name, "ok": r.ok, "detail": r.detail, "figures": r.figures} for r in checks]


def report_json(facts: Mapping[str, Any], checks: Sequence[Check]) -> bytes:
    """Return the content of `report.json`: facts about the export, and every check with its figures."""
    content = {
        "ok": all(check.ok for check in checks),
        **facts,
        "rungs": checks_json(checks),
    }
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()


def report_markdown(facts: Mapping[str, Any], checks: Sequence[Check]) -> bytes:
    """Return the content of `report.md`: the same on one page."""
    model = facts["model"]
    lines = [
        f"# Proof of a {model['class_name']} exported as {facts['recipe']}",
        "",
        f"{facts['recipe_title']}. Made from {_plain(facts['made_from'])}.",
        "",
        "| check | | result |",
        "|---|---|---|",
        *(
            f"| {check.name} | {'ok' if check.ok else '**FAILS**'} | {_cell(check.detail)} |"
            for check in checks
        ),
        "",
        "## Sizes",
        "",
        "| file | bytes |",
        "|---|---:|",
        *(f"| {name} | {size:,} |" for name, size in facts["bytes"].items()),
        "",
        *_errors(checks),
        *_speed(facts.get("latency", {}), facts.get("peak_memory_bytes")),
        "## Signatures",
        "",
        "| signature | operators |",
        "|---|---:|",
        *(f"| {name} | {count} |" for name, count in facts["operators_per_signature"].items()),
        "",
        "## How it was made",
        "",
        *(f"- {name}: {seconds:.1f} s" for name, seconds in facts["seconds"].items()),
        f"- versions: {_plain(facts['versions'])}",
        f"- may run on: {', '.join(facts['runtimes'])}",
        "",
    ]
    return "\n".join(lines).encode()


def _errors(checks: Sequence[Check]) -> list[str]:
    rows = []
    for check in checks:
        for count, figures in check.figures.get("by_rows", {}).items():
            rows.append(
                f"| {check.name} | {count} | {figures['max_error']:.2e} | {figures['mean_error']:.2e} "
                f"| {figures['token_agreement']:.2%} | {', '.join(figures['signatures'])} |"
            )
    if not rows:
        return []
    return [
        "## Differences from the Keras model",
        "",
        "Log-probabilities after the same forced tokens: the best tokens of each step and some at random.",
        "",
        "| check | rows | largest | mean | best token agrees | signatures |",
        "|---|---:|---:|---:|---:|---|",
        *rows,
        "",
    ]


def _speed(latency: Mapping[str, Mapping[str, Any]], peak: int | None) -> list[str]:
    if not latency:
        return []
    rows = [
        f"| {name} | {each['median_ms']:.1f} | {each['p90_ms']:.1f} | {each['tokens_per_second']:.0f} |"
        for name, each in latency.items()
    ]
    memory = (
        [] if peak is None else ["", f"Peak memory of a process that runs the file: {peak / 2**20:.0f} MiB."]
    )
    return [
        "## Latency on the exporting machine, one thread",
        "",
        "| file | median ms per sentence | 90th percentile | tokens per second |",
        "|---|---:|---:|---:|",
        *rows,
        *memory,
        "",
    ]


def _plain(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {_plain(v) if isinstance(v, Mapping) else v}" for key, v in values.items())


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
