"""Bundles to try at once, by name: which there are, and where each lies or is downloaded from.

`registry.json`   name, task, size, SHA-256, licence and figures of each; `tools/bundles.py` writes it
`registry`        reads it
`find`            a name or a path -> the path of a bundle
"""
