"""Keras' recurrent loop with static shapes: its own collects outputs in lists, whose lengths stay open."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
from keras import tree


def rnn(
    step_function: Callable[[Any, Any], tuple[Any, Any]],
    inputs: Any,
    initial_states: Sequence[Any],
    go_backwards: bool = False,
    mask: Any = None,
    constants: Sequence[Any] | None = None,
    unroll: bool = False,
    input_length: Any = None,
    time_major: bool = False,
    zero_output_for_mask: bool = False,
    return_all_outputs: bool = True,
) -> tuple[Any, Any, Any]:
    """Compute what `keras.src.backend.rnn` computes, whose arguments these are: last output, outputs, states.

    Where the mask is False a step repeats the last output, or zeros, and keeps the states.
    """
    del unroll, input_length  # the one chooses another graph, the other is only for kernels of GPUs
    by_time = tree.map_structure(lambda x: x if time_major else _swapped(x), inputs)  # (T, B, ...)
    length = tree.flatten(by_time)[0].shape[0]
    masked = None
    if mask is not None:
        masked = tf.reshape(mask, mask.shape[:2])  # Keras also has (B, T, 1)
        masked = tf.cast(masked if time_major else tf.transpose(masked), tf.float32)  # (T, B)
    more = tuple(constants or ())

    def at(x: Any, time: Any) -> Any:
        return tf.gather(x, tf.reshape(time, [1]))[0]

    def step(time: Any, last: Sequence[Any], states: Any) -> tuple[list[Any], Any]:
        place = length - 1 - time if go_backwards else time
        here = tree.map_structure(lambda x: at(x, place), by_time)
        output, new_states = step_function(here, (*states, *more))
        outputs = tree.flatten(output)
        if masked is None:
            return outputs, new_states
        seen = at(masked, place) > 0.5  # (B,)
        before = [tf.zeros_like(each) for each in outputs] if zero_output_for_mask else last
        outputs = [_where(seen, new, old) for new, old in zip(outputs, before, strict=True)]
        flat = [
            _where(seen, new, old)
            for new, old in zip(tree.flatten(new_states), tree.flatten(states), strict=True)
        ]
        return outputs, tree.pack_sequence_as(new_states, flat)

    first, _ = step_function(tree.map_structure(lambda x: x[0], by_time), (*initial_states, *more))
    shapes = [each.shape for each in tree.flatten(first)]
    positions = tf.range(length)[:, None]  # (T, 1)

    def advance(time: Any, collected: Sequence[Any], last: Sequence[Any], states: Any) -> tuple[Any, ...]:
        outputs, states = step(time, last, states)
        if return_all_outputs:
            # There is no operator that writes a row in place, so the row is added to zeros; flat, as five
            # axes would be broadcast by shapes of 64 bits.
            here = tf.cast(tf.equal(positions, time), tf.float32)
            collected = [
                rows + here * tf.reshape(output, [1, -1])
                for rows, output in zip(collected, outputs, strict=True)
            ]
        return time + 1, list(collected), outputs, tuple(states)

    zeros = [tf.zeros(shape) for shape in shapes]
    flat = [tf.zeros([length, shape.num_elements()]) for shape in shapes]
    _, rows, last, states = tf.while_loop(
        lambda time, *_: time < length,
        advance,
        (tf.constant(0), flat if return_all_outputs else [], zeros, tuple(initial_states)),
    )
    if return_all_outputs:
        outputs = [tf.reshape(each, [length, *shape]) for each, shape in zip(rows, shapes, strict=True)]
    else:
        outputs = [each[None] for each in last]
    outputs = [each if time_major else _swapped(each) for each in outputs]
    packed = (tree.pack_sequence_as(first, each) for each in (last, outputs))
    return (*packed, states)  # type: ignore[return-value]


def scan(
    f: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
    unroll: Any = 1,
) -> tuple[Any, Any]:
    """Compute what `keras.ops.scan` computes, whose arguments these are, step by step."""
    del unroll  # all steps are in the graph
    xs = tree.map_structure(tf.convert_to_tensor, xs)
    count: int = length if xs is None else tree.flatten(xs)[0].shape[0]  # type: ignore[assignment]
    carry, found = init, []
    for i in range(count)[:: -1 if reverse else 1]:
        carry, output = f(carry, tree.map_structure(lambda x, i=i: x[i], xs))
        found.append(output)
    return carry, _stacked(found[::-1] if reverse else found)


def map(f: Callable[[Any], Any], xs: Any) -> Any:
    """Compute what `keras.ops.map` computes, whose arguments these are, step by step."""
    return scan(lambda carry, x: (carry, f(x)), (), xs)[1]


FUNCTIONS = (scan, map)
"""Those of Keras' module `core` that they replace, by name."""


def _stacked(outputs: Sequence[Any]) -> Any:
    return tree.map_structure(lambda *each: None if each[0] is None else tf.stack(each), *outputs)


def _swapped(x: Any) -> Any:
    return tf.transpose(x, [1, 0, *range(2, len(x.shape))])


def _where(seen: Any, new: Any, old: Any) -> Any:
    return tf.where(tf.reshape(seen, [-1, *([1] * (len(new.shape) - 1))]), new, old)
