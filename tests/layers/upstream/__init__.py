"""The unit tests that Keras and KerasHub publish for their layers, run with our layers in their place."""
