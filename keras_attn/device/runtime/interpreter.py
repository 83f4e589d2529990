"""A model file's signatures, as arrays to write, run and read.

A signature that begins with a text needs tensorflow-text's operators. It runs in an interpreter of its own,
opened when first needed, so that all others run wherever LiteRT does.

Inputs and outputs are the model's own memory, of which there is one. Threads that share a model take turns:
``Model.lock`` is held from writing inputs to reading outputs. A search that stops half-way, such as a stream
whose reader takes time, does not hold it: ``Model.hand_to`` saves its memory when another search begins.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from keras_attn.device.errors import BundleError, InputError
from keras_attn.device.model_check.model_check import check_model
from keras_attn.device.quiet_stderr import quiet
from keras_attn.device.runtime.litert import (
    leave_to_parent,
    open_model,
    open_with_text,
    runtime,
    text_operators,
)
from keras_attn.errors import ArgumentError, MissingPackage

if TYPE_CHECKING:
    from keras_attn.device.files.bundle import Bundle

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
        # The views' memory lives as long as the engine.
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


class User(Protocol):
    """Something that uses a model's memory from call to call, such as a search.

    Attributes:
        opening: the model's, when this began.
        token: a unique object, by which the model recognizes its user.
    """

    opening: object
    token: object

    def save(self) -> None:
        """Copy what is needed later out of the model's memory, which another user is about to use."""
        ...

    def restore(self) -> None:
        """Write what was saved, if anything, back to where it was."""
        ...


class Model:
    """A model file in an interpreter.

    A process that was forked opens the file anew, since an interpreter's threads stay in the parent.

    Attributes:
        name: what errors call the file.
        lock: re-entrant; whoever shares the model holds it from writing inputs to reading outputs.
        opening: a new object each time the file is opened.
        user: token of the ``User`` whose memory this is, to whom it need not be handed.

    Args:
        source: path of a ``.tflite`` file (mapped, not read), or its bytes.
        threads: threads that the interpreter may use.
        name: what errors call the file; by default its path.
        weight_cache: a folder for a large model's packed weights, so that it opens at once the next time.
        described: the signatures that a manifest says it has.

    Raises:
        BundleError: the file is missing, not as described, not safe to run, or not a model that this
            interpreter runs.
        InputError: ``weight_cache`` cannot be written.
        MissingPackage: no interpreter is installed.
    """

    def __init__(
        self,
        source: str | os.PathLike[str] | bytes,
        threads: int = 1,
        name: str | None = None,
        weight_cache: Path | None = None,
        described: Mapping[str, Any] | None = None,
    ):
        if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
            raise ArgumentError(f"threads must be a whole number of at least 1, not {threads!r}")
        if not isinstance(source, bytes) and not Path(source).is_file():
            raise BundleError(f"There is no model file at {os.fspath(source)}.")
        self.name = name or ("model" if isinstance(source, bytes) else os.fspath(source))
        self._source = source if isinstance(source, bytes) else os.fspath(source)
        self._file = source  # Keeps an open file open.
        self._threads = threads
        check_model(self._source, self.name, described)
        self._weight_cache = weight_cache
        self._version = self._found_version()
        self._begin()
        self._engine = self._opened(open_model, weight_cache)
        self._signatures: dict[str, Any] = self._engine.signatures
        _OPENED.add(self)

    @classmethod
    def of_bundle(cls, bundle: Bundle, threads: int = 1) -> Model:
        """Open the model of a bundle that has been opened.

        Raises:
            BundleError: the model is not as described, not safe to run, or not for this interpreter.
            MissingPackage: no interpreter is installed.
        """
        bundle.check_runtime(*runtime())
        name = f"{bundle.path}/model.tflite"
        return cls(bundle.model(), threads, name, bundle.weight_cache, bundle.manifest["signatures"])

    def _begin(self) -> None:
        """Begin with nothing allocated, and without a user."""
        self.lock = threading.RLock()
        self.opening = object()
        self.user: object = None
        self._user: Callable[[], User | None] = _no_user
        self._engine: Any = None
        self._ready: dict[str, Signature] = {}
        self._with_text: Any = None
        self._ready_text: dict[str, TextSignature] = {}

    def begin_in_child(self) -> None:
        """Leave what was opened to the parent process: this one was forked."""
        leave_to_parent(self._engine, self._with_text)
        self._begin()

    def _found_version(self) -> tuple[int, ...]:
        if isinstance(self._source, bytes):
            return ()
        found = os.stat(self._source)
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns

    def hand_to(self, user: User) -> None:
        """Restore the memory as ``user`` left it; whoever used it since saves what it needs first.

        The caller holds ``lock`` if threads share the model. A user that nothing refers to has ended.

        Raises:
            RuntimeError: the user began before this process was forked.
        """
        if self.user is user.token:
            return
        if user.opening is not self.opening:
            raise RuntimeError(
                f"{self.name}: a search that began before this process was forked cannot continue in it; "
                "start it again."
            )
        before = self._user()
        if before is not None:
            before.save()
        self.user, self._user = None, _no_user
        user.restore()
        self.user, self._user = user.token, weakref.ref(user)

    def _opened(self, how: Any, *more: Any) -> Any:
        try:
            if self._found_version() != self._version:
                raise BundleError(f"{self.name} has changed since it was opened; load the bundle again.")
            return how(self._source, self._threads, *more)
        except (InputError, BundleError):
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
        """Return a signature, which is allocated on first use.

        Raises:
            BundleError: the model has no such signature, or it cannot be allocated.
        """
        ready = self._ready.get(name)
        if ready is None:
            self._check_name(name)
            with self.lock:
                ready = self._ready.get(name) or self._allocated(name)
                self._ready[name] = ready
        return ready

    def _allocated(self, name: str) -> Signature:
        if self._engine is None:
            self._engine = self._opened(open_model, self._weight_cache)
        try:
            with quiet():
                return Signature(self._engine, name, self.name)
        except BundleError:
            raise
        except (ValueError, RuntimeError) as error:
            raise BundleError(
                f"{self.name}: signature {name!r} cannot be allocated: {_line(error)}"
            ) from None

    def takes_text(self, name: str) -> bool:
        """Return whether a signature begins with a text, so that ``text_signature`` returns it."""
        self._check_name(name)
        return TEXT in self._signatures[name]["inputs"]

    def text_signature(self, name: str) -> TextSignature:
        """Return a signature that begins with a text.

        Raises:
            BundleError: the model has no such signature.
            MissingPackage: tensorflow-text, whose operators it needs, is not installed.
        """
        if not self.takes_text(name):
            raise BundleError(f"{self.name}: signature {name!r} does not take a text")
        with self.lock:
            if self._with_text is None:
                registerers = text_operators()
                if registerers is None:
                    raise MissingPackage(
                        f"{self.name}: signature {name!r} needs the operators of tensorflow-text, which is "
                        "not installed here: pip install 'keras-attn[text]', or use the signatures of token "
                        "ids."
                    )
                self._with_text = self._opened(open_with_text, registerers)
            if name not in self._ready_text:
                self._ready_text[name] = TextSignature(self._with_text, name, self.name)
            return self._ready_text[name]

    def _check_name(self, name: str) -> None:
        if name not in self._signatures:
            raise BundleError(f"{self.name} has no signature {name!r}; it has {', '.join(self.signatures)}")


_OPENED: weakref.WeakSet[Model] = weakref.WeakSet()


def _begin_in_child() -> None:
    for model in list(_OPENED):
        model.begin_in_child()


if hasattr(os, "register_at_fork"):  # not on Windows, where no process is forked
    os.register_at_fork(after_in_child=_begin_in_child)


def _no_user() -> None:
    return None


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
