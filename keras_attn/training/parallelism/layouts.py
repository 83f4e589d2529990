"""Layouts of models' weights on a mesh of devices: tensor parallelism.

Megatron's rules (Shoeybi et al., 2019, arXiv:1909.08053, section 3), on mesh axes `("batch", "model")`: the
first matrices of a sublayer are divided by columns (heads, hidden units), the last by rows, so that a
sublayer needs one all-reduce forward, where its rows are summed, and one backward, where its columns are.
Norms, positions and the biases of the last matrices are on every device. Embeddings are divided along the
vocabulary, as is everything that computes logits: no device ever holds all logits of a batch.

`layout_map`        the map of a model on a mesh, for `keras.distribution.ModelParallel`
`variable_axes`     the axes of one variable, to compile without Keras' distribution
`optimizer_axes`    the axes of its optimizer state, divided along "batch" as well
`misfits`           sizes that cannot be divided, in sentences
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from keras_attn.errors import ArgumentError

BATCH, MODEL = "batch", "model"

Axes = tuple[str | None, ...]

# A feed-forward network, which may be gated.
_NETWORK = r"(.*/)?(encoder|decoder)_layer_\d+/(feedforward_|gated_feedforward/)"
# The rules for the variables of all models, whose sublayers have the same names. Other variables are on every
# device.
RULES: dict[str, Axes] = {
    # Blocks. Kernels (D, H, dh) and biases (H, dh): each device has some of the heads.
    r"(.*/)?(encoder|decoder)_layer_\d+/\w+/(query|key|value)/kernel": (None, MODEL, None),
    r"(.*/)?(encoder|decoder)_layer_\d+/\w+/(query|key|value)/bias": (MODEL, None),
    r"(.*/)?(encoder|decoder)_layer_\d+/\w+/attention_output/kernel": (MODEL, None, None),
    rf"{_NETWORK}(intermediate|gate)_dense/kernel": (None, MODEL),
    rf"{_NETWORK}(intermediate|gate)_dense/bias": (MODEL,),
    rf"{_NETWORK}output_dense/kernel": (MODEL, None),
    # Vocabularies, also those of the recurrent translators, whose steps are too small to divide.
    r"(.*/)?(token|source|target)_embedding/embeddings": (MODEL, None),
    r"(.*/)?output_matrix": (MODEL, None),
    r"(.*/)?output_kernel": (None, MODEL),
    r"(.*/)?(output_bias|final_logits_bias)": (MODEL,),
}


def variable_axes(path: str, shape: Sequence[int], sizes: Mapping[str, int]) -> Axes:
    """Return the mesh axis of each dimension of a variable, `None` for those that are not divided.

    A variable that the mesh does not divide stays whole: right for a vocabulary, not for a block (`misfits`).

    Args:
        path: the variable's `path`.
        shape: its shape.
        sizes: devices along each axis of the mesh.

    Returns:
        One axis or `None` per dimension.
    """
    whole: Axes = (None,) * len(shape)
    if sizes.get(MODEL, 1) == 1:
        return whole
    for pattern, axes in RULES.items():
        if re.fullmatch(pattern, path):
            divides = all(size % sizes[axis] == 0 for size, axis in zip(shape, axes, strict=True) if axis)
            return axes if divides else whole
    return whole


def optimizer_axes(axes: Axes, shape: Sequence[int], sizes: Mapping[str, int]) -> Axes:
    """Return a variable's axes with its first divisible whole dimension divided along "batch" as well.

    Rajbhandari et al., 2020, "ZeRO" (arXiv:1910.02054), stage 1: otherwise all devices along "batch" would
    keep the same moments. Each updates only its part of the weights.

    Args:
        axes: the variable's, by `variable_axes`.
        shape: its shape.
        sizes: devices along each axis of the mesh.
    """
    for dimension, (axis, size) in enumerate(zip(axes, shape, strict=True)):
        if axis is None and size and size % sizes[BATCH] == 0:
            return (*axes[:dimension], BATCH, *axes[dimension + 1 :])
    return axes


def layout_map(model: Any, mesh: keras.distribution.DeviceMesh) -> keras.distribution.LayoutMap:
    """Return the layouts of a model's variables.

    Args:
        model: any model of `keras_attn.models`, built.
        mesh: with the axes "batch" and "model".

    Raises:
        ArgumentError: if the mesh does not divide the heads or the hidden units.
    """
    sizes = mesh_sizes(mesh)
    if found := misfits(model, sizes.get(MODEL, 1)):
        raise ArgumentError(" ".join(found))
    layouts = keras.distribution.LayoutMap(mesh)
    for variable in model.variables:
        axes = variable_axes(variable.path, variable.shape, sizes)
        if any(axes) and layouts[variable.path] is None:  # a missing key raises no KeyError here
            layouts[variable.path] = axes
    return layouts


def mesh_sizes(mesh: keras.distribution.DeviceMesh) -> dict[str, int]:
    """Return the number of devices along each axis of a mesh."""
    return dict(zip(mesh.axis_names, mesh.shape, strict=True))


def misfits(model: Any, devices: int) -> list[str]:
    """Return one sentence for each size of a model's blocks that `devices` along "model" do not divide.

    Args:
        model: any model of `keras_attn.models`, or a task over one.
        devices: int.
    """
    backbone = getattr(model, "backbone", model)
    found = []
    for name in ("num_heads", "intermediate_dim"):
        size = getattr(backbone, name, None)
        if size is not None and size % devices:
            fitting = [n for n in range(2, size + 1) if size % n == 0 and n <= devices]
            advice = f"choose {fitting[-1]}" if fitting else "choose `distribution` data"
            found.append(f"`{name}` {size} is not divided by {devices} devices along `{MODEL}`: {advice}.")
    return found
