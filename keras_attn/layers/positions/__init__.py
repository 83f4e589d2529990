"""Layers that encode positions."""
