"""The base of all models: dict inputs, Keras' export, saving of quantized models."""

import functools
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import keras

from keras_attn.errors import ArgumentError
from keras_attn.layers.checked_layer import CheckedLayer, check_axes, keeps_error_types, quoted
from keras_attn.layers.quantization import parts_of, quantization_of, restore_quantization


def _checked(method: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a method of Keras to check its data first: on JAX, Keras loses the weights if a step fails."""

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
    # Those that are required.
    inputs_required: tuple[str, ...] = ("token_ids",)
    # Whether the lengths must be known when the model is traced.
    needs_known_lengths = False

    def __call__(self, inputs: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Run the model, and record the names, shapes and dtypes of its inputs.

        Raises:
            ArgumentError: if the inputs are not a dict, or an array is missing, unknown, or has the wrong
                number of axes.
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
        """Return the names of the inputs that are exported if the model was never called."""
        return tuple(self.inputs_read)

    def input_signature(self):
        """Return the default of `export`'s `input_signature`.

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
        """Export as `keras.Model.export` does, which needs neither a call before nor an `input_signature`.

        Args:
            filepath: as in Keras.
            format: as in Keras.
            verbose: as in Keras.
            input_signature: as in Keras; by default that of `input_signature()`.
            **kwargs: as in Keras.
        """
        if input_signature is None:
            input_signature = self.input_signature()
            if format == "tf_saved_model" and keras.backend.backend() == "jax":
                kwargs = {"jax2tf_kwargs": self._named_lengths(input_signature[0]), **kwargs}
        super().export(filepath, format=format, verbose=verbose, input_signature=input_signature, **kwargs)

    def _named_lengths(self, specs):
        """Return arguments that tell JAX which unknown lengths are equal; Keras names each differently."""
        shapes, names = {}, set()
        for name, spec in specs.items():
            sizes = zip(spec.shape, self.inputs_read[name][1], strict=True)
            axes = [axis if size is None else str(size) for size, axis in sizes]
            shapes[name] = f"({', '.join(axes)})"
            names |= {axis for axis in axes if axis.endswith("length")}
        longest = getattr(self, "max_sequence_length", None)
        limits = [f"{axis} <= {longest}" for axis in sorted(names)] if longest else []
        # Gradients, which inference does not need, would be traced without the constraints.
        return {
            "polymorphic_shapes": [shapes],
            "polymorphic_constraints": limits,
            "with_gradient": False,
        }

    def get_config(self):
        """Return the constructor's arguments and, if layers were quantized, how."""
        config, quantization = super().get_config(), quantization_of(self._own_layers())
        return {**config, "quantization": quantization} if quantization else config

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Create the model from a configuration, and restore the quantization of its layers."""
        config = dict(config)
        quantization = config.pop("quantization", {})
        model = super().from_config(config, custom_objects)
        restore_quantization(model._own_layers(), quantization)
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
