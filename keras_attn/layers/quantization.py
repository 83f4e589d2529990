"""Save and restore how the layers inside a layer or model are quantized.

Keras saves quantization with the dtype policies of layers in a configuration, which does not contain the
layers that another layer creates.
"""

import keras

from keras_attn.layers.checked_layer import CheckedLayer


class QuantizedParts(CheckedLayer):
    """Adds the quantization of the layers inside a composite layer to its build configuration."""

    def get_build_config(self):
        """Return the input shapes and, if layers inside were quantized, how."""
        config, quantization = super().get_build_config(), quantization_of(self._parts())
        return {**(config or {}), "quantization": quantization} if quantization else config

    def build_from_config(self, config):
        """Build the layer, and restore the quantization of the layers inside it."""
        config = dict(config)
        quantization = config.pop("quantization", {})
        super().build_from_config(config)
        restore_quantization(self._parts(), quantization)

    def _parts(self):
        # A table that is shared with an output layer belongs to another layer.
        return {name: part for name, part in parts_of(self).items() if name != part.path}


def parts_of(whole, without=()):
    """Return the innermost layers of a layer by their path below it.

    Args:
        whole: built layer or model.
        without: ids of layers to leave out.
    """
    return {
        layer.path.removeprefix(f"{whole.path}/"): layer
        for layer in whole._flatten_layers(include_self=False)
        if id(layer) not in without and layer.path and len(list(layer._flatten_layers())) == 1
    }


def quantization_of(layers):
    """Return how each of some layers is quantized, as JSON, by their names; the others are left out."""
    return {
        name: keras.saving.serialize_keras_object(layer.quantization_config) or layer.quantization_mode
        for name, layer in layers.items()
        if layer.quantization_mode is not None
    }


def restore_quantization(layers, quantization):
    """Quantize layers as `quantization_of` describes it, by name."""
    for name, how in quantization.items():
        if isinstance(how, str):
            layers[name].quantize(how, type_check=False)
        else:
            given = keras.saving.deserialize_keras_object(how)
            layers[name].quantize(given.mode, type_check=False, config=given)
