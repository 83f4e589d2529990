"""What is at a path, by the name of one file: a run folder or a bundle."""

from pathlib import Path

from keras_attn.device.files.manifest import MANIFEST

RUN_FILE = "run.json"


def is_run(path: Path) -> bool:
    """Return whether a run folder is at the path."""
    return (path / RUN_FILE).is_file()


def is_bundle(path: Path) -> bool:
    """Return whether a bundle is at the path: a folder, or a file, which is a .zip if not a .keras."""
    return (path.is_file() and path.suffix != ".keras") or (path / MANIFEST).is_file()
