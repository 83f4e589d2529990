"""Training a translator, from a corpus to a run folder."""

import dataclasses
import math
import shutil
import time
from pathlib import Path

import keras
import numpy as np

from keras_attn import models
from keras_attn.data import (
    BucketedBatches,
    ParallelCorpus,
    encode_pairs,
    load_corpus,
    read_parallel,
    special_ids,
    train_tokenizer,
)
from keras_attn.data.errors import DataError
from keras_attn.data.tokenizer import load_tokenizer
from keras_attn.device.text import Tokenizer
from keras_attn.generation import keras_translator
from keras_attn.training import run as run_folder
from keras_attn.training.checkpoints import (
    checkpoints,
    keep_only,
    load_state,
    restore_average,
    restore_checkpoint,
    save_checkpoint,
)
from keras_attn.training.configuration import MODELS, TranslationConfig
from keras_attn.training.encodings import EncodedCorpus
from keras_attn.training.errors import NonFiniteLossError, TrainingError
from keras_attn.training.evaluation import corpus_scores, translate_corpus
from keras_attn.training.progress import Progress, Silent
from keras_attn.training.schedules import WarmUp
from keras_attn.training.task import TranslationTraining

PLAIN_SHARE = 0.2  # BPE-dropout is off for this last share of the steps
VARIANTS = 8  # random encodings of the corpus that are drawn
KEPT_PAIRS = 2000  # held-out pairs that go into the run folder


@dataclasses.dataclass
class TrainingResult:
    """What came out of a training.

    Attributes:
        folder: the run folder.
        steps: optimizer steps taken in all.
        chosen: which weights became model.keras: a checkpoint's name, or "average".
        score: their validation score, by the configuration's metric.
        seconds: wall time of this call.
    """

    folder: Path
    steps: int
    chosen: str
    score: float
    seconds: float


def train_translation(
    config: TranslationConfig, output: Path, *, resume: bool = False, progress: Progress | None = None
) -> TrainingResult:
    """Train a translator and leave a run folder.

    Args:
        config: the settings.
        output: the run folder; it must not exist, unless `resume`.
        resume: whether to go on where an interrupted training of the same configuration stopped.
        progress: listens.

    Returns:
        What came out.

    Raises:
        TrainingError: if `output` is in the way or of another configuration, or the loss is not finite.
        DataError: if the corpus cannot be used.
    """
    started = time.monotonic()
    progress = Silent() if progress is None else progress
    output = Path(output)
    _check_folder(config, output, resume)
    corpus = load_data(config)
    for reason, count in corpus.skipped.items():
        progress.note(f"{count} pairs left out: {reason}")
    if config.precision != "float32":
        keras.mixed_precision.set_global_policy(f"mixed_{config.precision}")
    training = _Training(config, output, corpus, progress)
    if resume:
        training.resume()
    training.loop()
    chosen, score = training.finish()
    return TrainingResult(output, training.step, chosen, score, time.monotonic() - started)


def load_data(config: TranslationConfig) -> ParallelCorpus:
    """Read the corpus of a configuration.

    Raises:
        DataError: if it cannot be read, or has nothing to validate with.
    """
    source, target = config.source_language, config.target_language
    if config.data is not None:
        corpus = load_corpus(config.data, source_language=source, target_language=target)
    else:
        corpus = read_parallel(config.train or "", config.validation, None, source, target)
    if not corpus.validation:
        # One pair in fifty, spread evenly, so that neither side is one end of the corpus.
        every = max(2, min(50, len(corpus.train) // 2))
        held_out = corpus.train[::every][:KEPT_PAIRS]
        if len(corpus.train) < 4:
            raise DataError(f"{corpus.name} has {len(corpus.train)} training pairs: too few to hold any out.")
        kept = [pair for i, pair in enumerate(corpus.train) if i % every or i // every >= KEPT_PAIRS]
        corpus = dataclasses.replace(corpus, train=kept, validation=held_out)
    return corpus


def _check_folder(config, output, resume):
    exists = (output / run_folder.RUN).exists()
    if resume:
        if not exists:
            raise TrainingError(f"There is nothing to resume in {output}: it has no {run_folder.RUN}.")
        found = run_folder.read_config(output)["training"]
        wanted = dataclasses.asdict(config)
        wanted["boundaries"] = list(wanted["boundaries"])  # as JSON has it
        different = [name for name, value in wanted.items() if found.get(name) != value]
        if different:
            told = ", ".join(f"{name} {found.get(name)!r} (asked: {wanted[name]!r})" for name in different)
            raise TrainingError(f"{output} was made with another configuration: {told}.")
    elif output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise TrainingError(f"{output} already exists: give another --output, or --resume to go on with it.")


class _Training:
    """One training: model, optimizer, data, and where it stands."""

    def __init__(self, config: TranslationConfig, output: Path, corpus: ParallelCorpus, progress: Progress):
        self.config, self.output, self.corpus, self.progress = config, output, corpus, progress
        self.step, self.epoch, self.position = 0, 0, 0
        self.history: list[dict] = run_folder.read_history(output)
        raw_tokenizer = self._tokenizer()
        self.special_ids = special_ids(raw_tokenizer)
        self.tokenizer = Tokenizer(raw_tokenizer, self.special_ids)
        self.encodings = EncodedCorpus(
            output / "encoded", raw_tokenizer, corpus.train, config.bpe_dropout, VARIANTS
        )
        self.plain = self._batches(self.encodings.load("plain"), config.boundaries, min_batches=2)
        if self.plain.left_out:
            progress.note(f"{self.plain.left_out} pairs left out: longer than {config.max_tokens} tokens")
        self.total_steps = config.steps or config.epochs * self.plain.batches_per_epoch
        self.held_out = corpus.validation[: config.validation_sentences]
        self.held_out_batches = self._batches(encode_pairs(raw_tokenizer, self.held_out), self.plain.lengths)
        keras.utils.set_random_seed(config.seed)
        self.model = self._model()
        self.task = self._task()
        self.translator = keras_translator(self.model, self.tokenizer, max_source_tokens=config.max_tokens)
        if not (output / run_folder.RUN).exists():
            self._write_run()

    def _tokenizer(self):
        path = self.output / run_folder.TOKENIZER
        if path.is_file():
            return load_tokenizer(path)
        texts = (text for pair in self.corpus.train for text in pair)
        return train_tokenizer(texts, self.config.vocabulary_size)

    def _model(self):
        make = getattr(models, MODELS[self.config.model])
        # One name for all runs, so that variable paths do not depend on what was built before.
        return make.from_preset(
            self.config.preset,
            vocabulary_size=self.tokenizer.tokenizer.get_vocab_size(),
            dropout=self.config.dropout,
            pad_id=self.special_ids["pad"],
            name=self.config.model,
        )

    def _task(self):
        config = self.config
        task = TranslationTraining(self.model, config.label_smoothing)
        schedule = WarmUp(config.learning_rate, config.warmup, self.total_steps, config.schedule)
        optimizer = keras.optimizers.Adam(
            schedule, beta_1=0.9, beta_2=0.98, epsilon=1e-9, global_clipnorm=config.clip_norm or None
        )
        if config.precision == "float16":
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        optimizer.build(self.model.trainable_variables)
        xla = self.model.xla_on_tensorflow or keras.backend.backend() != "tensorflow"
        task.compile(optimizer=optimizer, jit_compile=config.jit_compile and xla)
        return task

    def _write_run(self):
        self.output.mkdir(parents=True, exist_ok=True)
        run_folder.write_tokenizer(self.output, self.tokenizer.tokenizer)
        run_folder.write_validation(self.output / run_folder.VALIDATION, self.corpus.validation[:KEPT_PAIRS])
        languages = {"source": self.corpus.source_language, "target": self.corpus.target_language}
        config = {
            "format_version": run_folder.FORMAT_VERSION,
            "task": "translation",
            "model": {"class_name": MODELS[self.config.model], "config": self.model.get_config()},
            "data": {"name": self.corpus.name, "train_pairs": len(self.corpus.train)},
            "languages": languages,
            "special_ids": self.special_ids,
            "training": dataclasses.asdict(self.config),
            "total_steps": self.total_steps,
            "versions": {"keras": keras.version(), "backend": keras.backend.backend()},
        }
        run_folder.write_config(self.output, config)

    def _batches(self, encoded, boundaries, min_batches: int = 0) -> BucketedBatches:
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

    def resume(self) -> None:
        """Go on from the newest checkpoint."""
        found = checkpoints(self.output / "checkpoints")
        if not found:
            raise TrainingError(f"There is no checkpoint in {self.output} to resume from: start anew.")
        state = restore_checkpoint(found[-1], self.task)
        if self.task.optimizer.iterations == 0 and state["step"] > 0:
            raise TrainingError(f"{found[-1]} did not restore the optimizer.")
        self.step, self.epoch, self.position = state["step"], state["epoch"], state["position"]
        self.history = [row for row in self.history if row["step"] <= self.step]

    def loop(self) -> None:
        """Train until the steps are done or validation stops improving."""
        self.progress.started(self.step, self.total_steps)
        every = max(1, math.ceil(self.total_steps / self.config.evaluations))
        while self.step < self.total_steps and not self._stop_early():
            # Decided by where the epoch began, so that resuming within it changes nothing.
            plain = self.step - self.position >= (1 - PLAIN_SHARE) * self.total_steps
            variant = self.encodings.variant(self.epoch, plain)
            # A random encoding is longer here and there, but must not bring new shapes.
            batches = (
                self.plain
                if variant == "plain"
                else self._batches(self.encodings.load(variant), self.plain.lengths)
            )
            losses = []
            for batch in batches.epoch(self.epoch, skip=self.position):
                losses.append(self._train_on(batch))
                self.position += 1
                self.step += 1
                if self.step % every == 0 or self.step == self.total_steps:
                    self._evaluate(float(np.mean(losses)))
                    losses = []
                if self.step == self.total_steps or self._stop_early():
                    return
            self.epoch, self.position = self.epoch + 1, 0

    def _train_on(self, batch) -> float:
        loss = float(
            self.task.train_on_batch(
                inputs_of(batch), batch.target_ids, sample_weight=batch.target_mask.astype(np.float32)
            )
        )
        if not math.isfinite(loss):
            found = checkpoints(self.output / "checkpoints")
            kept = f"the last good checkpoint is {found[-1]}" if found else "there is no checkpoint yet"
            raise NonFiniteLossError(
                f"The loss became {loss} at step {self.step + 1} (epoch {self.epoch + 1}, batch "
                f"{self.position + 1}); {kept}. Try a lower learning rate, or float32."
            )
        self.progress.stepped(self.step + 1, loss, batch.n_target_tokens)
        return loss

    def _evaluate(self, loss: float) -> None:
        row = {
            "step": self.step,
            "epoch": self.epoch + 1,
            "loss": round(loss, 5),
            "validation_loss": round(self._validation_loss(), 5),
            **self._scores(self.held_out),
            "learning_rate": float(np.asarray(self.task.optimizer.learning_rate)),
        }
        self.history.append(row)
        run_folder.write_history(self.output, self.history, self.config.metric)
        # Epochs count from 0 where the training stands, from 1 where people read.
        state = {**row, "epoch": self.epoch, "position": self.position}
        folder = self.output / "checkpoints"
        save_checkpoint(folder, self.task, state)
        found = checkpoints(folder)
        keep_only(folder, [*found[-max(self.config.average, 1) :], self._best(found)])
        self.progress.evaluated(row)

    def _scores(self, pairs) -> dict:
        translations, refused = translate_corpus(self.translator, [source for source, _ in pairs])
        if refused:
            self.progress.note(f"{refused} held-out texts are longer than {self.config.max_tokens} tokens")
        references = [target for _, target in pairs]
        scores = corpus_scores(translations, references, self.config.bleu_tokenize)
        return {"bleu": scores["bleu"], "chrf": scores["chrf"], "exact_match": scores["exact_match"]}

    def _validation_loss(self) -> float:
        total = tokens = 0.0
        for batch in self.held_out_batches.epoch(0):
            weights = batch.target_mask.astype(np.float32)
            loss = self.task.test_on_batch(inputs_of(batch), batch.target_ids, sample_weight=weights)
            total += float(loss) * batch.n_target_tokens
            tokens += batch.n_target_tokens
        return total / max(tokens, 1)

    def _best(self, found: list[Path]) -> Path:
        # The later of two equals: it has seen more.
        return max(found, key=lambda path: (load_state(path)[self.config.metric], path.name))

    def _stop_early(self) -> bool:
        patience = self.config.patience
        scores = [row[self.config.metric] for row in self.history]
        return (
            bool(patience) and len(scores) > patience and max(scores[-patience:]) <= max(scores[:-patience])
        )

    def finish(self) -> tuple[str, float]:
        """Write model.keras with the best of: best checkpoint, last checkpoint, mean of the last ones."""
        found = checkpoints(self.output / "checkpoints")
        candidates = {path.name: [path] for path in (self._best(found), found[-1])}
        if self.config.average > 1 and len(found) > 1:
            candidates["average"] = found[-self.config.average :]
        scores = {}
        for name, chosen_checkpoints in candidates.items():
            restore_average(chosen_checkpoints, self.task)
            scores[name] = self._scores(self.corpus.validation[:KEPT_PAIRS])[self.config.metric]
        chosen = max(scores, key=lambda name: scores[name])
        restore_average(candidates[chosen], self.task)
        run_folder.save_model(self.output, self.model)
        config = run_folder.read_config(self.output)
        config.update(step=self.step, chosen=chosen, validation={self.config.metric: scores})
        run_folder.write_config(self.output, config)
        shutil.rmtree(self.output / "encoded", ignore_errors=True)
        return chosen, scores[chosen]


def inputs_of(batch) -> dict[str, np.ndarray]:
    """Name a batch's arrays as the models' inputs."""
    return {
        "encoder_token_ids": batch.source_ids,
        "encoder_padding_mask": batch.source_mask,
        "decoder_token_ids": batch.decoder_ids,
    }
