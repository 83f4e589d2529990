"""A model file's signatures, as arrays to write, run and read.

A signature that begins with a text needs tensorflow-text's operators. It runs in an interpreter of its own,
opened when it is first asked for, so that all others run wherever LiteRT does.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from keras_attn.device.errors import BundleError, InputError
from keras_attn.device.litert import open_model, open_with_text, quiet, text_operators

TEXT = "text"
"""The input of a signature that begins with a text."""


class Signature:
    """One signature of a model: views of its inputs and outputs, and ``run``.

    Attributes:
        name: the signature's name.
        inputs: by name, int32 or float32 views of the runtime's memory, zeroed at first. Write with
            ``view[...] = value``; what is written stays from run to run.
        outputs: by name, views which each run overwrites.
    """

    def __init__(self, engine: Any, name: str, where: str):
        self.name = name
        self._where = where
        # What the views show lives as long as the engine does.
        self._engine = engine
        opened = engine.open(name)
        self._run = opened.run
        self.inputs = {tensor: self._checked(tensor, view) for tensor, view in opened.inputs.items()}
        self.outputs = {tensor: self._checked(tensor, view) for tensor, view in opened.outputs.items()}
        # Fresh memory may hold NaN, which no mask removes.
        for view in self.inputs.values():
            view[...] = 0

    def _checked(self, tensor: str, view: np.ndarray | None) -> np.ndarray:
        where = f"{self._where}: tensor {tensor!r} of signature {self.name!r}"
        if view is None:
            raise BundleError(f"{where} has a dynamic shape; export it with static shapes")
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
            self._run()
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
        weight_cache: a folder for a large model's packed weights, so that it opens at once the next time.

    Raises:
        BundleError: the file is missing or is no model that this interpreter runs.
        InputError: ``weight_cache`` cannot be written.
        ImportError: no interpreter is installed.
    """

    def __init__(
        self,
        source: str | os.PathLike[str] | bytes,
        threads: int = 1,
        name: str | None = None,
        weight_cache: Path | None = None,
    ):
        if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
            raise ValueError(f"threads must be a whole number of at least 1, not {threads!r}")
        if not isinstance(source, bytes) and not Path(source).is_file():
            raise BundleError(f"There is no model file at {os.fspath(source)}.")
        self.name = name or ("model" if isinstance(source, bytes) else os.fspath(source))
        self._source = source if isinstance(source, bytes) else os.fspath(source)
        self._threads = threads
        self._engine = self._opened(open_model, weight_cache)
        self._signatures: dict[str, Any] = self._engine.signatures
        self._ready: dict[str, Signature] = {}
        self._with_text: Any = None
        self._ready_text: dict[str, TextSignature] = {}

    def _opened(self, how: Any, *more: Any) -> Any:
        try:
            return how(self._source, self._threads, *more)
        except InputError:
            raise
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
                with quiet():
                    self._ready[name] = Signature(self._engine, name, self.name)
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
            self._with_text = self._opened(open_with_text, registerers)
        if name not in self._ready_text:
            self._ready_text[name] = TextSignature(self._with_text, name, self.name)
        return self._ready_text[name]

    def _check_name(self, name: str) -> None:
        if name not in self._signatures:
            raise BundleError(f"{self.name} has no signature {name!r}; it has {', '.join(self.signatures)}")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
