"""Gradient caching: a loss over the vectors of a whole batch, with the memory of one of its parts.

Gao et al., 2021, "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup"
(arXiv:2101.06983). All vectors are computed in parts without keeping anything; the loss gives the gradient of
each vector; then each part is computed again, with the same dropout, and passes the gradients of its
vectors on. Row i is in part i modulo the number of parts: on several devices each keeps its own rows.
"""

from typing import Any

import keras
from keras import ops

from keras_attn.training.optimization.accumulation import split_rows


def cached_step(task: Any, *arguments: Any) -> Any:
    """Run one step in `task.accumulate` parts; arguments and results are those of Keras' `train_step`.

    Args:
        task: a `CompiledObjective` whose `call` returns the vectors that its `compute_loss` compares.
        *arguments: of `train_step`.
    """
    return _jax(task, *arguments) if keras.backend.backend() == "jax" else _tensorflow(task, *arguments)


def _joined(parts):
    """Reshape (parts, B / parts, ...) to (B, ...)."""
    return ops.reshape(ops.moveaxis(parts, 0, 1), (-1, *parts.shape[2:]))


def _jax(task, state, data):
    import jax

    trainable, non_trainable, optimizer_variables, metrics = state
    inputs, targets, weights = data
    parts = jax.tree.map(lambda x: split_rows(x, task.accumulate), inputs)

    def vectors_of(trainable, non_trainable, x):
        return task.stateless_call(trainable, non_trainable, x, training=True)

    def forward(non_trainable, x):
        vectors, non_trainable = vectors_of(trainable, non_trainable, x)
        return non_trainable, vectors

    def loss_of(vectors):
        loss, _ = task.stateless_compute_loss(
            trainable,
            non_trainable,
            metrics,
            x=inputs,
            y=targets,
            y_pred=_joined(vectors),
            sample_weight=weights,
            training=True,
        )
        mapping = list(zip(task.optimizer.variables, optimizer_variables, strict=True))
        with keras.StatelessScope(state_mapping=mapping):
            return task.optimizer.scale_loss(loss), loss

    def backward(carried, part):
        gradients, non_trainable = carried
        x, gradient = part
        _, pull, non_trainable = jax.vjp(lambda w: vectors_of(w, non_trainable, x), trainable, has_aux=True)
        return (jax.tree.map(jax.numpy.add, gradients, pull(gradient)[0]), non_trainable), None

    _, vectors = jax.lax.scan(forward, non_trainable, parts)  # (parts, B / parts, ...)
    (_, loss), gradients = jax.value_and_grad(loss_of, has_aux=True)(vectors)
    nothing = jax.tree.map(jax.numpy.zeros_like, trainable)
    # The same state of the random generators again.
    (gradients, non_trainable), _ = jax.lax.scan(backward, (nothing, non_trainable), (parts, gradients))
    trainable, optimizer_variables = task.optimizer.stateless_apply(optimizer_variables, gradients, trainable)
    logs, metrics = task._update_metrics_variables(metrics, loss, inputs, targets, None, weights)
    return logs, (trainable, non_trainable, optimizer_variables, metrics)


def _tensorflow(task, data):
    import tensorflow as tf

    inputs, targets, weights = data
    variables, state = task.trainable_weights, task.non_trainable_variables
    split = tf.nest.map_structure(lambda x: split_rows(x, task.accumulate), inputs)
    parts = [tf.nest.map_structure(lambda x, n=n: x[n], split) for n in range(task.accumulate)]
    before = [tf.identity(variable.value) for variable in state]
    vectors = tf.stack([tf.stop_gradient(task(part, training=True)) for part in parts])
    with tf.GradientTape() as tape:
        tape.watch(vectors)
        loss = task.compute_loss(
            x=inputs, y=targets, y_pred=_joined(vectors), sample_weight=weights, training=True
        )
        scaled = task.optimizer.scale_loss(loss)
    cached = tape.gradient(scaled, vectors)
    for variable, value in zip(state, before, strict=True):  # of the random generators
        variable.assign(value)
    gradients: list[Any] = [0.0] * len(variables)
    for number, part in enumerate(parts):
        with tf.GradientTape() as tape:
            found = task(part, training=True)
        added = tape.gradient(found, variables, output_gradients=cached[number])
        gradients = [one + tf.convert_to_tensor(more) for one, more in zip(gradients, added, strict=True)]
    task.optimizer.apply_gradients(zip(gradients, variables, strict=True))
    task._loss_tracker.update_state(loss)
    return task.get_metrics_result()
