"""Settings that must be made before Keras, TensorFlow or JAX is imported: the backend, and quiet logs."""

import ctypes
import importlib.util
import json
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Callable
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path

import typer

from keras_attn.device.standard_streams import visible

BACKENDS = ("jax", "tensorflow", "torch")

# Keras writes this file by itself when it is first imported; unchanged, it is nobody's choice.
_UNTOUCHED_KERAS_CONFIG = {
    "floatx": "float32",
    "epsilon": 1e-07,
    "backend": "tensorflow",
    "image_data_format": "channels_last",
}


def quiet_logs() -> None:
    """Keep TensorFlow, JAX and absl to errors, and write warnings as one line each."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    for name in ("absl", "tensorflow", "jax", "h5py", "matplotlib", "fontTools"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.showwarning = _show_warning
    if not any(isinstance(finder, _QuietImport) for finder in sys.meta_path):
        sys.meta_path.insert(0, _QuietImport("tensorflow"))


class _QuietImport(MetaPathFinder):
    """Imports one package with standard error held back, and shows it only if the import fails.

    TensorFlow writes about oneDNN and CUDA while it loads, before any of its own switches can take effect.
    """

    def __init__(self, name: str):
        self.name = name

    def find_spec(self, fullname: str, path=None, target=None) -> ModuleSpec | None:
        """Find the package as always, with a loader that is quiet."""
        if fullname != self.name:
            return None
        sys.meta_path.remove(self)
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            sys.meta_path.insert(0, self)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module
            spec.loader.exec_module = lambda module: _hold_stderr(lambda: load(module))
        return spec


def _hold_stderr(action: Callable[[], None]) -> None:
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held:
        saved = os.dup(2)
        os.dup2(held.fileno(), 2)
        failed = True
        try:
            action()
            failed = False
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            if failed:
                held.seek(0)
                os.write(2, held.read())


def _show_warning(message, category, filename, lineno, file=None, line=None) -> None:
    # Libraries warn their own developers; what this project has to say reaches the user.
    if category.__module__.startswith("keras_attn"):
        print(f"keras-attn: warning: {visible(message)}", file=file or sys.stderr)


def keep_freed_memory() -> bool:
    """Make glibc keep freed memory instead of returning it to the system; return whether that worked.

    A training step on a CPU frees and takes hundreds of megabytes; having every page of them mapped and
    zeroed again took a third to a half of the processor's time (docs/translation.md has the figures).
    Threads share one heap from then on: in a heap of its own, a thread of JAX would have what is larger than
    64 MB mapped all the same.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None:  # another system's or another libc's allocator
        return False
    trim_threshold, top_pad, mmap_max, arena_max = -1, -2, -4, -8  # of malloc.h
    # Never trim; take much; no mappings; one heap.
    settings = {trim_threshold: -1, top_pad: 256 * 2**20, mmap_max: 0, arena_max: 1}
    return all([mallopt(name, value) for name, value in settings.items()])


def choose_backend(asked: str | None = None) -> str:
    """Set KERAS_BACKEND, before Keras is imported, and return it.

    What was asked for wins, then the environment, then the user's keras.json, then JAX where it is installed,
    then TensorFlow.

    Raises:
        typer.BadParameter: the backend is unknown or not installed.
    """
    backend = asked or os.environ.get("KERAS_BACKEND") or _configured() or _installed()
    if backend not in BACKENDS:
        raise typer.BadParameter(f"the backend must be one of {', '.join(BACKENDS)}, not {backend!r}")
    if not importlib.util.find_spec(backend):
        raise typer.BadParameter(f"the backend {backend} is not installed: pip install {backend}")
    os.environ["KERAS_BACKEND"] = backend
    return backend


def _installed() -> str:
    for backend in ("jax", "tensorflow"):
        if importlib.util.find_spec(backend):
            return backend
    raise typer.BadParameter("Keras has no backend here: pip install 'keras-attn[jax]' or [export]")


def _configured() -> str | None:
    folder = os.environ.get("KERAS_HOME") or Path.home() / ".keras"
    try:
        config = json.loads((Path(folder) / "keras.json").read_text("utf-8"))
    except (OSError, ValueError):
        return None
    chosen = isinstance(config, dict) and config != _UNTOUCHED_KERAS_CONFIG
    return config.get("backend") if chosen else None
