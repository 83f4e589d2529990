"""Scores of trained models: BLEU of translators, accuracy of classifiers, perplexity of language models."""
