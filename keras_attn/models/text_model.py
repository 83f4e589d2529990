"""What all models share: they read a dict of arrays, can be exported by Keras, and saved when quantized."""

import functools
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import keras

from keras_attn.errors import ArgumentError
from keras_attn.layers.checked_layer import CheckedLayer, check_axes, keeps_error_types, quoted
from keras_attn.layers.quantization import parts_of, quantization_of, quantize_again


def _checked(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method of Keras that checks its data first: Keras on JAX loses the weights if a step fails."""

    @functools.wraps(method)
    def check_and_call(self: Any, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        data = getattr(x, "element_spec", x)  # of a tf.data.Dataset
        data = data[0] if isinstance(data, tuple) else data
        if isinstance(data, dict) or hasattr(data, "shape"):
            self._check_inputs(data)
        return method(self, x, *args, **kwargs)

    return check_and_call


@keeps_error_types
class TextModel(CheckedLayer, keras.Model):
    """A model that is built by its constructor and whose first call argument is a dict of arrays."""

    # Name, dtype and axes of each array; axes of one name are equally long.
    inputs_read: Mapping[str, tuple[str, tuple[str, ...]]] = MappingProxyType({})
    # Those of them that cannot be left out.
    inputs_required: tuple[str, ...] = ("token_ids",)
    # Whether the lengths must be known when the model is traced.
    needs_known_lengths = False

    def __call__(self, inputs: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Run the model, and remember which arrays it was given, with which shapes and dtypes.

        Raises:
            ArgumentError: the inputs are not a dict, or an array is missing, is not one of the model's, or
                has too few or too many axes.
        """
        self._check_inputs(inputs)
        self._last_inputs = {
            name: (tuple(x.shape), keras.backend.standardize_dtype(x.dtype))
            for name, x in inputs.items()
            if hasattr(x, "shape")
        }
        return super().__call__(inputs, *args, **kwargs)

    fit: Callable[..., Any] = _checked(keras.Model.fit)
    evaluate: Callable[..., Any] = _checked(keras.Model.evaluate)
    predict: Callable[..., Any] = _checked(keras.Model.predict)

    def _check_inputs(self, inputs: Any) -> None:
        name, read = type(self).__name__, self.inputs_read
        optional = [each for each in read if each not in self.inputs_required]
        expected = f"a dict with {quoted(self.inputs_required)} and, optionally, {quoted(optional)}"
        if not isinstance(inputs, dict):
            shape = getattr(inputs, "shape", None)
            what = type(inputs).__name__ + ("" if shape is None else f" of shape {tuple(shape)}")
            raise ArgumentError(f"{name} takes {expected}, got {what}.")
        missing = [each for each in self.inputs_required if inputs.get(each) is None]
        if missing or not inputs.keys() <= read.keys():
            given = quoted(map(str, inputs)) or "nothing"
            raise ArgumentError(f"{name} takes {expected}, got one with {given}.")
        for each, array in inputs.items():
            check_axes(name, each, array, read[each][1])

    def inputs_by_default(self):
        """Return the names of the arrays that an export of a model reads that was never called."""
        return tuple(self.inputs_read)

    def input_signature(self):
        """Return what `export` takes as `input_signature` when none is given.

        Returns:
            List of one dict of `keras.InputSpec` by name: the arrays of the last call, or else those of
            `inputs_by_default`, for any number of texts of any length (`needs_known_lengths`: of the last
            call's length, or else of `max_sequence_length`).
        """
        specs = {}
        last = getattr(self, "_last_inputs", None) or dict.fromkeys(self.inputs_by_default())
        for name, given in last.items():
            dtype, axes = self.inputs_read[name]
            lengths = (None,) * len(axes[1:])
            if given is not None:
                dtype = given[1]
            if self.needs_known_lengths:
                lengths = given[0][1:] if given else (self.max_sequence_length,) * len(axes[1:])
            specs[name] = keras.InputSpec(shape=(None, *lengths), dtype=dtype, name=name)
        return [specs]

    def export(self, filepath, format="tf_saved_model", verbose=None, input_signature=None, **kwargs):
        """Export as `keras.Model.export` does; neither a call nor an `input_signature` is needed before.

        Args:
            filepath: as there.
            format: as there.
            verbose: as there.
            input_signature: as there; by default that of `input_signature()`.
            **kwargs: as there.
        """
        if input_signature is None:
            input_signature = self.input_signature()
            if format == "tf_saved_model" and keras.backend.backend() == "jax":
                kwargs = {"jax2tf_kwargs": self._named_lengths(input_signature[0]), **kwargs}
        super().export(filepath, format=format, verbose=verbose, input_signature=input_signature, **kwargs)

    def _named_lengths(self, specs):
        """Return what tells JAX which unknown lengths are equal; Keras gives each a name of its own."""
        shapes, names = {}, set()
        for name, spec in specs.items():
            sizes = zip(spec.shape, self.inputs_read[name][1], strict=True)
            axes = [axis if size is None else str(size) for size, axis in sizes]
            shapes[name] = f"({', '.join(axes)})"
            names |= {axis for axis in axes if axis.endswith("length")}
        longest = getattr(self, "max_sequence_length", None)
        limits = [f"{axis} <= {longest}" for axis in sorted(names)] if longest else []
        # Gradients, which an inference artifact does not need, would be traced without the constraints.
        return {
            "polymorphic_shapes": [shapes],
            "polymorphic_constraints": limits,
            "with_gradient": False,
        }

    def get_config(self):
        """Return the constructor's arguments and, if layers were quantized, how."""
        quantization = quantization_of(self._own_layers())
        return {**super().get_config(), **({"quantization": quantization} if quantization else {})}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Make the model of a configuration, its layers quantized as they were."""
        config = dict(config)
        quantization = config.pop("quantization", {})
        model = super().from_config(config, custom_objects)
        quantize_again(model._own_layers(), quantization)
        return model

    def _own_layers(self):
        """Return the innermost layers by their path below this model, but not those of a model inside."""
        inside = {
            id(layer)
            for model in self._flatten_layers(include_self=False)
            if isinstance(model, TextModel)
            for layer in model._flatten_layers()
        }
        return parts_of(self, without=inside)
