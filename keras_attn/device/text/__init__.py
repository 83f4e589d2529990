"""Tokenizers, sentences, and texts that are too long for a model."""
