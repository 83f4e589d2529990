"""Write keras_attn/train.pyi, by which editors and type checkers know all settings: `make docs`."""

import inspect
import types
import typing
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

STUB = Path(__file__).parents[1] / "keras_attn" / "train.pyi"
HEAD = '''"""Written by tools/train_stub.py: run `make docs` after a change of the settings."""

import os
from collections.abc import Sequence
from typing import Literal

from keras_attn.training import Run
from keras_attn.training.progress import Progress
'''
FIXED = ("resume: bool = False", "progress: Progress | None = None")


def written(annotation: Any) -> str:
    """Return a setting's type as source; a tuple may also be given as a list or as text."""
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (types.UnionType, typing.Union):
        return " | ".join(map(written, parts))
    if origin is Literal:
        quoted = (f'"{part}"' for part in parts)
        return f"Literal[{', '.join(quoted)}]"
    if origin is tuple:
        return f"Sequence[{written(parts[0])}] | str"
    return "None" if annotation is types.NoneType else annotation.__name__


def function(name: str, parameters: Iterable[inspect.Parameter]) -> str:
    """Return the declaration of a task's function."""
    settings = [
        f"{each.name}: {written(each.annotation)} = None"
        for each in parameters
        if each.name not in ("output", "resume", "progress")
    ]
    lines = ["output: str | os.PathLike[str]", "*", *FIXED, *settings]
    return f"def {name}(\n" + "".join(f"    {line},\n" for line in lines) + ") -> Run: ...\n"


def stub() -> str:
    """Return the stub's text."""
    from keras_attn import train

    signatures = {name: inspect.signature(getattr(train, name)) for name in sorted(train.__all__)}
    functions = [function(name, signature.parameters.values()) for name, signature in signatures.items()]
    exported = "".join(f'    "{name}",\n' for name in signatures)
    return f"{HEAD}\n__all__ = [\n{exported}]\n\n" + "".join(functions)


if __name__ == "__main__":
    STUB.write_text(stub(), encoding="utf-8")
    print(STUB)
