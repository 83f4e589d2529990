"""Greedy search, beam search and sampling over any step model, with its caches."""
