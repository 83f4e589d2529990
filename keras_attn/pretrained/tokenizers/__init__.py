"""Tokenizers of Hugging Face folders and KerasHub presets, as `tokenizers.Tokenizer`."""
