"""What is at a path: a run folder or a bundle, and of which task."""

from pathlib import Path

RUN_FILE, MANIFEST = "run.json", "manifest.json"


def is_run(path: Path) -> bool:
    """Whether there is a run folder."""
    return (path / RUN_FILE).is_file()


def is_bundle(path: Path) -> bool:
    """Whether there is a bundle: a folder, or a file, which can only be a .zip."""
    return path.is_file() or (path / MANIFEST).is_file()


def task_of(path: Path) -> str:
    """The task of a run folder or of a bundle; of anything else, a translator's.

    Raises:
        TrainingError, BundleError: what is there is damaged.
    """
    if is_run(path):
        from keras_attn.training.run import read_config

        return read_config(path)["task"]
    if is_bundle(path):
        from keras_attn.device.bundle import Bundle

        return Bundle.open(path).manifest["task"]
    return "translation"
