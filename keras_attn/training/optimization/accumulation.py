"""Gradient accumulation: one step whose batch is computed in parts, with the memory of one part.

The parts' losses and gradients are weighted by their targets, so that the step equals the step on the whole
batch. Row i is in part i modulo the number of parts: on several devices each keeps its own rows.
"""

from typing import Any

import keras
from keras import ops


def accumulated_step(task: Any, *arguments: Any) -> Any:
    """Run one step in `task.accumulate` parts; arguments and results are those of Keras' `train_step`."""
    return _jax(task, *arguments) if keras.backend.backend() == "jax" else _tensorflow(task, *arguments)


def split_rows(array, parts):
    """Reshape (B, ...) to (parts, B / parts, ...)."""
    array = ops.convert_to_tensor(array)
    return ops.moveaxis(ops.reshape(array, (-1, parts, *array.shape[1:])), 1, 0)


def _weight(weights):
    """Compute the divisor of a loss."""
    return ops.maximum(ops.sum(ops.cast(weights, "float32")), 1.0)


def _jax(task, state, data):
    import jax

    trainable, non_trainable, optimizer_variables, metrics = state
    inputs, targets, weights = data
    total = _weight(weights)

    def loss_of(trainable, non_trainable, x, y, w):
        scaled, (loss, _, non_trainable, _) = task.compute_loss_and_updates(
            trainable, non_trainable, metrics, x, y, w, training=True, optimizer_variables=optimizer_variables
        )
        share = _weight(w) / total
        return scaled * share, (loss * share, non_trainable)

    def part(carried, batch):
        gradients, non_trainable, loss = carried
        (_, (found, non_trainable)), added = jax.value_and_grad(loss_of, has_aux=True)(
            trainable, non_trainable, *batch
        )
        return (jax.tree.map(jax.numpy.add, gradients, added), non_trainable, loss + found), None

    parts = jax.tree.map(lambda x: split_rows(x, task.accumulate), (inputs, targets, weights))
    nothing = jax.tree.map(jax.numpy.zeros_like, trainable)
    begin = (nothing, non_trainable, jax.numpy.zeros((), "float32"))
    (gradients, non_trainable, loss), _ = jax.lax.scan(part, begin, parts)
    trainable, optimizer_variables = task.optimizer.stateless_apply(optimizer_variables, gradients, trainable)
    logs, metrics = task._update_metrics_variables(metrics, loss, inputs, targets, None, weights)
    return logs, (trainable, non_trainable, optimizer_variables, metrics)


def _tensorflow(task, data):
    import tensorflow as tf

    inputs, targets, weights = data
    total, variables = _weight(weights), task.trainable_weights
    parts = tf.nest.map_structure(lambda x: split_rows(x, task.accumulate), (inputs, targets, weights))
    gradients: list[Any] = [0.0] * len(variables)
    whole = 0.0
    for number in range(task.accumulate):
        x, y, w = tf.nest.map_structure(lambda each, number=number: each[number], parts)
        with tf.GradientTape() as tape:
            loss = task.compute_loss(x=x, y=y, y_pred=task(x, training=True), sample_weight=w)
            loss = loss * (_weight(w) / total)
            scaled = task.optimizer.scale_loss(loss)
        added = (tf.convert_to_tensor(gradient) for gradient in tape.gradient(scaled, variables))
        gradients = [before + more for before, more in zip(gradients, added, strict=True)]
        whole = whole + loss
    task.optimizer.apply_gradients(zip(gradients, variables, strict=True))
    task._loss_tracker.update_state(whole)
    return task.get_metrics_result()
