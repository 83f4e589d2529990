"""How a Keras model reaches the converter's process: as a traced graph, or as a `.keras` file.

TensorFlow's models are traced where they are, so that nothing of them need be serializable. Those of other
backends are reopened with TensorFlow below Keras, which needs their classes to be importable.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_attn.errors import ArgumentError, shortened

MODEL, SAVED_MODEL, TRACE = "model.keras", "saved_model", "trace.json"
_MAIN = "__main__"


@dataclass(frozen=True)
class Traced:
    """A Keras model and how it is traced.

    Attributes:
        model: the Keras model.
        function: "module:function" from the model and the arguments to signatures by name.
        arguments: of the function, as JSON.
    """

    model: Any
    function: str
    arguments: Mapping[str, Any]

    def content(self) -> Iterator[bytes]:
        """Yield what decides the graph: two of equal content become the same file."""
        from keras import ops

        kind = type(self.model)
        try:
            structure = self.model.to_json()
        except Exception:  # whatever a class without a get_config raises; its weights and name remain
            structure = ""
        job = [self.function, self.arguments, kind.__module__, kind.__qualname__, structure]
        yield json.dumps(job).encode()
        for variable in self.model.variables:
            yield f"{variable.path}{variable.shape}".encode()
            yield ops.convert_to_numpy(variable.value).tobytes()

    def write(self, folder: Path) -> None:
        """Write what the converter's process needs to a job's folder.

        Raises:
            ArgumentError: the model cannot be traced, or not be reopened in another process.
        """
        import keras

        if keras.backend.backend() == "tensorflow":
            names = trace_to(folder / SAVED_MODEL, self.model, self.function, self.arguments)
            (folder / TRACE).write_text(json.dumps({"signatures": names}), encoding="utf-8")
            return
        classes = sorted(set(_own_classes(self.model)))
        for name in classes:
            if name.startswith(f"{_MAIN}:"):
                raise ArgumentError(
                    f"{name.partition(':')[2]} is defined in the script or notebook that runs, so that it "
                    "cannot be opened with TensorFlow below Keras, which the converter needs: put it into a "
                    "module that can be imported, or run with KERAS_BACKEND=tensorflow"
                )
        try:
            self.model.save(folder / MODEL)
        except Exception as error:  # whatever a layer's get_config raises
            raise ArgumentError(
                f"the model cannot be saved: {type(error).__name__}: {error}; give its layers a get_config, "
                "or run with KERAS_BACKEND=tensorflow, where it need not be saved"
            ) from error
        job = {"function": self.function, "arguments": self.arguments, "classes": classes}
        (folder / TRACE).write_text(json.dumps(job), encoding="utf-8")


def trace_to(saved_model: Path, model: Any, function: str, arguments: Mapping[str, Any]) -> list[str]:
    """Trace a model below TensorFlow to a SavedModel; return the names of its signatures."""
    from keras_attn_export.tracing.inference_form import inference_form
    from keras_attn_export.tracing.saved_model import save_signatures

    module, _, name = function.partition(":")
    trace = getattr(importlib.import_module(module), name)
    with inference_form(model):
        signatures = trace(model, **arguments)
        return save_signatures(saved_model, signatures, lambda: [each.value for each in model.variables])


def traced_here(folder: Path) -> list[str]:
    """Open the job that `Traced.write` wrote, in the converter's process, and trace its model if it has not
    been; return the names of its signatures."""
    job = json.loads((folder / TRACE).read_text(encoding="utf-8"))
    if "signatures" in job:
        return job["signatures"]
    import keras

    import keras_attn  # noqa: F401  registers its classes

    known = {}
    for each in job["classes"]:
        module, _, name = each.partition(":")
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
        known[name.rpartition(".")[2]] = found
    # The file was written by the process that waits for this one.
    try:
        model = keras.saving.load_model(folder / MODEL, known, compile=False, safe_mode=False)
    except Exception as error:  # whatever the constructors of a user's classes raise
        raise ArgumentError(
            f"the model cannot be reopened with TensorFlow below Keras: {shortened(error)}; "
            "let its classes accept **kwargs and have a get_config, or run with KERAS_BACKEND=tensorflow, "
            "where it is not reopened"
        ) from error
    return trace_to(folder / SAVED_MODEL, model, job["function"], job["arguments"])


def _own_classes(model: Any) -> Iterator[str]:
    """Yield the classes and functions of a model that are not Keras', as "module:qualified name"."""
    for layer in model._flatten_layers():
        found = [type(layer), *(value for value in vars(layer).values() if callable(value))]
        for each in found:
            kind = each if isinstance(each, type) or hasattr(each, "__qualname__") else type(each)
            module, name = getattr(kind, "__module__", ""), getattr(kind, "__qualname__", "")
            if (
                module
                and not module.startswith(("keras.", "builtins"))
                and "<" not in name
                and "." not in name
            ):
                yield f"{module}:{name}"
