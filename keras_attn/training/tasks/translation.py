"""Training a translator, from a corpus to a run folder."""

import dataclasses
import functools
from collections.abc import Iterator, Sequence

import numpy as np

from keras_attn import models
from keras_attn.data import (
    Batch,
    BucketedBatches,
    Pairs,
    ParallelCorpus,
    load_corpus,
    read_parallel,
    special_ids,
    train_tokenizer,
)
from keras_attn.data.corpora.directions import (
    UNDETERMINED,
    has_directions,
    named,
    read_directed_table,
    read_directions,
)
from keras_attn.data.errors import DataError
from keras_attn.data.splits import hold_out
from keras_attn.device.tasks.translator import Translator
from keras_attn.device.text.tokenizer import Tokenizer
from keras_attn.device.text.translation_tokenizer import TranslationTokenizer
from keras_attn.generation import keras_translator
from keras_attn.scores.bleu import corpus_scores, translate_corpus
from keras_attn.training import run_folder
from keras_attn.training.config.translation import TranslationConfig
from keras_attn.training.distillation import Teaching, read_back_translated
from keras_attn.training.encoded_corpus import EncodedCorpus
from keras_attn.training.initial_translator import (
    InitialTranslator,
    freeze_parts,
    initial_files,
    load_initial_translator,
)
from keras_attn.training.loop import Training
from keras_attn.training.optimization.lora import add_adapters
from keras_attn.training.optimization.objectives import TokenObjective
from keras_attn.training.pair_encoding import PairEncoder, direction_template, language_token
from keras_attn.training.step_batch import TrainingBatch, mean_loss

PLAIN_FRACTION = 0.2  # of the steps, at the end, without BPE-dropout
VARIANTS = 8  # random encodings of the corpus
KEPT_PAIRS = 2000  # held-out pairs in the run folder


def load_corpora(config: TranslationConfig) -> list[ParallelCorpus]:
    """Return the corpora of a configuration, one of each direction, with held-out pairs.

    Raises:
        DataError: if one cannot be read, or is too small to hold pairs out.
    """
    source, target = config.source_language, config.target_language
    if config.directions:
        found = read_directions(
            config.directions, data=config.data, train=config.train, validation=config.validation
        )
    elif has_directions(table := config.data or config.train or ""):
        found = read_directed_table(table, config.validation, source)
    elif config.data is not None:
        found = [load_corpus(config.data, source_language=source, target_language=target)]
    else:
        found = [read_parallel(config.train or "", config.validation, None, source, target)]
    return [corpus if corpus.validation else _with_held_out(corpus) for corpus in found]


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
        self.corpora = load_corpora(self.config)
        for corpus in self.corpora:
            for reason, count in corpus.skipped.items():
                self.progress.note(f"{count} pairs left out: {reason}")
            seen = set(corpus.train)
            if shared := sum(pair in seen for pair in corpus.validation):
                self.progress.note(
                    f"{shared} of {len(corpus.validation)} held-out pairs are also in the training data"
                )
        self.monolingual = [read_back_translated(self.config, corpus) for corpus in self.corpora]

    def prepare(self) -> None:
        """Encode the pairs and put them into buckets."""
        config = self.config
        if config.teacher or config.back_translate:
            self._make_translations()
        self.initial = self._load_initial() if config.init else None
        self.text = self.initial.text if self.initial else self._text()
        self.tokenizer, self.special_ids = self.text.tokenizer, self.text.special_ids
        self.pairs = PairEncoder(self.text, self.corpora)
        train = [corpus.train for corpus in self.corpora]
        self.encodings = EncodedCorpus(
            self.output / run_folder.ENCODED,
            self.tokenizer,
            train,
            config.bpe_dropout,
            VARIANTS,
            self.pairs.encode,
        )
        with self.devices.primary_first():
            plain = self.encodings.load("plain")
        self.ends = self.pairs.ends(train)
        self.plain = self._bucketed(plain, self.ends, config.boundaries, min_batches=2)
        if self.plain.left_out:
            self.progress.note(
                f"{self.plain.left_out} pairs left out: longer than {config.max_tokens} tokens"
            )
        self.batches_per_epoch = self.plain.batches_per_epoch
        self.batch_rows = [rows for rows, _, _ in self.plain.shapes]
        self.held_out = self._first_held_out(config.validation_sentences)
        encoded = self.pairs.encode(self.tokenizer, self.held_out)
        self.held_out_batches = self._bucketed(encoded, self.pairs.ends(self.held_out), self.plain.lengths)

    def _load_initial(self) -> InitialTranslator:
        first = self.corpora[0]
        source = None if first.source_language in ("source", UNDETERMINED) else first.source_language
        target = first.target_language
        return load_initial_translator(
            self.config,
            self.output,
            None if target == "target" else {"source": source, "target": target},
            resumed=self.run_exists,
            primary=self.devices.primary,
        )

    def _make_translations(self) -> None:
        folder = self.output / run_folder.TRANSLATIONS
        teaching = Teaching(self.config, folder, self.run_exists, self.progress)
        with self.devices.primary_first():
            texts = zip(self.corpora, self.monolingual, strict=True)
            self.corpora = [teaching.taught(corpus, monolingual) for corpus, monolingual in texts]

    def _first_held_out(self, count: int) -> list[Pairs]:
        """Return the first held-out pairs of each direction, about `count` in all."""
        each = max(1, count // len(self.corpora))
        return [corpus.validation[:each] for corpus in self.corpora]

    @property
    def several(self) -> bool:
        """Whether there are directions to tell apart."""
        return len(self.corpora) > 1 or bool(self.config.directions)

    @property
    def languages(self) -> list[str]:
        """The languages of several directions; empty if there is only one."""
        if not self.several:
            return []
        found = (code for corpus in self.corpora for code in (corpus.source_language, corpus.target_language))
        return [code for code in dict.fromkeys(found) if code != UNDETERMINED]

    def _text(self) -> Tokenizer:
        """Return the tokenizer of the run that exists, or one that is trained."""
        if self.run_exists:
            run = run_folder.read_config(self.output)
            tokenizer = run_folder.read_tokenizer(self.output, run)
        else:
            size = self.config.vocabulary_size - len(self.languages)
            texts = (text for corpus in self.corpora for pair in corpus.train for text in pair)
            tokenizer = train_tokenizer(texts, size)
            tokenizer.add_special_tokens([language_token(code) for code in self.languages])
        ids = special_ids(tokenizer)
        if not self.languages:
            return Tokenizer(tokenizer, ids)
        template = direction_template(tokenizer, self.languages, ids)
        default = dataclasses.replace(template, default_target=self.corpora[0].target_language)
        return TranslationTokenizer(tokenizer, ids, tokenizer.get_vocab_size(), default)

    def _bucketed(self, encoded, ends, boundaries, min_batches: int = 0) -> BucketedBatches:
        source_end_ids, start_ids = ends
        return BucketedBatches(
            encoded,
            tokens_per_batch=self.config.batch_tokens,
            boundaries=boundaries,
            min_batches=min_batches,
            seed=self.config.seed,
            start_id=start_ids,
            end_id=self.special_ids["end"],
            source_end_ids=source_end_ids,
            pad_id=self.special_ids["pad"],
            max_length=self.config.max_tokens,
        )

    def make_model(self):
        """Return the model."""
        if self.initial:
            model = self.initial.model
            freeze_parts(model, self.config.freeze)
            if self.config.lora_rank:
                add_adapters(model, self.config.lora_rank)
            return model
        make = getattr(models, self.config.models[self.config.model])
        # One name for all runs, so that variable paths do not depend on what was built before.
        return make.from_preset(
            self.config.preset,
            vocabulary_size=self.tokenizer.get_vocab_size(),
            dropout=self.config.dropout,
            pad_id=self.special_ids["pad"],
            name=self.config.model,
        )

    @functools.cached_property
    def translator(self) -> Translator:
        """The model as a translator."""
        search = self.initial.search if self.initial else {}
        return keras_translator(self.model, self.text, max_source_tokens=self.config.max_tokens, **search)

    def make_task(self) -> TokenObjective:
        """Return the model wrapped with its loss."""
        return TokenObjective(self.model, self.config.label_smoothing, self.config.r_drop)

    def describe(self) -> dict:
        """Return the entries of run.json: data and languages, and the tokens of several directions."""
        first = self.corpora[0]
        pairs = sum(len(corpus.train) for corpus in self.corpora)
        found: dict = {
            "data": {"name": first.name, "train_pairs": pairs},
            "languages": {"source": first.source_language, "target": first.target_language},
        }
        if self.several:
            found["directions"] = [direction_of(corpus) for corpus in self.corpora]
        if files := initial_files(self.output):
            found["initial_files"] = files
        elif isinstance(self.text, TranslationTokenizer):
            template = dataclasses.replace(self.text.template, default_source=None, default_target=None)
            found["text_template"] = template.to_json()
        return found

    def write_validation(self) -> None:
        """Write held-out pairs, each with its direction if there are several."""
        rows: list[tuple[str, ...]] = []
        for corpus, pairs in zip(self.corpora, self._first_held_out(KEPT_PAIRS), strict=True):
            way = (direction_of(corpus),) if self.several else ()
            rows += [(*pair, *way) for pair in pairs]
        run_folder.write_validation(self.output / run_folder.VALIDATION, rows)

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
            batches = self._bucketed(encoded, self.ends, self.plain.lengths)
        return map(step_batch, batches.epoch(self.epoch, skip=self.position))

    def evaluate(self) -> dict:
        """Translate held-out texts, and return loss and scores."""
        batches = map(step_batch, self.held_out_batches.epoch(0))
        loss = mean_loss(self.task, batches, self.devices.place)
        return {"validation_loss": round(loss, 5), **self._scores(self.held_out)}

    def _scores(self, held_out: Sequence[Pairs]) -> dict:
        """Return the scores of pairs: of several directions the means, and the metric of each."""
        found = {
            direction_of(corpus): self._scores_of(corpus, pairs)
            for corpus, pairs in zip(self.corpora, held_out, strict=True)
        }
        scores = {
            name: round(sum(each[name] for each in found.values()) / len(found), 4)
            for name in ("bleu", "chrf", "exact_match")
        }
        if len(found) > 1:
            metric = self.config.metric
            scores |= {f"{metric} {way}": each[metric] for way, each in found.items()}
        return scores

    def _scores_of(self, corpus: ParallelCorpus, pairs: Pairs) -> dict:
        source, target = self.pairs.languages_of(corpus)
        translations, refused = translate_corpus(
            self.translator, [text for text, _ in pairs], source=source, target=target
        )
        if refused:
            self.progress.note(f"{refused} held-out texts are longer than {self.config.max_tokens} tokens")
        references = [text for _, text in pairs]
        return corpus_scores(translations, references, self.config.bleu_tokenize)

    def final_score(self) -> float:
        """Return the metric over more of the held-out pairs."""
        return self._scores(self._first_held_out(KEPT_PAIRS))[self.config.metric]


def direction_of(corpus: ParallelCorpus) -> str:
    """Return `en-de` for a corpus of these languages."""
    return named((corpus.source_language, corpus.target_language))


def step_batch(batch: Batch) -> TrainingBatch:
    """Return a batch with its arrays named as the models' inputs."""
    inputs = {
        "encoder_token_ids": batch.source_ids,
        "encoder_padding_mask": batch.source_mask,
        "decoder_token_ids": batch.decoder_ids,
    }
    return TrainingBatch(inputs, batch.target_ids, batch.target_mask.astype(np.float32))
