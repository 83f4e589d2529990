"""Layers that tell attention where a token stands."""
