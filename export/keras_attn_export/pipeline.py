"""The export: lower, convert, quantize, prove, and only then write the bundle."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from keras_attn.device.bundle import FORMAT_VERSION, Bundle, write_bundle
from keras_attn.device.proof import Proof
from keras_attn.device.verify import Rung, verify
from keras_attn_export.buckets import Bucket, choose_buckets
from keras_attn_export.convert import ConversionError, Converted, convert, find_lowering
from keras_attn_export.flatbuffer import inspect_model
from keras_attn_export.proof import (
    Candidate,
    Keras,
    accept,
    metric,
    operators,
    same_search,
    sample_pairs,
    timed,
)
from keras_attn_export.recipes import FP32, Recipe, find_recipe
from keras_attn_export.report import report_json, report_markdown, rungs_json
from keras_attn_export.sources import Source, find_source


class ExportError(RuntimeError):
    """A rung of the ladder failed, and no bundle was written.

    Attributes:
        rung: name of the rung.
        detail: what was found, and where.
        rungs: all rungs up to it, as in `report.json`.
    """

    def __init__(self, rung: str, detail: str, rungs: Sequence[Rung] = ()) -> None:
        super().__init__(f"the export failed at {rung}: {detail}")
        self.rung = rung
        self.detail = detail
        self.rungs = rungs_json(rungs)


def export(
    source: Any,
    bundle: str | os.PathLike[str],
    recipe: str | Recipe = "int8",
    *,
    tokenizer: Any = None,
    pairs: Sequence[tuple[str, str]] | None = None,
    languages: dict[str, str] | None = None,
    buckets: Iterable[int | tuple[int, int]] | None = None,
    beam: int = 5,
    proof_sentences: int = 32,
    metric_sentences: int = 1000,
    seed: int = 0,
    lowering: str | None = None,
    progress: Callable[[str], None] | None = None,
) -> Bundle:
    """Export a trained model to a proven bundle.

    Args:
        source: a run folder, a `keras_attn.training.run.Run`, or a Keras model with its `tokenizer`.
        bundle: folder or `.zip` to write. A bundle that is there is replaced, when the new one is proven.
        recipe: `"fp32"`, `"fp16"`, `"int8"`, `"int8-weights"`, or a `Recipe`.
        tokenizer: `keras_attn.device.text.Tokenizer` of a Keras model.
        pairs: held-out (source, target) texts for the proof, instead of the run's.
        languages: labels of `source` and `target`, instead of the run's.
        buckets: source lengths, or (source, target) pairs, that become signatures; by default 16, 32, 64 and
            128, as far as the model was trained.
        beam: most hypotheses that a search on the device may keep (besides greedy search).
        proof_sentences: held-out texts that `proof.npz` carries.
        metric_sentences: held-out texts translated by all three models.
        seed: decides the made-up inputs of the proof.
        lowering: "module:function" of a `keras_attn_export.lowering.Lowering`, for models of your own.
        progress: called with a line at the start of each stage.

    Returns:
        The opened bundle.

    Raises:
        ExportError: when the model cannot be lowered or a rung of the proof fails; no bundle is written.
        ValueError: when an argument does not make sense.
    """
    chosen = find_recipe(recipe)
    found = find_source(source, tokenizer=tokenizer, pairs=pairs, languages=languages)
    if beam < 1:
        raise ValueError(f"beam must be at least 1, not {beam}")
    rows = sorted({1, beam})
    layout = choose_buckets(buckets, found.longest, found.longest_trained)
    tell = progress or (lambda line: None)
    with tempfile.TemporaryDirectory(prefix="keras_attn_export_") as folder:
        work = Path(folder)
        tell(f"lowering and converting {len(layout) * (1 + len(rows))} signatures")
        converted = _convert(work, found, chosen, layout, rows, lowering)
        ladder = _Ladder(found, chosen, layout, rows, converted, tell)
        proof = ladder.climb(proof_sentences, metric_sentences, beam, seed)
        manifest, files = ladder.contents(proof)
        tell("repeating the proof from the written bundle")
        written = write_bundle(work / "bundle", manifest, files)
        report = verify(written.path)
        if not report.ok:
            failed = next(rung for rung in report.rungs if not rung.ok)
            raise ExportError(f"verify {failed.name}", failed.detail, report.rungs)
        return write_bundle(bundle, manifest, files)


def _convert(
    work: Path,
    source: Source,
    recipe: Recipe,
    layout: Sequence[Bucket],
    rows: Sequence[int],
    lowering: str | None,
) -> Converted:
    try:
        return convert(
            work,
            config=source.config,
            weights=source.weights(),
            lowering=lowering or find_lowering(source.class_name),
            buckets=layout,
            rows=rows,
            recipe=recipe,
        )
    except ConversionError as error:
        raise ExportError("conversion", str(error)) from None


class _Ladder:
    """Climbs rung by rung and keeps what was found."""

    def __init__(
        self,
        source: Source,
        recipe: Recipe,
        buckets: Sequence[Bucket],
        rows: Sequence[int],
        converted: Converted,
        tell: Callable[[str], None],
    ) -> None:
        self.source, self.recipe, self.buckets, self.converted = source, recipe, buckets, converted
        self.tell = tell
        self.layout = [
            {
                "source": bucket.source,
                "target": bucket.target,
                "encode": bucket.encode,
                "steps": {str(count): bucket.step(count) for count in rows},
            }
            for bucket in buckets
        ]
        self.rungs: list[Rung] = []
        self.latency: dict[str, dict[str, Any]] = {}

    def climb(self, proof_sentences: int, metric_sentences: int, beam: int, seed: int) -> Proof:
        """Measure everything; return the proof for the bundle.

        Raises:
            ExportError: at the first rung that fails.
        """
        files = {"fp32": (self.converted.fp32, FP32)}
        if self.recipe.quantized:
            files[self.recipe.name] = (self.converted.quantized, self.recipe)
        candidates = {}
        for name, (file, recipe) in files.items():
            self._hold(operators(name, file, recipe))
            candidates[name] = Candidate(name, file, self.layout, self.source)
        self.tell("decoding the references with the Keras model")
        keras = Keras(self.source, self.buckets)
        proof = keras.proof(proof_sentences, seed)
        for name, candidate in candidates.items():
            self.tell(f"measuring {name} against the Keras model")
            self._hold(*candidate.scores(proof, files[name][1].tolerance))
        last = candidates[list(candidates)[-1]]
        self._hold(last.shuffled(proof))
        pairs = sample_pairs(self.source, self.buckets[-1].source, metric_sentences)
        if pairs:
            self._translate(keras, candidates, pairs, beam)
        return accept(proof, last, self.recipe)

    def _translate(self, keras: Keras, candidates: dict[str, Candidate], pairs: Any, beam: int) -> None:
        """Compare searches and the task's metric on held-out texts."""
        texts, references = [source for source, _ in pairs], [target for _, target in pairs]
        for width in sorted({1, beam}):
            self.tell(f"translating {len(texts)} held-out texts with each model, beam {width}")
            found = {"Keras": keras.translator.translate(texts, beam=width)}
            for name, candidate in candidates.items():
                found[name], self.latency[f"{name}, beam {width}"] = timed(
                    candidate.translator(), texts, width
                )
            self._hold(same_search(found["Keras"], found["fp32"], width, keras.first_gap))
            self._hold(metric(found, references, self.source, self.recipe.tolerance.metric_loss, width))

    def _hold(self, *rungs: Rung) -> None:
        for rung in rungs:
            self.rungs.append(rung)
            if not rung.ok:
                raise ExportError(rung.name, rung.detail, self.rungs)

    def contents(self, proof: Proof) -> tuple[dict[str, Any], dict[str, bytes | Path]]:
        """Return the manifest and the files of the bundle."""
        info = inspect_model(self.converted.quantized)
        model = {"class_name": self.source.class_name, "config": self.source.config}
        versions = {**self.converted.versions, "keras": version("keras")}
        files: dict[str, bytes | Path] = {
            "model.tflite": self.converted.quantized,
            "tokenizer.json": self.source.tokenizer_json,
            "proof.npz": proof.to_bytes(),
        }
        facts = {
            "recipe": self.recipe.name,
            "recipe_title": self.recipe.title,
            "made_from": self.source.made_from,
            "model": model,
            "bytes": {
                **{name: len(_content(data)) for name, data in files.items()},
                "model as fp32": self.converted.fp32.stat().st_size,
            },
            "operators_per_signature": {
                name: sum(signature.operators.values()) for name, signature in info.signatures.items()
            },
            "latency": self.latency,
            "peak_memory_bytes": _peak_memory(self.converted.quantized),
            "seconds": self.converted.seconds,
            "versions": versions,
            "runtimes": list(self.recipe.runtimes),
        }
        files["report.json"] = report_json(facts, self.rungs)
        files["report.md"] = report_markdown(facts, self.rungs)
        manifest = {
            "format_version": FORMAT_VERSION,
            "task": "translation",
            "model": model,
            "languages": self.source.languages,
            "special_ids": self.source.special_ids,
            "recipe": self.recipe.name,
            "signatures": _describe(info),
            "buckets": self.layout,
            "max_source_tokens": self.buckets[-1].source,
            "made_from": self.source.made_from,
            "versions": versions,
            "runtimes": list(self.recipe.runtimes),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        return manifest, files


def _content(data: bytes | Path) -> bytes:
    return data if isinstance(data, bytes) else data.read_bytes()


def _describe(info: Any) -> dict[str, Any]:
    """Return the manifest's signatures."""

    def side(tensors: Any) -> dict[str, Any]:
        return {
            name: {"shape": list(t.shape), "dtype": t.dtype.lower()} for name, t in sorted(tensors.items())
        }

    return {
        name: {"inputs": side(signature.inputs), "outputs": side(signature.outputs)}
        for name, signature in sorted(info.signatures.items())
    }


# Not getrusage: a child's peak starts with what its parent had when it forked.
_PEAK = """
import sys
from pathlib import Path
from keras_attn.device.interpreter import Model
model = Model(sys.argv[1])
for name in model.signatures:
    model.signature(name).run()
status = Path("/proc/self/status").read_text()
print(1024 * int(status.partition("VmHWM:")[2].split()[0]))
"""


def _peak_memory(file: Path) -> int | None:
    """Return the peak memory of a process that has run every signature; `None` where it cannot be read."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry or os.getcwd() for entry in sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", _PEAK, str(file)], env=environment, capture_output=True, text=True, check=False
    )
    return int(done.stdout) if done.returncode == 0 and done.stdout.strip().isdecimal() else None
