"""Inference graphs in TensorFlow, built from a model's configuration and weights."""
