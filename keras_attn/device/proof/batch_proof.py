"""Decoding in batches, compared with a bundle's proof: many inputs at a time, each fed its reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from keras_attn.device.proof.decoder_proof import ErrorStats, Figures, Proof, forced_inputs, with_end
from keras_attn.device.search.batch_search import DecodingBatch, decode_batch, search_batch
from keras_attn.device.search.beam_search import SearchConfig
from keras_attn.device.search.token_scores import Scores
from keras_attn.device.text.tokenizer import never_produced


def measure_batch(batch: DecodingBatch, proof: Proof, special_ids: Mapping[str, int]) -> Figures:
    """Compare a batch with a proof: all inputs together, those of each length together, and only a few.

    With all of them the longest decides which signature is used, and its target is long too; a few inputs get
    the steps for few sentences. Each has all rows of a sentence; see ``measure`` for what they are fed.

    Args:
        batch: what is measured.
        proof: references.
        special_ids: ids of ``pad``, ``start`` and ``end``.

    Raises:
        BundleError: a score is not finite.
    """
    stats, inputs = ErrorStats(proof, special_ids), range(len(proof))
    sources, limits = [proof.source(i) for i in inputs], [int(each) for each in proof.target_lengths]
    alike = [
        [i for i in inputs if batch.source_length_for(len(sources[i])) == length]
        for length in batch.source_lengths
    ]
    few = [list(inputs)[:size] for size in batch.sizes[:-1]]
    for group in (list(inputs), *alike, *few):
        searches = [_Forced(proof, i, special_ids, batch.beams) for i in group]
        some = [sources[i] for i in group], [limits[i] for i in group]
        decode_batch(batch, *some, searches, _ForcedPolicy(batch, stats))
    if batch.beams == 1:
        suppress = frozenset(never_produced(special_ids))
        config = SearchConfig(
            special_ids["start"],
            special_ids["end"],
            beam=1,
            n_best=1,
            length_penalty=1.0,
            alignments=False,
            suppress=suppress,
            force_end=False,
            first_id=special_ids.get("first"),
        )
        for i, [found] in zip(inputs, search_batch(batch, sources, limits, config), strict=True):
            stats.greedy_hits.append(with_end(found, special_ids) == proof.target(i).tolist())
    return stats.figures()


class _Forced:
    """An input of a proof that is decoded in a batch; see ``decode_batch``."""

    def __init__(self, proof: Proof, i: int, special_ids: Mapping[str, int], rows: int):
        self.number, self.step, self.done = i, 0, False
        self._inputs = forced_inputs(proof, i, special_ids, rows)
        self.tokens, self.row, self._order = next(self._inputs)
        self.parents = list(range(rows))

    def advance(self) -> None:
        """Continue with the reference's next token."""
        self.step += 1
        self.parents = self._order.tolist()
        following = next(self._inputs, None)
        if following is None:
            self.done = True
        else:
            self.tokens, self.row, self._order = following


class _ForcedPolicy:
    alignments = False

    def __init__(self, batch: DecodingBatch, stats: ErrorStats):
        self.beam, self._batch, self._stats = batch.beams, batch, stats

    def advance(self, live: Sequence[tuple[int, _Forced]], scores: Scores, alignment: object) -> None:
        log_probs = np.asarray(scores)
        for first, each in live:
            self._stats.add(each.number, each.step, log_probs[first + each.row], self._batch.signature)
            each.advance()
