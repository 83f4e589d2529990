"""Training a translator, from a corpus to a run folder."""

import dataclasses
from collections.abc import Iterator

import numpy as np

from keras_attn import models
from keras_attn.data import (
    Batch,
    BucketedBatches,
    ParallelCorpus,
    encode_pairs,
    load_corpus,
    read_parallel,
    special_ids,
    train_tokenizer,
)
from keras_attn.data.errors import DataError
from keras_attn.data.splits import hold_out
from keras_attn.device.text.tokenizer import Tokenizer
from keras_attn.generation import keras_translator
from keras_attn.scores.bleu import corpus_scores, translate_corpus
from keras_attn.training import run_folder
from keras_attn.training.config.translation import TranslationConfig
from keras_attn.training.encoded_corpus import EncodedCorpus
from keras_attn.training.loop import Training
from keras_attn.training.optimization.objectives import TokenObjective
from keras_attn.training.step_batch import TrainingBatch, mean_loss

PLAIN_FRACTION = 0.2  # of the steps, at the end, without BPE-dropout
VARIANTS = 8  # random encodings of the corpus
KEPT_PAIRS = 2000  # held-out pairs in the run folder


def load_data(config: TranslationConfig) -> ParallelCorpus:
    """Return the corpus of a configuration, with held-out pairs.

    Raises:
        DataError: if it cannot be read, or is too small to hold pairs out.
    """
    source, target = config.source_language, config.target_language
    if config.data is not None:
        corpus = load_corpus(config.data, source_language=source, target_language=target)
    else:
        corpus = read_parallel(config.train or "", config.validation, None, source, target)
    return corpus if corpus.validation else _with_held_out(corpus)


def _with_held_out(corpus: ParallelCorpus) -> ParallelCorpus:
    """Hold out one source in fifty, with all its translations."""
    pairs, sources = corpus.train, [source for source, _ in corpus.train]
    different = len(set(sources))
    if different < 4:
        raise DataError(f"{corpus.name} has {different} different sources: too few to hold any out.")
    kept, held_out = hold_out(sources, min(KEPT_PAIRS, max(1, different // 50)))
    return dataclasses.replace(
        corpus, train=[pairs[row] for row in kept], validation=[pairs[row] for row in held_out]
    )


class TranslationTraining(Training):
    """The training of a translator."""

    config: TranslationConfig

    def read(self) -> None:
        """Read the pairs."""
        self.corpus = load_data(self.config)
        for reason, count in self.corpus.skipped.items():
            self.progress.note(f"{count} pairs left out: {reason}")
        seen = set(self.corpus.train)
        if shared := sum(pair in seen for pair in self.corpus.validation):
            self.progress.note(
                f"{shared} of {len(self.corpus.validation)} held-out pairs are also in the training data"
            )

    def prepare(self) -> None:
        """Encode the pairs and put them into buckets."""
        config = self.config
        self.tokenizer = self._tokenizer()
        self.special_ids = special_ids(self.tokenizer)
        self.encodings = EncodedCorpus(
            self.output / run_folder.ENCODED, self.tokenizer, self.corpus.train, config.bpe_dropout, VARIANTS
        )
        with self.devices.primary_first():
            plain = self.encodings.load("plain")
        self.plain = self._bucketed(plain, config.boundaries, min_batches=2)
        if self.plain.left_out:
            self.progress.note(
                f"{self.plain.left_out} pairs left out: longer than {config.max_tokens} tokens"
            )
        self.batches_per_epoch = self.plain.batches_per_epoch
        self.batch_rows = [rows for rows, _, _ in self.plain.shapes]
        self.held_out = self.corpus.validation[: config.validation_sentences]
        self.held_out_batches = self._bucketed(
            encode_pairs(self.tokenizer, self.held_out), self.plain.lengths
        )

    def _tokenizer(self):
        if self.run_exists:
            return run_folder.read_tokenizer(self.output, run_folder.read_config(self.output))
        texts = (text for pair in self.corpus.train for text in pair)
        return train_tokenizer(texts, self.config.vocabulary_size)

    def _bucketed(self, encoded, boundaries, min_batches: int = 0) -> BucketedBatches:
        return BucketedBatches(
            encoded,
            tokens_per_batch=self.config.batch_tokens,
            boundaries=boundaries,
            min_batches=min_batches,
            seed=self.config.seed,
            start_id=self.special_ids["start"],
            end_id=self.special_ids["end"],
            pad_id=self.special_ids["pad"],
            max_length=self.config.max_tokens,
        )

    def make_model(self):
        """Return the model, and make the translator that uses it."""
        make = getattr(models, self.config.models[self.config.model])
        # One name for all runs, so that variable paths do not depend on what was built before.
        model = make.from_preset(
            self.config.preset,
            vocabulary_size=self.tokenizer.get_vocab_size(),
            dropout=self.config.dropout,
            pad_id=self.special_ids["pad"],
            name=self.config.model,
        )
        text = Tokenizer(self.tokenizer, self.special_ids)
        self.translator = keras_translator(model, text, max_source_tokens=self.config.max_tokens)
        return model

    def make_task(self) -> TokenObjective:
        """Return the model wrapped with its loss."""
        return TokenObjective(self.model, self.config.label_smoothing, self.config.r_drop)

    def describe(self) -> dict:
        """Return the entries of run.json: data and languages."""
        corpus = self.corpus
        return {
            "data": {"name": corpus.name, "train_pairs": len(corpus.train)},
            "languages": {"source": corpus.source_language, "target": corpus.target_language},
        }

    def write_validation(self) -> None:
        """Write held-out pairs."""
        run_folder.write_validation(self.output / run_folder.VALIDATION, self.corpus.validation[:KEPT_PAIRS])

    def batches(self) -> Iterator[TrainingBatch]:
        """Return the remaining batches of the epoch, with BPE-dropout for most of the training."""
        # Decided by the first step of the epoch, so that resuming within it changes nothing.
        plain = self.step - self.position >= (1 - PLAIN_FRACTION) * self.total_steps
        variant = self.encodings.variant(self.epoch, plain)
        # Some texts are longer in a random encoding, which must not lead to new shapes.
        batches = self.plain
        if variant != "plain":
            with self.devices.primary_first():  # which makes a new encoding
                encoded = self.encodings.load(variant)
            batches = self._bucketed(encoded, self.plain.lengths)
        return map(step_batch, batches.epoch(self.epoch, skip=self.position))

    def evaluate(self) -> dict:
        """Translate held-out texts, and return loss and scores."""
        batches = map(step_batch, self.held_out_batches.epoch(0))
        loss = mean_loss(self.task, batches, self.devices.place)
        return {"validation_loss": round(loss, 5), **self._scores(self.held_out)}

    def _scores(self, pairs) -> dict:
        translations, refused = translate_corpus(self.translator, [source for source, _ in pairs])
        if refused:
            self.progress.note(f"{refused} held-out texts are longer than {self.config.max_tokens} tokens")
        references = [target for _, target in pairs]
        scores = corpus_scores(translations, references, self.config.bleu_tokenize)
        return {"bleu": scores["bleu"], "chrf": scores["chrf"], "exact_match": scores["exact_match"]}

    def final_score(self) -> float:
        """Return the metric over more of the held-out pairs."""
        return self._scores(self.corpus.validation[:KEPT_PAIRS])[self.config.metric]


def step_batch(batch: Batch) -> TrainingBatch:
    """Return a batch with its arrays named as the models' inputs."""
    inputs = {
        "encoder_token_ids": batch.source_ids,
        "encoder_padding_mask": batch.source_mask,
        "decoder_token_ids": batch.decoder_ids,
    }
    return TrainingBatch(inputs, batch.target_ids, batch.target_mask.astype(np.float32))
