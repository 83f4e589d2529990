"""Where a model's mask ends: the layer behind which padding is no longer distinguished."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

NO_MASK = "no layer makes a mask: use mask_zero=True in Embedding, a Masking layer, or a mask as an input"
_MERGING = ("Add", "Subtract", "Multiply", "Maximum", "Minimum", "Concatenate")
"""Operations that are layers of the same name, too."""
UNUSED = (
    "a layer that gets the mask does not use it, or an operation between layers, such as + or one of "
    "keras.ops, drops it"
)


@dataclass
class _Calls:
    """What the calls of layers did with masks."""

    made: bool = False
    lost: list[str] = field(default_factory=list)


def where_mask_is_lost(model: Any, call: Callable[[], Any]) -> str:
    """Return which layer loses the mask, in words for an error.

    Args:
        model: the Keras model.
        call: calls the model with padded inputs.
    """
    calls = _Calls()
    with _watched(model, calls):
        call()
    if calls.lost:
        return f"the mask is lost at {calls.lost[0]}"
    return UNUSED if calls.made else NO_MASK


@contextlib.contextmanager
def _watched(model: Any, calls: _Calls) -> Iterator[None]:
    from keras import tree
    from keras.layers import Layer
    from keras.src.ops.operation import Operation

    original, operate = Layer.__call__, Operation.__call__

    def masks_of(values: Any) -> list[Any]:
        return [getattr(each, "_keras_mask", None) for each in tree.flatten(values)]

    def watching(self: Any, *arguments: Any, **named: Any) -> Any:
        outputs = original(self, *arguments, **named)
        masks = masks_of((arguments, named))
        calls.made |= any(mask is not None for mask in masks_of(outputs))
        inside = any(True for _ in self._flatten_layers(include_self=False, recursive=False))
        if any(m is not None for m in masks) and not self.supports_masking and not inside:
            calls.lost.append(f"layer {self.name!r} ({type(self).__name__}), which does not support masking")
        return outputs

    def operating(self: Any, *arguments: Any, **named: Any) -> Any:
        outputs = operate(self, *arguments, **named)
        if not isinstance(self, Layer) and any(mask is not None for mask in masks_of((arguments, named))):
            kind = type(self).__name__
            calls.lost.append(
                f"operation {self.name!r} ({kind}), which is not a layer: use "
                + (f"keras.layers.{kind}, which keeps it" if kind in _MERGING else "a layer that keeps it")
            )
        return outputs

    with (
        mock.patch.object(Layer, "__call__", watching),
        mock.patch.object(Operation, "__call__", operating),
    ):
        yield
