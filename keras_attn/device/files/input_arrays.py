"""Arrays that users give by the path of a file: ``.npz`` and ``.npy``. Nothing is unpickled."""

from __future__ import annotations

import os
import zipfile
import zlib
from typing import Any

import numpy as np

from keras_attn.device.errors import InputError, one_line

ENDINGS = (".npz", ".npy")


def read_input_arrays(path: str | os.PathLike[str]) -> Any:
    """Read the inputs of a model.

    Args:
        path: a ``.npy``, or a ``.npz`` of arrays by name.

    Returns:
        An array, or a dict of arrays by name; a list where ``np.savez`` got arrays without names, or the
        array if it got one.

    Raises:
        InputError: there is no such file, it cannot be read, or holds no arrays of numbers.
    """
    name = os.fspath(path)
    if not name.endswith(ENDINGS):
        raise InputError(
            f"{name} ends in neither {' nor '.join(ENDINGS)}: save arrays with np.savez or np.save."
        )
    try:
        read = np.load(name, allow_pickle=False)
        if isinstance(read, np.ndarray):
            return read
        with read:
            arrays = {each: read[each] for each in read.files}
    except FileNotFoundError:
        raise InputError(f"There is no file {name}.") from None
    except (OSError, ValueError, EOFError, SyntaxError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{name} cannot be read: {one_line(error)}.") from None
    if not arrays:
        raise InputError(f"{name} holds no arrays.")
    unnamed = [f"arr_{i}" for i in range(len(arrays))]
    if set(unnamed) != set(arrays):
        return arrays
    found = [arrays[each] for each in unnamed]
    return found[0] if len(found) == 1 else found
