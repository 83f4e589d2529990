"""The only file that knows LiteRT: model files opened by whichever runtime is installed.

An engine returns a signature's tensors as NumPy views of the runtime's own memory, taken once, and a function
that runs it. ``Interpreted`` is the classic interpreter, by its private wrapper, whose few calls used here
are alike in tflite-runtime 2.14, ai-edge-litert 2.3 and TensorFlow's tf.lite; the public signature runner
re-allocates and copies at every call. ``Compiled`` is LiteRT 2, in which all signatures share one copy of
the weights.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import importlib
import importlib.metadata
import importlib.util
import math
import mmap
import os
import platform
import sys
import warnings
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from keras_attn.device.errors import InputError
from keras_attn.device.files.atomic_write import new_part, remove_abandoned
from keras_attn.device.quiet_stderr import quiet
from keras_attn.errors import MissingPackage

# Distribution and module of each interpreter, the preferred one first.
_RUNTIMES = {
    "ai-edge-litert": "ai_edge_litert.interpreter",
    "tflite-runtime": "tflite_runtime.interpreter",
    "tensorflow": "tensorflow.lite.python.interpreter",
}
RUNTIME_VARIABLE = "KERAS_ATTN_RUNTIME"
"""The environment variable that names the interpreter to use; by default the first that is installed."""
_TEXT_OPERATORS = "tensorflow_text.core.pybinds.tflite_registrar"
# XNNPACK's name for a weight cache in a file without a name or space on a disk, which Linux has.
_CACHE_IN_MEMORY = ":memory"
# LiteRT 2 takes half a microsecond per tensor and run for itself: a tenth of a small model's step, and
# negligible beside the weights of a large one, of which the interpreter keeps a copy per signature. From
# these sizes on weights are shared: the bytes of a file, and its bytes times its signatures.
_WORTH_SHARING = 16 * 2**20
_TOO_MANY_COPIES = 192 * 2**20
_READ_AND_WRITE = 2


def runtime() -> tuple[str, str]:
    """Return the name and version of the interpreter in use, such as ("ai-edge-litert", "2.3.0").

    Raises:
        MissingPackage: no interpreter is installed, or not the one that ``KERAS_ATTN_RUNTIME`` names.
        InputError: ``KERAS_ATTN_RUNTIME`` does not name one.
    """
    name, _ = _interpreter_module()
    if name == "tensorflow":  # There are distributions of several names.
        return name, sys.modules[name].__version__
    return name, importlib.metadata.version(name)


def _interpreter_module() -> tuple[str, Any]:
    chosen = os.environ.get(RUNTIME_VARIABLE)
    if chosen and chosen not in _RUNTIMES:
        raise InputError(f"{RUNTIME_VARIABLE} is {chosen!r}; choose {', '.join(_RUNTIMES)}.")
    for name in [chosen] if chosen else _RUNTIMES:
        module = _RUNTIMES[name]
        try:
            with quiet():
                return name, importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name != module.split(".")[0]:
                raise
    if chosen:
        raise MissingPackage(
            f"{RUNTIME_VARIABLE} is {chosen!r}, but it is not installed; `pip install {chosen}`."
        )
    raise MissingPackage(
        "No interpreter is installed; `pip install ai-edge-litert` (or tflite-runtime on an old system)."
    )


def text_operators() -> list[Any] | None:
    """Return the registerers of tensorflow-text's operators; None where it is not installed."""
    try:
        with quiet():
            return importlib.import_module(_TEXT_OPERATORS).SELECT_TFTEXT_OPS
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in ("tensorflow_text", "tensorflow"):
            raise
        return None


class Opened(NamedTuple):
    """A signature, ready to be run.

    Attributes:
        inputs: views by name; None in place of a tensor of a dynamic shape.
        outputs: likewise.
        run: computes the outputs; raises a RuntimeError if that fails.
    """

    inputs: dict[str, np.ndarray | None]
    outputs: dict[str, np.ndarray | None]
    run: Callable[[], None]


def open_model(source: str | bytes, threads: int, weight_cache: Path | None) -> Interpreted | Compiled:
    """Open a ``.tflite`` file (mapped, not read) or its bytes with the best runtime for its size.

    Args:
        source: the file's path, or its bytes.
        threads: threads that the runtime may use.
        weight_cache: a folder for the packed weights of large models, which need not be packed again then;
            None packs them each time, in memory.

    Raises:
        MissingPackage: no interpreter is installed.
        ValueError, RuntimeError: it is not a model that the runtime takes.
    """
    name, _ = _interpreter_module()
    size = len(source) if isinstance(source, bytes) else os.path.getsize(source)
    library = compiled_library() if name == "ai-edge-litert" else None
    large = library is not None and size >= _WORTH_SHARING
    with quiet():
        classic = None if large else Interpreted(source, threads)
        copied = size * len(classic.signatures) if classic is not None else 0
        if library is not None and (large or copied >= _TOO_MANY_COPIES):
            try:
                return Compiled(source, threads, library, weight_cache)
            except RuntimeError:
                pass  # Such as a file whose operators are registered later; the interpreter decides.
        return classic or Interpreted(source, threads)


def open_with_text(source: str | bytes, threads: int, operators: list[Any]) -> Any:
    """Open a model in an interpreter that has tensorflow-text's operators.

    Raises:
        ValueError, RuntimeError: as for ``open_model``.
    """
    name, module = _interpreter_module()
    with quiet(), _suppress_deprecation_notice() if name == "tensorflow" else nullcontext():
        return module.InterpreterWithCustomOps(
            **_classic_options(source, threads), custom_op_registerers=operators
        )


def _classic_options(source: str | bytes, threads: int) -> dict[str, Any]:
    return {"model_content" if isinstance(source, bytes) else "model_path": source, "num_threads": threads}


class Interpreted:
    """A model in the classic interpreter, where the weights are packed once per signature.

    Attributes:
        signatures: names of the inputs and outputs of each.
    """

    def __init__(self, source: str | bytes, threads: int):
        name, module = _interpreter_module()
        with _suppress_deprecation_notice() if name == "tensorflow" else nullcontext():
            self._interpreter = module.Interpreter(**_classic_options(source, threads))
        self._wrapper = self._interpreter._interpreter
        self.signatures: dict[str, dict[str, Any]] = self._wrapper.GetSignatureDefs()

    def open(self, name: str) -> Opened:
        """Allocate a signature."""
        wrapper = self._wrapper
        subgraph = wrapper.GetSubgraphIndexFromSignature(name)
        # A second allocation could move the memory under the views, so nothing is ever resized.
        wrapper.AllocateTensors(subgraph)
        tensors = self.signatures[name]
        return Opened(
            {tensor: self._view(index, subgraph) for tensor, index in tensors["inputs"].items()},
            {tensor: self._view(index, subgraph) for tensor, index in tensors["outputs"].items()},
            functools.partial(wrapper.Invoke, subgraph),
        )

    def _view(self, index: int, subgraph: int) -> np.ndarray | None:
        if -1 in self._wrapper.TensorSizeSignature(index, subgraph):
            return None
        return self._wrapper.tensor(self._wrapper, index, subgraph)


class Compiled:
    """A model compiled by LiteRT 2, with one packed copy of the weights for all its signatures.

    That copy is XNNPACK's weight cache. LiteRT's Python functions copy tensors; its C functions return their
    addresses.

    Attributes:
        signatures: names of the inputs and outputs of each.
        ending: the finalizer that tears it down.
    """

    def __init__(self, source: str | bytes, threads: int, library: Path, weight_cache: Path | None = None):
        if weight_cache is None:
            model = _compiled(source, threads, _CACHE_IN_MEMORY)
        else:
            model = _compiled(source, threads, os.fspath(_packed_weights(source, threads, weight_cache)))
        if not isinstance(source, bytes):
            _drop_mapped_pages(source)
        self._lock, self._unlock = _locks(library)
        self.signatures: dict[str, dict[str, Any]] = model.get_signature_list()
        # LiteRT writes to standard error when it is torn down, too: all of it is released at once, silenced,
        # at the latest when the program ends. Nothing else may hold a reference to any of these.
        self._held: list[list[Any]] = [[model, source]]
        self.ending = weakref.finalize(self, _release, self._held)

    def open(self, name: str) -> Opened:
        """Allocate a signature."""
        model, tensors = self._held[0][0], self.signatures[name]
        number = model.get_signature_index(name)
        inputs, outputs = model.create_input_buffers(number), model.create_output_buffers(number)
        # The inner method: the outer one asks every buffer for its capsule at each call.
        call = [
            model._model.RunByIndex,
            [buffer.capsule for buffer in inputs],
            [buffer.capsule for buffer in outputs],
        ]
        self._held += [inputs, outputs, call]

        first = [_first_run()]

        def run() -> None:
            invoke, read, written = call
            with first.pop() if first else nullcontext():
                invoke(number, read, written)

        return Opened(
            self._views(tensors["inputs"], inputs, model.get_input_tensor_details(name)),
            self._views(tensors["outputs"], outputs, model.get_output_tensor_details(name)),
            run,
        )

    def _views(
        self, names: list[str], buffers: list[Any], details: dict[str, Any]
    ) -> dict[str, np.ndarray | None]:
        return {name: self._view(buffer, details[name]) for name, buffer in zip(names, buffers, strict=True)}

    def _view(self, buffer: Any, details: dict[str, Any]) -> np.ndarray | None:
        shape, dtype = tuple(int(size) for size in details["shape"]), np.dtype(details["dtype"])
        if -1 in shape:
            return None
        pointer, address = _pointer(buffer.capsule), ctypes.c_void_p()
        if self._lock(pointer, ctypes.byref(address), _READ_AND_WRITE) or address.value is None:
            raise RuntimeError(f"tensor {details['name']!r} has no memory on the host")
        # The lock matters for accelerators: a host's memory does not move.
        self._unlock(pointer)
        memory = (ctypes.c_byte * (math.prod(shape) * dtype.itemsize)).from_address(address.value)
        return np.ctypeslib.as_array(memory).view(dtype).reshape(shape)


def _compiled(source: str | bytes, threads: int, weights: str) -> Any:
    litert = importlib.import_module("ai_edge_litert.compiled_model")
    kind = litert.CompiledModel
    cpu = litert.CpuOptions(num_threads=threads, xnnpack_weight_cache_path=weights)
    opened = kind.from_buffer if isinstance(source, bytes) else kind.from_file
    return opened(source, options=litert.Options(cpu_options=cpu))


def _drop_mapped_pages(path: str) -> None:
    """Drop the pages that opening a mapped file touched: most of its weights, which are packed elsewhere now.

    The system maps large pages around each byte that is read. What is needed again is mapped again.
    """
    advise = ctypes.CDLL(None).madvise
    advise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    name = os.path.realpath(path)
    for line in Path("/proc/self/maps").read_text("utf-8", "replace").splitlines():
        addresses, access, *_, mapped = line.split(maxsplit=5)
        if mapped == name and "w" not in access:
            first, end = (int(address, 16) for address in addresses.split("-"))
            advise(first, end - first, mmap.MADV_DONTNEED)


def _packed_weights(source: str | bytes, threads: int, folder: Path) -> Path:
    """Return the file of a model's packed weights, which is written aside and then renamed if it is missing.

    Its name identifies model, runtime and processor, by which the layout of packed weights differs.
    """
    content = hashlib.sha256(source) if isinstance(source, bytes) else _digest(source)
    for fact in (*runtime(), platform.machine(), _processor()):
        content.update(f"\n{fact}".encode())
    path = folder / f"{content.hexdigest()[:32]}.xnnpack"
    if path.is_file():
        return path
    try:
        folder.mkdir(parents=True, exist_ok=True)
        remove_abandoned(path)
        with new_part(path, os.mkdir) as aside:
            part = aside / path.name
            # The other memory that packing needs is freed with this model.
            _compiled(source, threads, os.fspath(part))
            part.replace(path)
    except OSError as error:
        raise InputError(f"weight cache {folder}: {error}; choose a folder that can be written.") from None
    return path


def _digest(path: str) -> Any:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest


def _processor() -> str:
    """Return the processor's features, as Linux reports them."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return ""
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")


def compiled_library() -> Path | None:
    """Return the path of LiteRT 2's library; None where it or its cache in memory is missing."""
    package = importlib.util.find_spec("ai_edge_litert") if sys.platform == "linux" else None
    if package is None or package.origin is None:
        return None
    folder = Path(package.origin).parent
    library = folder / "libLiteRt.so"
    return library if library.is_file() and (folder / "cpu_options.py").is_file() else None


def _locks(library: Path) -> tuple[Any, Any]:
    functions = ctypes.CDLL(os.fspath(library))
    lock, unlock = functions.LiteRtLockTensorBuffer, functions.LiteRtUnlockTensorBuffer
    lock.argtypes = [ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p), ctypes.c_int]
    unlock.argtypes = [ctypes.c_void_p]
    return lock, unlock


def _pointer(capsule: Any) -> int:
    name, pointer = ctypes.pythonapi.PyCapsule_GetName, ctypes.pythonapi.PyCapsule_GetPointer
    name.restype, name.argtypes = ctypes.c_char_p, [ctypes.py_object]
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return pointer(capsule, name(capsule))


def _release(held: list[list[Any]]) -> None:
    with quiet():
        for each in reversed(held):
            each.clear()


@contextmanager
def _suppress_deprecation_notice() -> Iterator[None]:
    """Suppress tf.lite's advice to use ai-edge-litert, which is used where it is installed."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"\s*Warning: tf\.lite\.Interpreter is deprecated")
        yield


@contextmanager
def _first_run() -> Iterator[None]:
    with quiet():
        yield
        _close_stderr_at_exit()


@functools.cache
def _close_stderr_at_exit() -> None:
    """Silence what the first run created, which logs its end after Python has ended."""
    library = ctypes.CDLL(None)
    register = library.__cxa_atexit
    register.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
    register(ctypes.cast(library.close, ctypes.c_void_p), 2, None)


def leave_to_parent(*engines: Any) -> None:
    """Never tear down engines in a forked process: they would wait for threads that it does not have."""
    for engine in engines:
        if isinstance(engine, Compiled):
            engine.ending.detach()
        if engine is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(engine))
