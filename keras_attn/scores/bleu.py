"""Scores of translations: BLEU and chrF by sacreBLEU, and exact matches."""

from collections.abc import Sequence
from typing import Any

from keras_attn.device.tasks.translator import Translator
from keras_attn.errors import ArgumentError


def translate_corpus(translator: Translator, texts: Sequence[str], **options: Any) -> tuple[list[str], int]:
    """Translate a test set.

    Args:
        translator: of a bundle or of a Keras model.
        texts: the sources.
        **options: `translate`'s.

    Returns:
        The best translation of each text, and the number of texts that are too long for the model: their
        translation is empty, so that a score is always over the whole set.
    """
    fitting = [number for number, text in enumerate(texts) if translator.fits(text)]
    found = translator.translate([texts[number] for number in fitting], **options)
    translations = [""] * len(texts)
    for number, translation in zip(fitting, found, strict=True):
        translations[number] = translation.text
    return translations, len(texts) - len(fitting)


def corpus_scores(hypotheses: Sequence[str], references: Sequence[str], bleu_tokenize: str = "13a") -> dict:
    """Compute the scores of translations against one reference each.

    Args:
        hypotheses: translations.
        references: their references.
        bleu_tokenize: sacreBLEU's tokenization for BLEU; `"none"` for text that is tokenized already.

    Returns:
        `bleu` and `chrf` (0 to 100), `exact_match` (0 to 1) and the number of `sentences`.

    Raises:
        ArgumentError: the counts differ, there is nothing to score, or sacrebleu has no such tokenization.
    """
    import sacrebleu

    if len(hypotheses) != len(references) or not hypotheses:
        raise ArgumentError(f"There are {len(hypotheses)} translations for {len(references)} references.")
    if bleu_tokenize not in sacrebleu.BLEU.TOKENIZERS:
        known = ", ".join(sacrebleu.BLEU.TOKENIZERS)
        raise ArgumentError(f"sacreBLEU has no tokenization {bleu_tokenize!r}; it has {known}")
    bleu = sacrebleu.corpus_bleu(list(hypotheses), [list(references)], tokenize=bleu_tokenize, force=True)
    chrf = sacrebleu.corpus_chrf(list(hypotheses), [list(references)])
    matches = sum(h.strip() == r.strip() for h, r in zip(hypotheses, references, strict=True))
    return {
        "bleu": round(bleu.score, 2),
        "chrf": round(chrf.score, 2),
        "exact_match": matches / len(references),
        "sentences": len(references),
    }
