"""Corpora by name: generated dates, Multi30k, folders."""
