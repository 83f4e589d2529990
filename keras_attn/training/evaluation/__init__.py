"""Scores that trainings compute: BLEU of translators, accuracy of classifiers."""
