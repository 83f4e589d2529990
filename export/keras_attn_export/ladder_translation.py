"""The ladder of translation models: scores at every step, searches, and BLEU or exact matches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from keras_attn.device.proof import Proof
from keras_attn_export.buckets import Bucket
from keras_attn_export.ladder import Ladder, operators
from keras_attn_export.proof import Candidate, Keras, accept, metric, same_search, sample_pairs, timed


def translation_layout(buckets: Sequence[Bucket], rows: Sequence[int]) -> list[dict[str, Any]]:
    """Give the manifest's `buckets`."""
    return [
        {
            "source": bucket.source,
            "target": bucket.target,
            "encode": bucket.encode,
            "steps": {str(count): bucket.step(count) for count in rows},
        }
        for bucket in buckets
    ]


class TranslationLadder(Ladder):
    """Compares the files with the Keras model as translators."""

    def climb(self) -> Proof:
        """Measure everything; return the proof for the bundle.

        Raises:
            ExportError: at the first rung that fails.
        """
        buckets, beam = self.settings.buckets, self.settings.beam
        candidates = {}
        for name, (file, recipe) in self.files.items():
            self.hold(operators(name, file, recipe))
            candidates[name] = Candidate(name, file, self.layout, self.source)
        self.tell("decoding the references with the Keras model")
        keras = Keras(self.source, buckets)
        proof = keras.proof(self.settings.sentences, self.settings.seed)
        for name, candidate in candidates.items():
            self.tell(f"measuring {name} against the Keras model")
            self.hold(*candidate.scores(proof, self.files[name][1].tolerance))
        last = candidates[list(candidates)[-1]]
        self.hold(last.shuffled(proof))
        pairs = sample_pairs(self.source, buckets[-1].source, self.settings.metric_sentences)
        if pairs:
            self._translate(keras, candidates, pairs, beam)
        figures = list(last.figures.values())
        return accept(
            proof,
            max(each.max_error for each in figures),
            max(each.mean_error for each in figures),
            min(each.token_agreement for each in figures) - 0.05,
            self.recipe.tolerance,
        )

    def _translate(self, keras: Keras, candidates: Mapping[str, Candidate], pairs: Any, beam: int) -> None:
        """Compare searches and the task's metric on held-out texts."""
        texts, references = [source for source, _ in pairs], [target for _, target in pairs]
        for width in sorted({1, beam}):
            self.tell(f"translating {len(texts)} held-out texts with each model, beam {width}")
            found = {"Keras": keras.translator.translate(texts, beam=width)}
            for name, candidate in candidates.items():
                found[name], self.latency[f"{name}, beam {width}"] = timed(
                    candidate.translator(), texts, width
                )
            self.hold(same_search(found["Keras"], found["fp32"], width, keras.first_gap))
            self.hold(metric(found, references, self.source, self.recipe.tolerance.metric_loss, width))

    def facts(self) -> dict[str, Any]:
        """Give what the manifest says about this task alone."""
        return {"task": "translation", "languages": self.source.languages}
