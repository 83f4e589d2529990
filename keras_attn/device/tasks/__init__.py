"""The objects that `keras_attn.device.load` returns, one class per task."""
