"""Layers that name mistyped constructor arguments, and tensors with too few or too many axes."""

import difflib
import inspect
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Self, TypeVar

import keras

from keras_attn.errors import ArgumentError, ArgumentTypeError

Class = TypeVar("Class")

# What `keras.layers.Layer` takes out of its `**kwargs`.
_KERAS_ARGUMENTS = ("input_dim", "input_shape")


def keeps_error_types(cls: type[Class]) -> type[Class]:
    """Exclude a class's `__call__` from TensorFlow's AutoGraph, which would change the types of errors."""
    cls.autograph_info__ = vars(cls)["__call__"].autograph_info__ = None  # type: ignore[attr-defined]
    return cls


@keeps_error_types
class CheckedLayer(keras.layers.Layer):
    """A layer that refuses unknown arguments by name, and tensors of the wrong rank."""

    # Call arguments that must have exactly these axes.
    call_axes: Mapping[str, tuple[str, ...]] = MappingProxyType({})

    # Before `__init__`, which would report that another argument is missing.
    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Make the layer.

        Raises:
            ArgumentTypeError: if an argument is not one of the constructor's.
        """
        known = _constructor_arguments(cls)
        unknown = [name for name in kwargs if known and name not in known]
        if unknown:
            raise ArgumentTypeError(
                f"{cls.__name__} has no argument {quoted(unknown)}.{_nearest(unknown[0], known)}"
            )
        return super().__new__(cls, *args, **kwargs)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the layer.

        Raises:
            ArgumentError: if a tensor has the wrong number of axes.
        """
        if self.call_axes:
            given = {**dict(zip(inspect.signature(self.call).parameters, args, strict=False)), **kwargs}
            for name, axes in self.call_axes.items():
                check_axes(type(self).__name__, name, given.get(name), axes)
        return super().__call__(*args, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, each of which is an attribute of the same name."""
        arguments = {name: _serialized(name, getattr(self, name)) for name in _own_arguments(type(self))}
        return {**super().get_config(), **arguments}


def check_axes(owner: str, name: str, tensor: Any, axes: tuple[str, ...]) -> None:
    """Raise an ArgumentError if a tensor has the wrong number of axes; `None` is accepted."""
    shape = getattr(tensor, "shape", None)
    if getattr(shape, "rank", 0) is None:  # unknown to TensorFlow
        return
    if shape is not None and len(shape) != len(axes):
        raise ArgumentError(f"{owner}: `{name}` must have the shape ({', '.join(axes)}), got {tuple(shape)}.")


def quoted(names: Iterable[str]) -> str:
    """Return names as messages show them."""
    return ", ".join(f"`{name}`" for name in names)


def _serialized(name: str, argument: Any) -> Any:
    if isinstance(argument, keras.Layer):
        return keras.saving.serialize_keras_object(argument)
    if name.endswith("initializer"):
        return keras.initializers.serialize(argument)
    return keras.activations.serialize(argument) if callable(argument) else argument


def _own_arguments(cls: type) -> tuple[str, ...]:
    """Return the names of the constructor arguments that classes of this package define, bases first."""
    own = (each for each in reversed(cls.__mro__) if each.__module__.startswith("keras_attn."))
    return tuple(dict.fromkeys(name for each in own for name in _names(_parameters(each))))


def _parameters(cls: type) -> list[inspect.Parameter]:
    """Return the parameters of a class' own constructor, without `self`; none if it inherits it."""
    init = vars(cls).get("__init__")
    return list(inspect.signature(init).parameters.values())[1:] if init else []


def _names(parameters: Iterable[inspect.Parameter]) -> list[str]:
    return [p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]


def _constructor_arguments(cls: Any) -> tuple[str, ...]:
    """Return the names of all constructor arguments; none if a user's class accepts any."""
    names: list[str] = []
    for each in cls.__mro__:
        if "__init__" not in vars(each):
            continue
        parameters = _parameters(each)
        names += _names(parameters)
        takes_any = any(p.kind == p.VAR_KEYWORD for p in parameters)
        if each is keras.layers.Layer or (issubclass(each, CheckedLayer) and not takes_any):
            break
        if takes_any and each.__module__.partition(".")[0] not in ("keras", "keras_attn"):
            return ()
    return (*names, *_KERAS_ARGUMENTS)


def _nearest(name: str, known: Iterable[str]) -> str:
    nearest = difflib.get_close_matches(name, known, n=1)
    return f" Did you mean `{nearest[0]}`?" if nearest else f" It has {quoted(dict.fromkeys(known))}."
