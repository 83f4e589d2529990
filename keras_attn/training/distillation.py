"""Training pairs that machine translation makes: of a teacher, and of a reverse model.

Sequence-level distillation (Kim and Rush, 2016, arXiv:1606.07947, section 3.2) trains a small model on the
beam search's translations of a large one; where the translation that is nearest to the reference is taken,
it is their sequence-level interpolation (section 3.3). Back-translation (Sennrich et al., 2016,
arXiv:1511.06709) pairs texts of the target language with their translations into the source language.
"""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import keras

from keras_attn.data import Pairs, ParallelCorpus
from keras_attn.data.readers.parallel import read_monolingual
from keras_attn.training.config.translation import TranslationConfig
from keras_attn.training.errors import TrainingError
from keras_attn.training.machine_translation import MachineTranslator
from keras_attn.training.progress import Progress

TEACHER, REVERSE = "teacher", "back-translation"


@dataclasses.dataclass(frozen=True)
class Teaching:
    """What makes training pairs by machine translation.

    Attributes:
        config: the settings.
        folder: keeps the translations.
        started: whether the training has started, and its translations are there.
        progress: receives the progress.
    """

    config: TranslationConfig
    folder: Path
    started: bool
    progress: Progress

    def taught(self, corpus: ParallelCorpus, monolingual: Sequence[str]) -> ParallelCorpus:
        """Return a corpus whose training pairs are those of the settings.

        Args:
            corpus: of one direction.
            monolingual: texts to back-translate.

        Raises:
            TrainingError: if a model cannot be opened, or there is no training pair left.
        """
        pairs = corpus.train
        if self.config.teacher:
            distilled = self._distilled(corpus)
            pairs = [*pairs, *distilled] if self.config.teacher_keep_references else distilled
        if self.config.back_translate:
            pairs = [*pairs, *self._back_translated(corpus, monolingual)]
        if not pairs:
            raise TrainingError(f"{corpus.name}: no pair with a translation is left to train on.")
        return dataclasses.replace(corpus, train=pairs)

    def _distilled(self, corpus: ParallelCorpus) -> Pairs:
        config = self.config
        sources, references = zip(*corpus.train, strict=True)
        n_best = 1 if config.teacher_pick == "first" else config.teacher_beam
        found = self._translate(
            config.teacher or "",
            sources,
            TEACHER,
            n_best,
            (corpus.source_language, corpus.target_language),
        )
        better = _measure(config)
        pairs = []
        for source, reference, translations in zip(sources, references, found, strict=True):
            if better is not None and translations:
                translations = [max(translations, key=lambda text, wanted=reference: better(text, wanted))]
            pairs += [(source, text) for text in translations[:1] if text.strip()]
        self._note_missing(len(sources) - len(pairs), "the teacher has no translation of them")
        return pairs

    def _back_translated(self, corpus: ParallelCorpus, texts: Sequence[str]) -> Pairs:
        languages = corpus.target_language, corpus.source_language
        found = self._translate(self.config.reverse_model or "", texts, REVERSE, 1, languages)
        pairs = [(made[0], text) for text, made in zip(texts, found, strict=True) if made and made[0].strip()]
        self._note_missing(len(texts) - len(pairs), "the reverse model has no translation of them")
        return pairs

    def _translate(
        self, model: str, texts: Sequence[str], kind: str, n_best: int, languages: tuple[str, str]
    ) -> list[list[str]]:
        config = self.config
        translator = MachineTranslator(
            model, config.teacher_beam, n_best, config.teacher_processes, keras.backend.backend()
        )
        source, target = languages
        folder = self.folder / f"{kind}-{source}-{target}"
        return translator.translate(
            texts, folder, source, target, self.progress.translated, started=self.started
        )

    def _note_missing(self, count: int, why: str) -> None:
        if count:
            self.progress.note(f"{count} texts left out: {why}")


def read_back_translated(config: TranslationConfig, corpus: ParallelCorpus) -> list[str]:
    """Return the texts of the target language that are to be back-translated, if there are any.

    Raises:
        DataError: if they cannot be read.
    """
    return read_monolingual(config.back_translate, corpus.target_language) if config.back_translate else []


def _measure(config: TranslationConfig) -> Callable[[str, str], float] | None:
    """Return how near a translation is to its reference, or `None` if the model's own order counts."""
    if config.teacher_pick == "first":
        return None
    import sacrebleu

    if config.teacher_pick == "best-chrf":
        return lambda text, reference: sacrebleu.sentence_chrf(text, [reference]).score
    metric = sacrebleu.BLEU(tokenize=config.bleu_tokenize, effective_order=True, force=True)
    return lambda text, reference: metric.sentence_score(text, [reference]).score
