"""Encoder-decoder models: the Transformer, RNNsearch, and the baseline without attention."""
