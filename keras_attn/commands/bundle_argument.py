"""The argument of commands that take a bundle: its path, or a name of the registry."""

from pathlib import Path
from typing import Annotated

import typer


def found_bundle(given: Path) -> Path:
    """Return the path of a bundle, downloaded with a progress bar if it is known by name only.

    Raises:
        BundleError: see `keras_attn.bundles.find.find_bundle`.
    """
    from keras_attn.bundles.find import find_bundle, is_name, shipped

    if not is_name(given) or shipped(str(given)):
        return find_bundle(given)
    from keras_attn.training.progress_bar import DownloadBar

    with DownloadBar() as progress:
        return find_bundle(given, progress)


def found_source(given: Path) -> Path:
    """Return the path of whatever a model lies in; a name that is no bundle's is a checkpoint's, and stays.

    Raises:
        BundleError: as `found_bundle`.
    """
    from keras_attn.bundles.find import is_name

    return found_bundle(given) if is_name(given) else given


BundleArgument = Annotated[
    Path,
    typer.Argument(help="Bundle: a folder, a .zip, or a name such as en-ja.", callback=found_bundle),
]
