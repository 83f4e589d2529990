"""What Keras' preprocessing layers in front of a model do, with NumPy and tokenizers."""
