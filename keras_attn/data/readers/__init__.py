"""Readers of text files: parallel text, tables of labelled texts, running text."""
