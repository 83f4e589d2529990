"""How each model's weights lie on a mesh of devices: the layout maps of tensor parallelism, all of them here.

Megatron's rules (Shoeybi et al., 2019, arXiv:1909.08053, section 3), on mesh axes `("batch", "model")`: what
opens a sublayer is cut by columns (heads, hidden units), what closes it by rows, so that a sublayer needs one
all-reduce forward, where its rows are summed, and one backward, where its columns are. Norms, positions and
the biases of what closes a sublayer are on every device. A table of word vectors is cut along the vocabulary,
as is everything that makes logits: no device ever holds all logits of a batch.

`layout_map`        the map of a model on a mesh, for `keras.distribution.ModelParallel`
`variable_axes`     the axes of one variable, for whoever compiles without Keras' distribution
`optimizer_axes`    the same for what the optimizer keeps of it, cut along "batch" as well
`misfits`           what does not divide, in sentences
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from keras_attn.errors import ArgumentError

BATCH, MODEL = "batch", "model"

Axes = tuple[str | None, ...]

# One rule each for the variables of all models: their sublayers have the same names. What no rule names is on
# every device.
RULES: dict[str, Axes] = {
    # Of blocks. Kernels (D, H, dh) and biases (H, dh): each device has some of the heads.
    r"(.*/)?(encoder|decoder)_layer_\d+/\w+/(query|key|value)/kernel": (None, MODEL, None),
    r"(.*/)?(encoder|decoder)_layer_\d+/\w+/(query|key|value)/bias": (MODEL, None),
    r"(.*/)?(encoder|decoder)_layer_\d+/\w+/attention_output/kernel": (MODEL, None, None),
    r"(.*/)?(encoder|decoder)_layer_\d+/feedforward_intermediate_dense/kernel": (None, MODEL),
    r"(.*/)?(encoder|decoder)_layer_\d+/feedforward_intermediate_dense/bias": (MODEL,),
    r"(.*/)?(encoder|decoder)_layer_\d+/feedforward_output_dense/kernel": (MODEL, None),
    # Of vocabularies, also those of the recurrent translators, whose steps are too small to be worth cutting.
    r"(.*/)?(token|source|target)_embedding/embeddings": (MODEL, None),
    r"(.*/)?output_matrix": (MODEL, None),
    r"(.*/)?output_kernel": (None, MODEL),
    r"(.*/)?(output_bias|final_logits_bias)": (MODEL,),
}


def variable_axes(path: str, shape: Sequence[int], sizes: Mapping[str, int]) -> Axes:
    """Give the mesh axis of each dimension of a variable, `None` for those that are not cut.

    What the mesh does not divide is left whole: right for a vocabulary, too much for a block (`misfits`).

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
    """Cut what the optimizer keeps of a variable along "batch" as well, where a whole dimension divides.

    Rajbhandari et al., 2020, "ZeRO" (arXiv:1910.02054), stage 1: the devices along "batch" would otherwise
    keep the same moments, and each updates its part of the weights only.

    Args:
        axes: the variable's, by `variable_axes`.
        shape: its shape.
        sizes: devices along each axis of the mesh.
    """
    for place, (axis, size) in enumerate(zip(axes, shape, strict=True)):
        if axis is None and size and size % sizes[BATCH] == 0:
            return (*axes[:place], BATCH, *axes[place + 1 :])
    return axes


def layout_map(model: Any, mesh: keras.distribution.DeviceMesh) -> keras.distribution.LayoutMap:
    """Give the layouts of a model's variables.

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
        if any(axes) and layouts[variable.path] is None:  # a key that it has not is no KeyError here
            layouts[variable.path] = axes
    return layouts


def mesh_sizes(mesh: keras.distribution.DeviceMesh) -> dict[str, int]:
    """Give the number of devices along each axis of a mesh."""
    return dict(zip(mesh.axis_names, mesh.shape, strict=True))


def misfits(model: Any, devices: int) -> list[str]:
    """Say which sizes of a model's blocks `devices` along "model" do not divide, one sentence each.

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
            advice = f"take {fitting[-1]}" if fitting else "take none"
            found.append(f"`{name}` {size} is not divided by {devices} devices along `{MODEL}`: {advice}.")
    return found
