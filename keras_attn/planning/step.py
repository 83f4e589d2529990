"""A training's own step for abstract arrays: no weights and no batch, only their shapes and layouts."""

import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import Any

import keras

from keras_attn.layers.attention.kernel_choice import Kernel, choose_kernel
from keras_attn.planning.counting import splash_flops, training_flops
from keras_attn.planning.errors import PlanError
from keras_attn.planning.request import Request
from keras_attn.planning.trainings import Subject
from keras_attn.training.parallelism.devices import JaxDevices, _distribution


@dataclasses.dataclass
class Step:
    """A step that can be compiled.

    Attributes:
        function: the jitted step.
        arguments: its state and its batch, `jax.ShapeDtypeStruct`s with layouts.
        task: the `keras.Model` whose step it is; its variables have no values.
        rows: int, of the whole batch.
        parameters: int, number of trained weights.
        state_bytes: weights and optimizer state on each chip.
        gradient_bytes: gradients on each chip.
        batch_bytes: part of the batch on each chip.
        theoretical_flops: FLOPs of each chip, by `counting`.
        attention: `kernel_choice.Kernel` of the self-attention.
        kernel_flops: FLOPs of each chip in hand-written kernels, which XLA does not count.
    """

    function: Any
    arguments: tuple[Any, Any]
    task: Any
    rows: int
    parameters: int
    state_bytes: int
    gradient_bytes: int
    batch_bytes: int
    theoretical_flops: float
    attention: Kernel
    kernel_flops: float

    @property
    def sizes(self) -> Any:
        """The model that has the sizes: the backbone, where there is one."""
        return getattr(self.task.model, "backbone", self.task.model)

    def trace(self) -> Any:
        """Trace the step under its distribution."""
        return self.function.trace(*self.arguments)


class PlannedDevices(JaxDevices):
    """Devices that are only described; nothing runs on them."""

    def __init__(self, request: Request, devices: Sequence[Any]):
        self.hosts, self.primary, self.parts = 1, True, request.mesh[0]
        self.run_options = request.run_options
        self.distribution = _distribution(request.mesh, devices)


def make_step(request: Request, subject: Subject, devices: PlannedDevices) -> Step:
    """Return the step.

    Must be called, and the step traced, within `devices.scope()`.

    Raises:
        PlanError: if the batch cannot be divided, or the text is too long for the model.
        TrainingError: if the mesh does not divide the model.
    """
    import jax

    rows = request.rows(subject.sequence)
    made = []

    def make():
        # Traced, so that variables have shapes and layouts, but no memory.
        made.append(subject.make(rows, devices))

    jax.eval_shape(make)
    training = made[0]
    task = training.task
    groups = (
        task.trainable_variables,
        task.non_trainable_variables,
        task.optimizer.variables,
        task.metrics_variables,
    )
    state = tuple([_abstract(variable) for variable in group] for group in groups)
    batch = _batch(training, subject, rows, devices.distribution)
    layouts = jax.tree.map(lambda each: each.sharding, state)
    # As in `keras.Model.make_train_function`.
    function = jax.jit(task.train_step, donate_argnums=0, out_shardings=(None, layouts))
    positions = batch[1].shape[1] if subject.task == "masked-lm" else None
    flops = training_flops(training.model, rows, subject.sequence, positions)
    attention = _attention(training.model, subject)
    splash = splash_flops(training.model, rows, subject.sequence) if attention.name == "splash" else 0.0
    return Step(
        function=function,
        arguments=(state, batch),
        task=task,
        rows=rows,
        parameters=sum(math.prod(variable.shape) for variable in task.trainable_variables),
        state_bytes=bytes_per_chip(jax.tree.leaves(state)),
        gradient_bytes=bytes_per_chip(state[0]),
        batch_bytes=bytes_per_chip(jax.tree.leaves(batch)),
        theoretical_flops=flops / request.slice.chips,
        attention=attention,
        kernel_flops=splash / request.slice.chips,
    )


def bytes_per_chip(arrays: Iterable[Any]) -> int:
    """Compute the bytes of arrays with layouts on each chip."""
    return sum(math.prod(x.sharding.shard_shape(x.shape)) * x.dtype.itemsize for x in arrays)


def _abstract(variable: Any) -> Any:
    import jax

    layout = variable._layout
    layout = getattr(layout, "backend_layout", layout)
    return jax.ShapeDtypeStruct(tuple(variable.shape), variable.dtype, sharding=layout)


def _batch(training: Any, subject: Subject, rows: int, distribution: Any) -> tuple[Any, Any, Any]:
    """Return abstract inputs, targets and weights, as in the training's own batches."""
    import jax

    length = subject.sequence
    limit = getattr(getattr(training.model, "backbone", None), "max_sequence_length", length)
    if length > limit:
        raise PlanError(f"`seq` is {length}, but {subject.name} has {limit} positions: choose a smaller one.")

    def array(dtype, *shape):
        layout = distribution.get_data_layout((rows, *shape)).backend_layout
        return jax.ShapeDtypeStruct((rows, *shape), dtype, sharding=layout)

    if subject.task == "translation":
        inputs = {
            "encoder_token_ids": array("int32", length),
            "encoder_padding_mask": array("bool", length),
            "decoder_token_ids": array("int32", length),
        }
        return inputs, array("int32", length), array("float32", length)
    inputs = {"token_ids": array("int32", length), "padding_mask": array("bool", length)}
    if subject.task == "classification":
        return inputs, array("int32"), array("float32")
    if subject.task == "masked-lm":
        # As `keras_attn.training.tasks.masking.Masker.max_selected`.
        length = max(1, math.ceil(training.config.mask_rate * length - 1e-4))
        inputs["mask_positions"] = array("int32", length)
    return inputs, array("int32", length), array("float32", length)


def _attention(model: Any, subject: Subject) -> Kernel:
    """Return the kernel of the self-attention in training."""
    backbone = getattr(model, "backbone", model)
    if not hasattr(backbone, "num_heads"):
        return Kernel("explicit", "The model has no dot-product attention.")
    if getattr(backbone, "block_size", None) is not None:
        return Kernel("explicit", "Block-sparse attention has its own computation.")
    size = backbone.hidden_dim // backbone.num_heads
    dropout = backbone.dropout if backbone.attention_dropout is None else backbone.attention_dropout
    return choose_kernel(
        dtype=keras.dtype_policies.get(backbone.dtype_policy).compute_dtype,
        head_dim=size,
        value_dim=size,
        query_length=subject.sequence,
        key_length=subject.sequence,
        has_dense_mask=False,
        has_dropout=dropout > 0,
        wants_scores=False,
    )
