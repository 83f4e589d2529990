"""The web app itself: where its sources are, and how they are built, once."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from keras_attn.device.errors import InputError
from keras_attn.device.files.atomic_write import write_text

PACKAGE = "package.json"
BUILT = "dist"
_DIGEST = "built-from"
_SOURCES = (PACKAGE, "package-lock.json", "build.mjs", "src")
_ROOT = Path(__file__).parents[2]  # the package keras_attn


def built_app() -> Path:
    """Return the folder of the built app, which Node builds when it is first needed, or has changed.

    Raises:
        InputError: Node is missing, or the build failed; says what to do.
    """
    sources = find_sources()
    digest = _digest(sources)
    workshop = sources if _is_checkout(sources) else _cache() / digest[:16]
    built = workshop / BUILT
    mark = workshop / "node_modules" / f".{_DIGEST}"
    if built.is_dir() and mark.is_file() and mark.read_text() == digest:
        return built
    if workshop != sources:
        for name in _SOURCES:
            _copy(sources / name, workshop / name)
    _build(workshop)
    write_text(mark, digest)
    return built


def find_sources() -> Path:
    """Return the folder of the app's sources: `demos/web` of a checkout, or what the wheel has of it."""
    for folder in (_ROOT.parent / "demos" / "web", _ROOT / "web"):
        if (folder / PACKAGE).is_file():
            return folder
    raise InputError(f"The web app's sources are missing beside {_ROOT}; install keras-attn again.")


def _is_checkout(sources: Path) -> bool:
    return sources.parent.name == "demos"


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "keras-attn" / "web"


def _digest(sources: Path) -> str:
    digest = hashlib.sha256()
    for name in _SOURCES:
        path = sources / name
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file():
                digest.update(f"{file.relative_to(sources).as_posix()}\0".encode() + file.read_bytes())
    return digest.hexdigest()


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    else:
        shutil.copyfile(source, target)


def _build(folder: Path) -> None:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise InputError(
            "The web app is built with Node 20 or newer and its npm, once, and they are not on the PATH; "
            "install them (https://nodejs.org) and repeat. The site itself needs no Node: it can be written "
            "elsewhere and copied."
        )
    if not (folder / "node_modules" / "esbuild").is_dir():
        _run([npm, "ci", "--omit=dev", "--no-audit", "--no-fund"], folder)
    _run([node, "build.mjs"], folder)


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()[-3:]
        name = f"{Path(command[0]).name} {command[1]}"
        raise InputError(f"The web app could not be built: {name} in {folder}: {' '.join(said)}")
