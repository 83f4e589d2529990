"""Let Keras find the classes of this package in saved models, without importing Keras or a backend early.

``keras.saving.load_model`` looks a class up by its registered name, such as ``keras_attn>Bert``, in a table
of custom objects. Once Keras is imported, this table imports the classes when one of them is looked up.
"""

from __future__ import annotations

import importlib
import sys
from importlib.machinery import ModuleSpec, PathFinder
from typing import Any

PREFIX = "keras_attn>"
CLASSES = ("keras_attn.layers", "keras_attn.models")
TABLE = "keras.src.saving.object_registration"


class CustomObjects(dict[str, Any]):
    """Keras' table of custom objects, which imports this package's classes on the first lookup of one."""

    def __contains__(self, name: object) -> bool:
        if not super().__contains__(name) and str(name).startswith(PREFIX):
            for module in CLASSES:
                importlib.import_module(module)
        return super().__contains__(name)


class _TableFinder:
    """An import finder for Keras' table only: right after its import the table is replaced."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name != TABLE:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_replace(module: Any) -> None:
                execute(module)
                _replace_table(module)

            spec.loader.exec_module = execute_and_replace
        return spec


def _replace_table(module: Any) -> None:
    module.GLOBAL_CUSTOM_OBJECTS = CustomObjects(module.GLOBAL_CUSTOM_OBJECTS)


def register_lazily() -> None:
    """Let Keras find this package's classes, whether Keras is imported already or will be later."""
    if TABLE in sys.modules:
        _replace_table(sys.modules[TABLE])
    else:
        sys.meta_path.insert(0, _TableFinder())
