"""Checks of output paths: they must not overwrite an input, and must be writable."""

from pathlib import Path

import typer

from keras_attn.device.files.folder_kinds import MANIFEST, is_bundle, is_run

STDOUT = Path("-")  # as the name of an output


def check_output(output: Path, *inputs: str | Path) -> None:
    """Refuse an output that would destroy an input, or cannot be written, before any work is done.

    Args:
        output: the file to write.
        *inputs: files that are read, run folders and bundles.

    Raises:
        typer.BadParameter: it is one of the inputs, or a file of the run or bundle that one of them is.
        OSError: it is a folder, or its folder cannot be written to.
    """
    from keras_attn.device.files.atomic_write import check_file

    if output == STDOUT:
        raise typer.BadParameter("--output - is not a file name here; write ./- for a file of that name")
    check_file(output)
    for given in map(Path, inputs):
        if any(_is_same(output, file) for file in _files_of(given)):
            raise typer.BadParameter(f"--output {output} would overwrite what is read from {given}")


def _files_of(path: Path) -> list[Path]:
    """The files of a run folder or a bundle by their names; of anything else, the path itself."""
    if is_run(path):
        from keras_attn.training import run_folder as run

        names = [run.RUN, run.TOKENIZER, run.MODEL, *run.HELD_OUT_FILES, run.HISTORY]
        return [path / name for name in names]
    if path.is_dir() and is_bundle(path):
        from keras_attn.device.files.bundle import Bundle

        return [path / name for name in (MANIFEST, *Bundle.open(path).manifest["files"])]
    return [path]


def _is_same(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)
