"""Where a model's mask ends: the layer behind which padding is no longer distinguished."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

NO_MASK = "no layer makes a mask: use mask_zero=True in Embedding, a Masking layer, or a mask as an input"


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
        return f"the mask is lost at layer {calls.lost[0]}, which does not support masking"
    return "a layer that gets the mask does not use it" if calls.made else NO_MASK


@contextlib.contextmanager
def _watched(model: Any, calls: _Calls) -> Iterator[None]:
    from keras import tree
    from keras.layers import Layer

    original = Layer.__call__

    def watching(self: Any, *arguments: Any, **named: Any) -> Any:
        outputs = original(self, *arguments, **named)
        masks = [getattr(each, "_keras_mask", None) for each in tree.flatten((arguments, named))]
        after = [getattr(each, "_keras_mask", None) for each in tree.flatten(outputs)]
        calls.made |= any(mask is not None for mask in after)
        inside = any(True for _ in self._flatten_layers(include_self=False, recursive=False))
        if any(m is not None for m in masks) and not self.supports_masking and not inside:
            calls.lost.append(f"{self.name!r} ({type(self).__name__})")
        return outputs

    with mock.patch.object(Layer, "__call__", watching):
        yield
