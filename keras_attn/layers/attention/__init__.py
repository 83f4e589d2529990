"""Attention layers, the dot product they share, and its kernels."""
