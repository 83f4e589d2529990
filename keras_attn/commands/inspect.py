"""`keras-attn inspect`: what is in a bundle."""

import json as json_format
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_attn.commands.bundle_argument import BundleArgument
from keras_attn.commands.terminal.screen import (
    JsonOption,
    as_bytes,
    console,
    note,
    print_json,
    print_title,
    table,
)
from keras_attn.device.errors import one_line
from keras_attn.device.files.interface import Interface

if TYPE_CHECKING:
    from keras_attn.device.files.bundle import Bundle

EXAMPLES = """[bold]Examples[/bold]

  keras-attn inspect runs/dates-int8

  keras-attn inspect runs/dates-int8 --json
"""

# Fields of the manifest that say what the bundle is; the rest has a table of its own.
_ABOUT = ("task", "recipe", "max_source_tokens", "runtimes", "created")


def inspect(bundle: BundleArgument, json: JsonOption = False) -> None:
    """Show a bundle's operators, signatures, sizes, recipe and proof."""
    from keras_attn.device.files.bundle import Bundle

    opened = Bundle.open(bundle)
    contents = read_contents(opened)
    if json:
        print_json({"bundle": bundle, **contents})
        return
    _show_about(opened, contents)
    _show_signatures(contents["signatures"])
    _show_operators(contents["operators"])
    if "report.md" in contents["files"]:
        note(f"The proof is in {bundle}/report.md; keras-attn verify {bundle} repeats it here.")


def read_contents(bundle: "Bundle") -> dict[str, Any]:
    """Return all that is known of a bundle, as JSON values."""
    manifest = bundle.manifest
    return {
        **{name: manifest.get(name) for name in _ABOUT},
        "model": manifest["model"],
        "languages": manifest.get("languages"),
        "labels": manifest["model"].get("labels"),
        "made_from": manifest.get("made_from"),
        "versions": manifest.get("versions"),
        "files": {name: entry["bytes"] for name, entry in manifest["files"].items()},
        "interface": manifest.get("interface"),
        "buckets": manifest["buckets"],
        "signatures": manifest["signatures"],
        "operators": read_operators(bundle),
        "report": _read_report(bundle),
    }


def _read_report(bundle: "Bundle") -> Any:
    from keras_attn.device.errors import BundleError

    if "report.json" not in bundle.manifest["files"]:
        return None
    try:
        return json_format.loads(bundle.read("report.json"))
    except (UnicodeDecodeError, json_format.JSONDecodeError, RecursionError) as error:
        raise BundleError(f"{bundle.path}/report.json is not JSON: {error}") from None


def read_operators(bundle: "Bundle") -> dict[str, int] | None:
    """Return how often each operator occurs; None without the export extra, which reads the file."""
    from keras_attn.device.files.bundle import MODEL
    from keras_attn.device.model_check.model_check import check_model

    try:
        from keras_attn_export.tflite.inspection import inspect_model
    except ModuleNotFoundError:
        return None
    model = bundle.model()
    check_model(model, f"{bundle.path}/{MODEL}", bundle.manifest["signatures"])
    operators = inspect_model(model if isinstance(model, bytes) else Path(model)).operators
    return dict(sorted(operators.items(), key=lambda item: (-item[1], item[0])))


def _show_about(bundle: "Bundle", contents: dict[str, Any]) -> None:
    about = table("", "")
    about.add_row("model", one_line(contents["model"].get("class_name", "")))
    for name in _ABOUT:
        if name == "max_source_tokens" and contents.get("interface"):
            continue
        value = contents[name] or ""
        shown = _joined(value, ", ") if isinstance(value, list) else one_line(value)
        about.add_row(name.replace("_", " "), shown)
    if contents["languages"]:
        about.add_row("languages", _joined(contents["languages"].values(), " → "))
    if contents["labels"]:
        about.add_row("labels", _joined(contents["labels"], ", "))
    if contents.get("interface"):
        _add_interface(about, contents)
    for name, size in contents["files"].items():
        about.add_row(one_line(name), as_bytes(size))
    print_title(str(bundle.path))
    console().print(about)


def _add_interface(about: Any, contents: dict[str, Any]) -> None:
    interface = Interface.from_json(contents["interface"])
    for side, fields in (("inputs", interface.inputs), ("outputs", interface.outputs)):
        about.add_row(side, "\n".join(one_line(field) for field in fields))
    if interface.variable:
        lengths = ", ".join(str(bucket["source"]) for bucket in contents["buckets"])
        shorter = "shorter inputs are padded" if interface.padded else "padding changes the outputs"
        about.add_row("lengths", f"{lengths}; {shorter}")


def _joined(texts: Iterable[Any], between: str) -> str:
    """Texts of a manifest on one line, whatever is in them."""
    return between.join(map(one_line, texts))


def _show_signatures(signatures: dict[str, Any]) -> None:
    shown = table("signature", "inputs", "outputs")
    for name in sorted(signatures, key=_by_length):
        signature = signatures[name]
        shown.add_row(one_line(name), _tensors(signature["inputs"]), _tensors(signature["outputs"]))
    console().print(shown)


def _by_length(name: str) -> list[tuple[bool, int, str]]:
    """Order encode_32 before encode_128."""
    parts = name.split("_")
    return [(part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts]


def _tensors(tensors: dict[str, Any]) -> str:
    return "\n".join(one_line(f"{name} {each['dtype']}{each['shape']}") for name, each in tensors.items())


def _show_operators(operators: dict[str, int] | None) -> None:
    if operators is None:
        note("Listing the operators needs the export extra: pip install 'keras-attn[export]'")
        return
    shown = table("operator", ">count")
    for name, count in operators.items():
        shown.add_row(name, str(count))
    console().print(shown)
