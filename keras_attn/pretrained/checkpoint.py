"""A Hugging Face model folder: its configuration and its tensors, read only from safetensors."""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, Self

import numpy as np

from keras_attn.pretrained.errors import PretrainedError
from keras_attn.pretrained.pickles import how_to_convert

CONFIG = "config.json"
# Its name in Google's first BERT checkpoints.
GOOGLE_CONFIG = "bert_config.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
# The file of a PEFT adapter, without which the model's weights are incomplete.
ADAPTER = "adapter_config.json"
# Types of plain weights; others are quantized, with scales elsewhere.
FLOATS = ("F32", "F16", "BF16", "F64")


class Tensor(NamedTuple):
    """One row of an architecture's table: a tensor of the checkpoint and its variable.

    Attributes:
        name: the tensor's name in the checkpoint.
        variable: the Keras variable, or a tuple of those that the checkpoint concatenates along the output
            axis.
        kind: `"same"` for equal shapes; `"vector"` for biases of heads, (H, dh) here; `"row"` for a vector
            with a leading axis of 1 there; `"linear"` for a kernel that the checkpoint keeps as (outputs,
            inputs), `"kernel"` for one that it keeps as (inputs, outputs), `"reversed"` for one of a
            convolution that it keeps as (outputs, inputs, size). The inputs are the variable's first axes.
        outputs: number of the variable's last axes that are outputs of a kernel.
    """

    name: str
    variable: Any
    kind: str = "same"
    outputs: int = 1

    @property
    def variables(self) -> tuple[Any, ...]:
        """All variables of the row."""
        return self.variable if isinstance(self.variable, tuple) else (self.variable,)

    def _flat(self, variable: Any) -> tuple[int, ...]:
        """Return the shape of one variable with its axes merged as in the checkpoint, inputs first."""
        shape = tuple(variable.shape)
        if self.kind in ("same", "reversed"):
            return shape
        cut = 0 if self.kind in ("vector", "row") else len(shape) - self.outputs
        sizes = (int(np.prod(shape[:cut])), int(np.prod(shape[cut:])))
        return sizes[1:] if self.kind == "vector" else sizes

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the tensor in the checkpoint."""
        flats = [self._flat(variable) for variable in self.variables]
        whole = (*flats[0][:-1], sum(flat[-1] for flat in flats))
        return whole[::-1] if self.kind in ("linear", "reversed") else whole

    def assign(self, array: np.ndarray) -> None:
        """Assign the checkpoint's array to the variables."""
        array = array.T if self.kind in ("linear", "reversed") else array
        ends = np.cumsum([self._flat(variable)[-1] for variable in self.variables])
        for variable, part in zip(self.variables, np.split(array, ends[:-1], axis=-1), strict=True):
            variable.assign(part.reshape(tuple(variable.shape)))

    def exported(self) -> np.ndarray:
        """Return the variables as the checkpoint's array."""
        arrays = [np.asarray(v.numpy(), dtype="float32").reshape(self._flat(v)) for v in self.variables]
        whole = np.concatenate(arrays, axis=-1)
        return np.ascontiguousarray(whole.T) if self.kind in ("linear", "reversed") else whole


class Checkpoint:
    """The configuration and the tensors of a folder, whose files stay open until the `with` block ends.

    Args:
        folder: with config.json and model.safetensors, or its shards and their index.

    Raises:
        PretrainedError: if a file is missing or cannot be read; .bin and .pt files are pickles, and refused.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self.config = read_json(find_config(self.folder))
        if (self.folder / ADAPTER).is_file():
            raise PretrainedError(
                f"{self.folder} has an adapter ({ADAPTER}), which transformers adds to the model's weights: "
                "merge it into them (`merge_and_unload` of peft) and save the model."
            )
        self._files: dict[Path, Any] = {}
        self._closing = ExitStack()
        # The first checkpoints of BERT call the two vectors of a normalization gamma and beta.
        self._where = {_renamed(name): (path, name) for name, path in self._find().items()}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        self._files.clear()
        self._closing.close()

    @contextmanager
    def _opened(self, path: Path) -> Iterator[Any]:
        # Registers bfloat16 with NumPy.
        import ml_dtypes  # noqa: F401
        from safetensors import SafetensorError, safe_open

        try:
            if path not in self._files:
                self._files[path] = self._closing.enter_context(safe_open(path, framework="numpy"))
            yield self._files[path]
        except (SafetensorError, OSError) as error:
            raise PretrainedError(f"{path} cannot be read: {error}. Download it again.") from error

    def _find(self) -> dict[str, Path]:
        """Map the name of each tensor to its file."""
        index = self.folder / INDEX
        if index.is_file():
            where = read_json(index).get("weight_map")
            if not isinstance(where, dict) or not all(isinstance(file, str) for file in where.values()):
                raise PretrainedError(f"{index} has no `weight_map` of file names.")
            missing = sorted({file for file in where.values() if not (self.folder / file).is_file()})
            if missing:
                raise PretrainedError(
                    f"{self.folder} lacks the shards {', '.join(missing)} that {INDEX} names."
                )
            return {name: self.folder / file for name, file in where.items()}
        single = self.folder / WEIGHTS
        if not single.is_file():
            pickles = sorted(path.name for path in self.folder.glob("*.bin")) + sorted(
                path.name for path in self.folder.glob("*.pt")
            )
            hint = f" {how_to_convert(self.folder, pickles[0], self.config)}" if pickles else ""
            raise PretrainedError(f"{self.folder} has neither {WEIGHTS} nor {INDEX}.{hint}")
        with self._opened(single) as file:
            return dict.fromkeys(file.keys(), single)

    @property
    def names(self) -> set[str]:
        """Names of all tensors."""
        return set(self._where)

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a tensor."""
        path, stored = self._where[name]
        with self._opened(path) as file:
            return tuple(file.get_slice(stored).get_shape())

    def dtype(self, name: str) -> str:
        """Return the dtype of a tensor, by its name in safetensors."""
        path, stored = self._where[name]
        with self._opened(path) as file:
            return file.get_slice(stored).get_dtype()

    def read(self, name: str) -> np.ndarray:
        """Read a tensor in float32."""
        path, stored = self._where[name]
        with self._opened(path) as file:
            return np.asarray(file.get_tensor(stored), dtype="float32")

    def is_copy(self, name: str, other: str) -> bool:
        """Return whether two tensors are equal, or one of them is missing."""
        if name not in self._where or other not in self._where or name == other:
            return True
        return self.shape(name) == self.shape(other) and np.array_equal(self.read(name), self.read(other))

    def refuse(self, problems: list[str]) -> NoReturn:
        """Raise a PretrainedError that lists all problems."""
        listed = "\n  ".join(problems)
        raise PretrainedError(f"{self.folder} cannot be loaded:\n  {listed}")

    def assign(self, table: Iterable[Tensor], ignored: Callable[[str], bool] = lambda name: False) -> None:
        """Assign tensors to all variables of a table, if each has one that fits.

        Args:
            table: rows of variables and tensors.
            ignored: returns whether a tensor of this name may stay unused.

        Raises:
            PretrainedError: if some do not fit, with one line for each; no variable is changed then.
        """
        rows, problems = list(table), []
        wanted = {row.name for row in rows}
        for row in rows:
            if row.name not in self._where:
                problems.append(f"tensor {row.name} {row.shape} is missing")
            elif self.shape(row.name) != row.shape:
                problems.append(f"tensor {row.name} is {self.shape(row.name)}, the model expects {row.shape}")
            elif self.dtype(row.name) not in FLOATS:
                problems.append(
                    f"tensor {row.name} is stored as {self.dtype(row.name)}, not {', '.join(FLOATS)}"
                )
        unused = sorted(name for name in self.names - wanted if not ignored(name))
        problems += [f"tensor {name} {self.shape(name)} has no place in the model" for name in unused]
        if problems:
            self.refuse(problems)
        for row in rows:
            row.assign(self.read(row.name))


def _renamed(name: str) -> str:
    return name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")


def find_config(folder: Path) -> Path:
    """Return the path of a folder's configuration: config.json, or Google's bert_config.json."""
    named = (folder / name for name in (CONFIG, GOOGLE_CONFIG))
    return next((path for path in named if path.is_file()), folder / CONFIG)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        PretrainedError: if the file is missing or is not a JSON object.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PretrainedError(f"{path} is missing: give the folder of a Hugging Face model.") from None
    except (OSError, ValueError) as error:
        raise PretrainedError(f"{path} cannot be read: {error}.") from error
    if not isinstance(found, dict):
        raise PretrainedError(f"{path} does not contain a JSON object.")
    return found
