"""From arrays to printed arrays: ``run`` for the bundles of models that take no text."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np

from keras_attn.device.errors import InputError, one_line
from keras_attn.device.files.atomic_write import check_file, write_bytes
from keras_attn.device.files.input_arrays import ENDINGS, read_input_arrays
from keras_attn.device.tasks.predictor import Predictor

ARRAYS = "JSON such as '[[1, 2]]' or '{\"ids\": [[3, 5, 2]]}', or the path of an .npz or .npy"
"""What is given to a model of arrays."""


def print_predictions(
    predictor: Predictor,
    given: Iterable[str],
    as_json: bool,
    complain: Callable[[str], None],
) -> int:
    """Predict for each argument or line, and print the outputs: an array, or arrays by name, as JSON.

    Values that are not finite, which JSON does not have, are printed as null.

    Args:
        predictor: the model.
        given: JSON, or paths of files.
        as_json: whether to print ``{"input": ..., "outputs": {...}}``, where the input of a file is its path.
        complain: called with one line that says why an input was refused.

    Returns:
        The exit code: 2 if an input was refused.
    """
    refused = 0
    for text in given:
        try:
            inputs = read_input(text)
            outputs = {name: plain(array) for name, array in _outputs(predictor, inputs).items()}
        except InputError as error:
            problem, refused = one_line(error), refused + 1
            complain(problem)
            record: Any = {"input": text.encode(errors="replace").decode(), "error": problem}
            print(json.dumps(record, ensure_ascii=False) if as_json else "", flush=True)
            continue
        if as_json:
            record = {"input": text if text.endswith(ENDINGS) else inputs, "outputs": outputs}
        else:
            record = outputs if len(outputs) > 1 else next(iter(outputs.values()))
        print(json.dumps(record, ensure_ascii=False), flush=True)
    return 2 if refused else 0


def write_predictions(predictor: Predictor, given: Sequence[str], output: str) -> None:
    """Predict for one argument, and write the outputs by name to an ``.npz``.

    Raises:
        InputError: there are several arguments, the input does not fit, or the output is not an ``.npz``
            or one of the files that are read.
        OSError: the file cannot be written.
    """
    if not output.endswith(".npz"):
        raise InputError(f"--output {output}: the outputs are written as .npz; give a name that ends so.")
    if len(given) != 1 or given[0] == "-":
        raise InputError("--output writes the outputs of one input: give one, which may have many examples.")
    folder = None if predictor.opening is None else predictor.opening.path
    if os.path.exists(output) and os.path.exists(given[0]) and os.path.samefile(output, given[0]):
        raise InputError(f"--output {output} would overwrite the inputs.")
    if folder is not None and os.path.abspath(output).startswith(os.path.join(folder, "")):
        raise InputError(f"--output {output} would be in the bundle; choose another folder.")
    check_file(output)
    content = io.BytesIO()
    np.savez(content, **_outputs(predictor, read_input(given[0])))  # pyright: ignore[reportArgumentType]
    write_bytes(output, content.getvalue())


def read_input(text: str) -> Any:
    """Return the inputs that an argument or a line stands for.

    Raises:
        InputError: it is neither JSON nor the path of a file of arrays.
    """
    if text.endswith(ENDINGS):
        return read_input_arrays(text)
    try:
        found = json.loads(text, parse_constant=_refuse)
    except InputError:
        raise
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"The input is neither an .npz or .npy file nor JSON ({error}); give {ARRAYS}."
        ) from None
    if not isinstance(found, list | dict):
        raise InputError(f"The input is one value, not an array; give {ARRAYS}.")
    return found


def plain(array: np.ndarray) -> Any:
    """Return an array as nested lists, floats with the digits that float32 has."""
    if array.dtype.kind != "f":
        return array.tolist()
    values = array.astype("U").astype(np.float64).astype(object)
    values[~np.isfinite(array)] = None
    return values.tolist()


def _outputs(predictor: Predictor, inputs: Any) -> Mapping[str, np.ndarray]:
    return predictor.outputs(predictor.arrays(inputs))


def _refuse(constant: str) -> NoReturn:
    raise InputError(f"The input holds {constant}, which JSON does not have; give finite numbers.")
