"""Write docs/layers.md and a page for each layer from the docstrings: `make docs`."""

import inspect
import os
import re
import sys
import textwrap
from pathlib import Path

from keras_attn.device.files.atomic_write import write_text

os.environ.setdefault("KERAS_BACKEND", "jax")


from keras_attn import layers

SECTION = re.compile(r"^(Args|Call arguments|Returns|Raises|Example):$")
LISTED = ("Args", "Call arguments", "Raises")
FOLDER = Path(__file__).parents[1] / "docs"


def classes() -> list[type]:
    """Return the layers that have a page."""
    return [getattr(layers, name) for name in layers.__all__ if inspect.isclass(getattr(layers, name))]


def pages() -> dict[str, str]:
    """Return the text of each page by its path below docs/."""
    shown = classes()
    found = {f"layers/{each.__name__}.md": page(each) for each in shown}
    rows = [f"| [{each.__name__}](layers/{each.__name__}.md) | {summary(each)} |" for each in shown]
    index = ["# Layers", "", "| `keras_attn.layers.` | |", "|---|---|", *rows, ""]
    return {"layers.md": "\n".join(index), **found}


def summary(each: type) -> str:
    """First line of the docstring."""
    return document(each).split("\n", 1)[0]


def document(each: type) -> str:
    """The docstring, without its indentation."""
    return inspect.getdoc(each) or ""


def page(each: type) -> str:
    """One layer's page."""
    given = inspect.signature(each.__init__).parameters.values()
    # Without their types, which the text below says in words.
    named = [p.replace(annotation=p.empty) for p in given if p.name not in ("self", "args", "kwargs")]
    arguments = list(map(str, named))
    call = f"{each.__name__}({', '.join(arguments)}, **kwargs)"
    head = [
        f"# {each.__name__}",
        "",
        "```python",
        *textwrap.wrap(call, 100, subsequent_indent="    "),
        "```",
        "",
    ]
    return "\n".join(head) + body(document(each)) + "\n"


def body(text: str) -> str:
    """Turn the docstring's sections into Markdown."""
    parts: list[tuple[str, list[str]]] = [("", [])]
    for line in text.split("\n"):
        title = SECTION.match(line)
        parts.append((title[1], [])) if title else parts[-1][1].append(line)
    pieces = []
    for title, lines in parts:
        content = textwrap.dedent("\n".join(lines)).strip("\n")
        heading = f"## {title}\n\n" if title else ""
        pieces.append(heading + (entries(content) if title in LISTED else content))
    return "\n\n".join(pieces)


def entries(content: str) -> str:
    """Make a list of `name: what it is`, whose further lines are indented or follow a list of names."""
    items: list[str] = []
    for line in content.split("\n"):
        continued = line.startswith(" ") or (items and ": " not in items[-1])
        if continued and items:
            items[-1] += " " + line.strip()
        else:
            items.append(line)
    names = (item.partition(": ") for item in items)
    return "\n".join(f"- **{name}**: {what}" for name, _, what in names)


def example(each: type) -> str:
    """The code of a layer's example."""
    found = re.search(r"```python\n(.*?)```", document(each), re.DOTALL)
    return textwrap.dedent(found[1]) if found else ""


def main() -> None:
    """Write all pages; files of layers that are gone are removed."""
    wanted = pages()
    for old in (FOLDER / "layers").glob("*.md"):
        if f"layers/{old.name}" not in wanted:
            old.unlink()
    for path, text in wanted.items():
        write_text(FOLDER / path, text)
    print(f"{len(wanted)} pages", file=sys.stderr)


if __name__ == "__main__":
    main()
