"""Translation of text, over any step model: a bundle's on a device, a Keras model's where it was trained."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any, overload

import numpy as np

from keras_attn.device.errors import InputError, TextTooLong
from keras_attn.device.files.bundle import Bundle
from keras_attn.device.files.bundle_tokenizer import with_target
from keras_attn.device.reopening import Opening, Reopened
from keras_attn.device.search.batch_search import DecodingBatch, search_batch
from keras_attn.device.search.beam_search import Hypothesis, SearchConfig
from keras_attn.device.search.language_model import open_decoder
from keras_attn.device.search.sampling import Sampling, continue_prompt
from keras_attn.device.search.search import StepModel, check_options, search
from keras_attn.device.tasks.joined_translation import Part, joined_translation
from keras_attn.device.tasks.translation import Translation, check_alignment_size, checked_texts
from keras_attn.device.text.sentences import between, fit_text, fitting_parts
from keras_attn.device.text.text_stream import parts_of_text
from keras_attn.device.text.tokenizer import Tokenizer, never_produced
from keras_attn.device.text.translation_tokenizer import TranslationTokenizer
from keras_attn.errors import ArgumentError, ArgumentTypeError

FULL_ENOUGH = 3 / 4
"""Fraction of the slots of a batch's smallest step from which on it is faster than single sentences."""
ROUNDS = 16
"""Sentences per slot; the last ones leave some slots empty."""
_CHECKED_WHOLE = 2**16
"""Characters up to which a text is split before the first word of its stream is yielded."""


def default_max_length(source_tokens: int) -> int:
    """Return the most tokens to produce for a source of ``source_tokens``, the end token counted in both."""
    return 2 * source_tokens + 10


class Translator(Reopened):
    """Translates text with any step model.

    Threads may share one; those of a bundle take turns sentence by sentence, or batch by batch. Streams may
    be read during other calls, and abandoned at any time.

    Args:
        step_models: given the most steps of a search, returns the step model for it.
        tokenizer: the model's tokenizer.
        max_source_tokens: the most source tokens the model takes at a time, the end token counted.
        max_target_tokens: the most target tokens it produces, the end token counted; None for no limit.
        batch_size: sentences decoded together. Batches always have this many rows, so that a compiled model
            sees few shapes; rows without a sentence hold one end token.
        multiple: source lengths are padded to multiples of this, for the same reason.
        force_end: whether a translation that reaches its limit counts as finished.
        early_stopping: whether a beam search ends as soon as all hypotheses have finished; see ``search``.
        batches: given the beam size, returns what decodes sentences together, each ending by itself, or None;
            it is used instead of the step model where there are enough sentences.
        min_length: tokens to produce before a translation may end; see ``search``.
        no_repeat_ngram: length of the sequences of tokens that do not repeat; see ``search``.
    """

    def __init__(
        self,
        step_models: Callable[[int], StepModel],
        tokenizer: Tokenizer,
        *,
        max_source_tokens: int,
        max_target_tokens: int | None = None,
        batch_size: int = 1,
        multiple: int = 1,
        force_end: bool = False,
        early_stopping: bool = True,
        batches: Callable[[int], DecodingBatch | None] = lambda beam: None,
        min_length: int = 0,
        no_repeat_ngram: int = 0,
    ):
        self.step_models = step_models
        self.tokenizer = tokenizer
        self.max_source_tokens = max_source_tokens
        self.max_target_tokens = max_target_tokens
        self.batch_size = batch_size
        self.multiple = multiple
        self.force_end = force_end
        self.early_stopping = early_stopping
        self.batches = batches
        self.min_length = min_length
        self.no_repeat_ngram = no_repeat_ngram

    @classmethod
    def from_bundle(cls, bundle: Bundle, threads: int = 1) -> Translator:
        """Make a translator of a bundle that has been opened.

        Raises:
            BundleError: a file of the bundle is not what it should be, or may not run on this interpreter.
            MissingPackage: no interpreter is installed.
        """
        steps, tokenizer = open_decoder(bundle, Tokenizer, threads)
        search_options = bundle.manifest.get("search", {})
        made = cls(
            steps.for_length,
            with_target(bundle, tokenizer),
            max_source_tokens=bundle.manifest["max_source_tokens"],
            max_target_tokens=steps.max_target_tokens,
            force_end=search_options.get("force_end", False),
            early_stopping=search_options.get("early_stopping", True),
            batches=steps.batch,
            min_length=search_options.get("min_length") or 0,
            no_repeat_ngram=search_options.get("no_repeat_ngram") or 0,
        )
        made.opening = Opening.of(bundle, threads)
        return made

    @overload
    def translate(
        self,
        text: str,
        *,
        beam: int = 1,
        max_length: int | None = None,
        length_penalty: float = 1.0,
        n_best: int = 1,
        alignments: bool = False,
        source: str | None = None,
        target: str | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> Translation: ...

    @overload
    def translate(
        self,
        text: Sequence[str],
        *,
        beam: int = 1,
        max_length: int | None = None,
        length_penalty: float = 1.0,
        n_best: int = 1,
        alignments: bool = False,
        source: str | None = None,
        target: str | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> list[Translation]: ...

    def translate(
        self,
        text: str | Sequence[str],
        *,
        beam: int = 1,
        max_length: int | None = None,
        length_penalty: float = 1.0,
        n_best: int = 1,
        alignments: bool = False,
        source: str | None = None,
        target: str | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> Translation | list[Translation]:
        """Translate one text, or each of a list.

        A text of more than ``max_source_tokens`` is cut at sentence ends, and the translations of its parts
        are joined: the k-th best of each part make the k-th output (or its last one, where a part has fewer).
            A text of white space has the empty translation.

        Args:
            text: one text, or several.
            beam: the beam size; 1 is greedy search.
            max_length: the most target tokens of a part, the end token counted; by default twice its source's
                and ten more, up to the model's limit.
            length_penalty: exponent of the length that divides a log-probability.
            n_best: translations to return, at most ``beam``.
            alignments: whether to keep the attention over the source.
            source: language of the text, for a model of several: its own code or that of BCP 47, such as
                ``"en"``; see ``languages``. By default the model's, where it has one.
            target: language of the translation, as ``source``.
            progress: called after each batch with the number of parts that are done. It may call this
                translator.

        Returns:
            A Translation, or a list of them.

        Raises:
            TextTooLong: a sentence has more tokens than the model takes.
            InputError: the text is not valid Unicode, or its alignments need too much memory, or the model
                does not know a language, or needs one that is not named.
            ArgumentTypeError: the text is not text.
            ArgumentError: an option is out of its range, or over the model's limit.
        """
        texts, tokenizer = checked_texts(text), self._between(source, target)
        check_options(beam=beam, n_best=n_best, length_penalty=length_penalty)
        self._check_max_length(max_length)
        parts: list[Part] = []
        numbers = 0  # in the alignments: a translation has about as many tokens as its source
        for number, one in enumerate(texts):
            tokens = 0
            for _, ids, separator in fitting_parts(one, tokenizer, self.max_source_tokens):
                parts.append(Part(number, ids, separator))
                tokens += len(ids)
                if alignments:
                    check_alignment_size(n_best * (numbers + tokens**2), tokens)
            numbers += tokens**2
        found = self._decode(
            tokenizer,
            [part.ids for part in parts],
            max_length,
            progress,
            {"beam": beam, "n_best": n_best, "length_penalty": length_penalty, "alignments": alignments},
        )
        by_text: list[list[tuple[Part, list[Hypothesis]]]] = [[] for _ in texts]
        for part, hypotheses in zip(parts, found, strict=True):
            by_text[part.text].append((part, hypotheses))
        translations = [
            joined_translation(tokenizer, one, its_parts, length_penalty, alignments)
            for one, its_parts in zip(texts, by_text, strict=True)
        ]
        return translations[0] if isinstance(text, str) else translations

    def stream(
        self,
        text: str,
        *,
        max_length: int | None = None,
        source: str | None = None,
        target: str | None = None,
    ) -> Iterator[str]:
        """Translate a text greedily and yield the translation as it is produced; joined, it is
        ``translate``'s.

        Abandoning the iteration ends the work.

        Args:
            text: any text.
            max_length: as for ``translate``.
            source: as for ``translate``.
            target: as for ``translate``.

        Raises:
            TextTooLong, InputError, TypeError, ValueError: as ``translate``, before anything is yielded. In a
                text of more than 65,536 characters, a sentence of too many tokens is found when it is next.
        """
        if not isinstance(text, str):
            raise ArgumentTypeError(f"text must be a string, not {type(text).__name__}")
        self._check_max_length(max_length)
        tokenizer = self._between(source, target)
        parts = fitting_parts(text, tokenizer, self.max_source_tokens)
        checked = list(parts if len(text) <= _CHECKED_WHOLE else islice(parts, 1))
        return self._streamed(tokenizer, chain(checked, parts), max_length)

    def _streamed(
        self, tokenizer: Tokenizer, parts: Iterable[tuple[str, list[int], str]], max_length: int | None
    ) -> Iterator[str]:
        before, separator = "", None
        greedy = {"beam": 1, "n_best": 1, "length_penalty": 1.0, "alignments": False}
        config = SearchConfig(**self._rules(tokenizer), **greedy)
        for _, ids, following in parts:
            if separator is not None and (gap := between(before, separator)):
                before = gap
                yield gap
            separator = following
            limit = self._limit(len(ids), max_length)
            source = np.array([ids], np.int32)
            produced = continue_prompt(
                self.step_models(limit),
                source,
                np.ones_like(source, bool),
                start_id=config.start_id,
                end_id=config.end_id,
                max_length=limit - config.force_end,  # the last token would be the end
                sampling=Sampling(),
                rng=np.random.default_rng(),
                suppress=config.suppress,
                first_id=config.first_id,
                forbidden=config.forbidden if config.forbids else None,
            )
            tokens = (token for token, _ in produced if token != config.end_id)
            for added in parts_of_text(tokenizer.decode, tokens):
                before = added or before
                yield added

    def together(self, beam: int = 1) -> int:
        """Return how many texts at a time ``translate`` handles fastest."""
        batch = self.batches(beam)
        return self.batch_size if batch is None else ROUNDS * batch.sentences

    def fits(self, text: str) -> bool:
        """Return whether a text can be translated, in parts if necessary: see ``translate``."""
        try:
            fit_text(text, self.tokenizer, self.max_source_tokens)
        except TextTooLong:
            return False
        return True

    def _check_max_length(self, max_length: Any) -> None:
        if max_length is None:
            return
        if isinstance(max_length, bool) or not isinstance(max_length, int | np.integer) or max_length < 1:
            raise ArgumentError(f"max_length must be a whole number of at least 1, not {max_length!r}")
        if self.max_target_tokens is not None and max_length > self.max_target_tokens:
            raise ArgumentError(
                f"max_length is {max_length}, but the model produces at most {self.max_target_tokens} tokens."
            )

    def _limit(self, source_tokens: int, max_length: int | None) -> int:
        limit = default_max_length(source_tokens) if max_length is None else int(max_length)
        return limit if self.max_target_tokens is None else min(limit, self.max_target_tokens)

    @property
    def languages(self) -> tuple[str, ...]:
        """The model's own codes of its languages; empty if it has only one direction."""
        tokenizer = self.tokenizer
        return (*tokenizer.template.languages,) if isinstance(tokenizer, TranslationTokenizer) else ()

    def _between(self, source: str | None, target: str | None) -> Tokenizer:
        """Return the tokenizer of a direction."""
        if isinstance(self.tokenizer, TranslationTokenizer):
            return self.tokenizer.between(source, target)
        for name, code in (("source", source), ("target", target)):
            if code is not None:
                raise InputError(f"{name}={code!r}: this model has no languages to choose; leave it out.")
        return self.tokenizer

    def _decode(
        self,
        tokenizer: Tokenizer,
        sources: Sequence[list[int]],
        max_length: int | None,
        progress: Callable[[int], None] | None,
        options: dict[str, Any],
    ) -> list[list[Hypothesis]]:
        """Search for the target of each source; results come in the given order."""
        batch = self.batches(options["beam"]) if len(sources) > 1 else None
        if batch is None or len(sources) < FULL_ENOUGH * batch.sizes[0]:
            return self._decode_by_width(tokenizer, sources, max_length, progress, options)
        config = SearchConfig(**self._rules(tokenizer), **options)
        limits = [self._limit(len(source), max_length) for source in sources]
        return search_batch(batch, sources, limits, config, progress)

    def _rules(self, tokenizer: Tokenizer) -> dict[str, Any]:
        """Return the search's rules, which are the model's and the direction's."""
        special = tokenizer.special_ids
        return {
            "start_id": special["start"],
            "end_id": special["end"],
            "suppress": frozenset(never_produced(special)),
            "force_end": self.force_end,
            "early_stopping": self.early_stopping,
            "first_id": special.get("first"),
            "min_length": self.min_length,
            "no_repeat_ngram": self.no_repeat_ngram,
        }

    def _decode_by_width(
        self,
        tokenizer: Tokenizer,
        sources: Sequence[list[int]],
        max_length: int | None,
        progress: Callable[[int], None] | None,
        options: dict[str, Any],
    ) -> list[list[Hypothesis]]:
        """Search in batches of equal padded length, for a step model without slots."""
        special = tokenizer.special_ids
        results: list[list[Hypothesis]] = [[] for _ in sources]
        widths = [-(-len(source) // self.multiple) * self.multiple for source in sources]
        # One at a time, sentences are translated in their order.
        order = (
            sorted(range(len(sources)), key=widths.__getitem__)
            if self.batch_size > 1
            else range(len(sources))
        )
        order, done = list(order), 0
        while done < len(order):
            width = widths[order[done]]
            chosen = [i for i in order[done : done + self.batch_size] if widths[i] == width]
            ids = np.full((self.batch_size, width), special["pad"], np.int32)
            ids[:, 0] = special["end"]
            mask = np.zeros(ids.shape, bool)
            mask[:, 0] = True
            limits = np.ones(self.batch_size, np.int64)
            for row, i in enumerate(chosen):
                ids[row, : len(sources[i])] = sources[i]
                mask[row, : len(sources[i])] = True
                limits[row] = self._limit(len(sources[i]), max_length)
            found = search(
                self.step_models(self._limit(width, max_length)),
                ids,
                mask,
                max_length=limits,
                **self._rules(tokenizer),
                **options,
            )
            for row, i in enumerate(chosen):
                results[i] = found[row]
            done += len(chosen)
            if progress is not None:
                progress(done)
        return results
