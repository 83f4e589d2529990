"""Scores of predictions: BLEU, chrF and exact matches of translations; accuracy and F1 of classes."""
