"""Losses, learning rates, gradient accumulation and rematerialization."""
