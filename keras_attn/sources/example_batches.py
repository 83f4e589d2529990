"""What users give as examples, read as arrays: tensors of any library, data frames, data sets, generators."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from keras_attn.errors import ArgumentError, ArgumentTypeError, shortened

Reader = Callable[[Any], np.ndarray]
"""Returns an array of one input's values."""


def nested_arrays(examples: Any, count: int) -> Any:
    """Return at most `count` of the user's examples as nested arrays of numbers, (N, ...).

    Args:
        examples: nested arrays with a leading batch axis, alone or in a tuple with targets, or batches of
            these: a `tf.data.Dataset`, a `keras.utils.PyDataset`, a `DataLoader` of torch, or a generator.
        count: the most examples that are read.

    Raises:
        ArgumentError: there are none.
        ArgumentTypeError: they are not arrays of numbers.
    """
    return read_nested(examples, count, numbers)


def inputs_in(examples: Any, model: Any) -> Any:
    """Return examples with a tuple of all of a model's inputs as a list; other tuples have targets."""
    count = len(getattr(model, "inputs", None) or ())
    every = isinstance(examples, tuple) and 1 < count == len(examples)
    return list(examples) if every and all(hasattr(each, "shape") for each in examples) else examples


def read_nested(examples: Any, count: int, read: Reader) -> Any:
    """Return at most `count` examples as nested arrays, (N, ...); see `nested_arrays`.

    Args:
        examples: what `nested_arrays` takes.
        count: the most examples that are read.
        read: returns an array of one input's values.
    """
    from keras import tree

    if _in_batches(examples):
        examples = _first_batches(examples, count, read)
    if isinstance(examples, tuple) and examples:
        examples = examples[0]
    arrays = _arrays_in(examples, read)
    leaves = tree.flatten(arrays)
    if not leaves or any(array.ndim == 0 or len(array) == 0 for array in leaves):
        raise ArgumentError("examples: there are none, or they have no leading batch axis")
    return tree.map_structure(lambda array: array[:count], arrays)


def _arrays_in(value: Any, read: Reader) -> Any:
    """Return nested arrays of what a user nested; a list without arrays in it holds rows, not inputs."""
    if isinstance(value, Mapping):
        return {name: _arrays_in(each, read) for name, each in value.items()}
    nested = isinstance(value, list | tuple) and any(
        isinstance(each, Mapping) or getattr(each, "shape", ()) != () for each in value
    )
    return [_arrays_in(each, read) for each in value] if nested else read(value)


def _in_batches(examples: Any) -> bool:
    """Return whether examples come in batches; tensors and data frames, which can be iterated, do not."""
    from keras.utils import PyDataset

    if isinstance(examples, list | tuple | Mapping | str | bytes) or hasattr(examples, "shape"):
        return False
    return isinstance(examples, PyDataset) or hasattr(examples, "__iter__")


def batches(examples: Any) -> Iterator[tuple[Any, Any]]:
    """Yield the inputs and targets of batches; `None` where a batch has no targets."""
    from keras.utils import PyDataset

    every: Iterable[Any] = examples
    if isinstance(examples, PyDataset):
        every = (examples[i] for i in range(examples.num_batches or 2**31))
    # torch's DataLoader turns its tuples into lists.
    listed = any(kind.__module__.startswith("torch.utils.data") for kind in type(examples).__mro__)
    for batch in every:
        if isinstance(batch, tuple) or (listed and isinstance(batch, list)):
            yield batch[0], batch[1] if len(batch) > 1 else None
        else:
            yield batch, None


def _first_batches(examples: Any, count: int, read: Reader) -> Any:
    """Return the first examples of batches, without targets; only those of the first batch's shape."""
    from keras import tree

    found: list[Any] = []
    total = 0
    for inputs, _ in batches(examples):
        arrays = _arrays_in(inputs, read)
        leaves = tree.flatten(arrays)
        if any(array.ndim == 0 for array in leaves):
            raise ArgumentError("examples: the dataset has no batches, but single examples: call .batch(32)")
        shapes = [array.shape[1:] for array in leaves]
        if not found or shapes == [array.shape[1:] for array in tree.flatten(found[0])]:
            found.append(arrays)
            total += len(leaves[0]) if leaves else 0
        if total >= count:
            break
    if not found:
        raise ArgumentError("examples: the dataset has no batches")
    return tree.map_structure(lambda *parts: np.concatenate(parts), *found)


def numbers(value: Any) -> np.ndarray:
    """Return a value as an array of numbers.

    Raises:
        ArgumentTypeError: it is not one.
    """
    array = as_array(value)
    if array.dtype.kind in "USO" and isinstance(next(iter(array.ravel().tolist()), None), str | bytes):
        raise ArgumentTypeError(
            "examples hold texts, and the model takes numbers: give arrays of ids, or the `tokenizer` that "
            'makes them with `labels` or task="embedding"'
        )
    if array.dtype.kind not in "biuf":
        raise ArgumentTypeError(f"examples hold {array.dtype}: give arrays of numbers")
    return array


def as_array(value: Any) -> np.ndarray:
    """Return a tensor of any library, or nested lists, as an array of any type.

    Raises:
        ArgumentTypeError: it is not one, such as rows of different lengths.
    """
    if hasattr(value, "detach"):  # torch's, that may need gradients or be on a GPU
        value = value.detach().cpu()
        value = value.float() if str(value.dtype) == "torch.bfloat16" else value
    try:
        array = np.asarray(value)
    except Exception as error:  # whatever a library's tensors raise
        if isinstance(value, list | tuple) and len({np.size(each) for each in value}) > 1:
            raise ArgumentTypeError(
                "examples have rows of different lengths: pad them to one, such as by "
                'keras.utils.pad_sequences(rows, padding="post")'
            ) from None
        raise ArgumentTypeError(f"examples are not arrays: {shortened(error)}") from None
    # Types that NumPy does not know, such as bfloat16.
    return array.astype(np.float32) if "float" in array.dtype.name and array.dtype.kind == "V" else array
