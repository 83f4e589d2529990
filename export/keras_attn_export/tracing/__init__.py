"""Inference graphs of Keras models, traced from their own forward path with static shapes."""
