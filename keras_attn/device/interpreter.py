"""The only file that knows LiteRT: a model file's signatures, as arrays to write, run and read.

The public signature runner re-allocates and copies at every call. Here each signature's subgraph is allocated
once, and its inputs and outputs are NumPy views of the interpreter's own memory, taken once after that. This
needs the interpreter's private wrapper, whose few calls used here are alike in tflite-runtime 2.14 and in
ai-edge-litert 2.3.

A signature that begins with a text needs tensorflow-text's operators. It runs in a second interpreter, opened
when it is first asked for, so that all others run wherever LiteRT does.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from keras_attn.device.errors import BundleError, InputError

# Distribution and module of each interpreter, the preferred one first.
_RUNTIMES = (
    ("ai-edge-litert", "ai_edge_litert.interpreter"),
    ("tflite-runtime", "tflite_runtime.interpreter"),
)
_TEXT_OPERATORS = "tensorflow_text.core.pybinds.tflite_registrar"
TEXT = "text"
"""The input of a signature that begins with a text."""
_CHATTER = ("INFO:", "I0000 ", "W0000 ", "WARNING: All log messages before absl")


def runtime() -> tuple[str, str]:
    """Return the name and version of the interpreter in use, such as ("ai-edge-litert", "2.3.0").

    Raises:
        ImportError: no interpreter is installed.
    """
    name, _ = _interpreter_module()
    return name, importlib.metadata.version(name)


def _interpreter_module() -> tuple[str, Any]:
    for name, module in _RUNTIMES:
        try:
            return name, importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name != module.split(".")[0]:
                raise
    raise ImportError(
        "No interpreter is installed; `pip install ai-edge-litert` (or tflite-runtime on an old system)."
    )


def text_operators() -> list[Any] | None:
    """Return what gives an interpreter tensorflow-text's operators; None where it is not installed."""
    try:
        with _quiet():
            return importlib.import_module(_TEXT_OPERATORS).SELECT_TFTEXT_OPS
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in ("tensorflow_text", "tensorflow"):
            raise
        return None


class Signature:
    """One signature of a model: views of its inputs and outputs, and ``run``.

    Attributes:
        name: the signature's name.
        inputs: by name, int32 or float32 views of the interpreter's memory, zeroed at first. Write with
            ``view[...] = value``; what is written stays from run to run.
        outputs: by name, views which each run overwrites.
    """

    def __init__(self, interpreter: Any, name: str, tensors: dict[str, dict[str, int]], where: str):
        wrapper = interpreter._interpreter
        self.name = name
        self._where = where
        self._invoke = wrapper.Invoke
        self._subgraph = wrapper.GetSubgraphIndexFromSignature(name)
        # A second allocation could move the memory under the views, so nothing is ever resized.
        wrapper.AllocateTensors(self._subgraph)
        self.inputs = {k: self._view(wrapper, k, index) for k, index in tensors["inputs"].items()}
        self.outputs = {k: self._view(wrapper, k, index) for k, index in tensors["outputs"].items()}
        # Fresh memory may hold NaN, which no mask removes.
        for view in self.inputs.values():
            view[...] = 0

    def _view(self, wrapper: Any, tensor: str, index: int) -> np.ndarray:
        where = f"{self._where}: tensor {tensor!r} of signature {self.name!r}"
        if -1 in wrapper.TensorSizeSignature(index, self._subgraph):
            raise BundleError(f"{where} has a dynamic shape; export it with static shapes")
        view = wrapper.tensor(wrapper, index, self._subgraph)
        if view.ndim == 0:
            raise BundleError(
                f"{where} has no dimensions and cannot be written in place; export it with shape [1]"
            )
        if view.dtype not in (np.int32, np.float32):
            raise BundleError(f"{where} is {view.dtype}; only int32 and float32 are supported")
        return view

    def run(self) -> None:
        """Compute the outputs from the inputs.

        Raises:
            BundleError: the interpreter failed.
        """
        try:
            self._invoke(self._subgraph)
        except RuntimeError as error:
            raise BundleError(f"{self._where}: signature {self.name!r} failed to run: {error}") from None


class TextSignature:
    """One signature that begins with a text.

    Attributes:
        name: the signature's name.
    """

    def __init__(self, interpreter: Any, name: str, where: str):
        self.name = name
        self._where = where
        self._runner = interpreter.get_signature_runner(name)

    def run(self, text: str) -> dict[str, np.ndarray]:
        """Compute the outputs, by name, of one text.

        Raises:
            BundleError: the interpreter failed.
            InputError: the text holds half a character (a lone surrogate).
        """
        try:
            # As an object: an array of strings would lose a NUL at the end.
            return self._runner(**{TEXT: np.array([text.encode()], object)})
        except UnicodeEncodeError:
            raise InputError("The text is not valid Unicode: it holds a lone surrogate.") from None
        except (ValueError, RuntimeError) as error:
            raise BundleError(f"{self._where}: signature {self.name!r} failed to run: {error}") from None


class Model:
    """A model file in an interpreter.

    Args:
        source: path of a ``.tflite`` file (mapped, not read), or its bytes.
        threads: threads that the interpreter may use.
        name: what errors call the file; by default its path.

    Raises:
        BundleError: the file is missing or is no model that this interpreter runs.
        ImportError: no interpreter is installed.
    """

    def __init__(self, source: str | os.PathLike[str] | bytes, threads: int = 1, name: str | None = None):
        if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
            raise ValueError(f"threads must be a whole number of at least 1, not {threads!r}")
        if not isinstance(source, bytes) and not Path(source).is_file():
            raise BundleError(f"There is no model file at {os.fspath(source)}.")
        self.name = name or ("model" if isinstance(source, bytes) else os.fspath(source))
        content = "model_content" if isinstance(source, bytes) else "model_path"
        self._options: dict[str, Any] = {content: source if isinstance(source, bytes) else os.fspath(source)}
        self._options["num_threads"] = threads
        self._interpreter = self._opened("Interpreter")
        self._signatures: dict[str, Any] = self._interpreter._interpreter.GetSignatureDefs()
        self._ready: dict[str, Signature] = {}
        self._with_text: Any = None
        self._ready_text: dict[str, TextSignature] = {}

    def _opened(self, kind: str, **options: Any) -> Any:
        _, module = _interpreter_module()
        try:
            with _quiet():
                return getattr(module, kind)(**self._options, **options)
        except (ValueError, RuntimeError) as error:
            raise BundleError(
                f"{self.name} is not a model that this interpreter runs: {_line(error)}"
            ) from None

    @property
    def signatures(self) -> list[str]:
        """Names of the model's signatures, sorted."""
        return sorted(self._signatures)

    def signature(self, name: str) -> Signature:
        """Return a signature, allocated when it is first asked for.

        Raises:
            BundleError: the model has no such signature, or it cannot be allocated.
        """
        if name not in self._ready:
            self._check_name(name)
            try:
                with _quiet():
                    self._ready[name] = Signature(self._interpreter, name, self._signatures[name], self.name)
            except BundleError:
                raise
            except (ValueError, RuntimeError) as error:
                raise BundleError(
                    f"{self.name}: signature {name!r} cannot be allocated: {_line(error)}"
                ) from None
        return self._ready[name]

    def takes_text(self, name: str) -> bool:
        """Return whether a signature begins with a text, and so is one for ``text_signature``."""
        self._check_name(name)
        return TEXT in self._signatures[name]["inputs"]

    def text_signature(self, name: str) -> TextSignature:
        """Return a signature that begins with a text.

        Raises:
            BundleError: the model has no such signature.
            ImportError: tensorflow-text, whose operators it needs, is not installed.
        """
        if not self.takes_text(name):
            raise BundleError(f"{self.name}: signature {name!r} takes no text")
        if self._with_text is None:
            registerers = text_operators()
            if registerers is None:
                raise ImportError(
                    f"{self.name}: signature {name!r} needs the operators of tensorflow-text, which is not "
                    "installed here: pip install 'keras-attn[text]', or use the signatures of token ids."
                )
            self._with_text = self._opened("InterpreterWithCustomOps", custom_op_registerers=registerers)
        if name not in self._ready_text:
            self._ready_text[name] = TextSignature(self._with_text, name, self.name)
        return self._ready_text[name]

    def _check_name(self, name: str) -> None:
        if name not in self._signatures:
            raise BundleError(f"{self.name} has no signature {name!r}; it has {', '.join(self.signatures)}")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the interpreter's informational lines off standard error, which it writes to below Python."""
    try:
        sys.stderr.flush()
        saved = os.dup(2)
    except (OSError, AttributeError, ValueError):  # standard error is closed
        yield
        return
    with tempfile.TemporaryFile() as kept:
        os.dup2(kept.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            kept.seek(0)
            for line in kept.read().splitlines(keepends=True):
                if not line.decode(errors="replace").startswith(_CHATTER):
                    os.write(2, line)
