"""How fast a bundle is here, and how fast this machine could be at best.

At batch 1 every step reads its weights once. The file's bytes, divided by the memory bandwidth measured on
the same machine, are the floor of a step; a model that fits into the cache can be faster than it.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from typing import Any

import numpy as np

from keras_attn.device.bundle import MODEL, PROOF, Bundle
from keras_attn.device.interpreter import runtime
from keras_attn.device.proof import Proof
from keras_attn.device.translator import Translator


def benchmark(
    bundle_path: str | os.PathLike[str],
    *,
    threads: int = 1,
    beam: int = 1,
    repeats: int = 3,
    sentences: int = 32,
) -> dict[str, Any]:
    """Translate the proof's sources, and time it.

    Args:
        bundle_path: a folder or a .zip.
        threads: threads that the interpreter may use.
        beam: hypotheses kept per sentence.
        repeats: rounds over the sentences, after one that does not count.
        sentences: the most sentences taken from the proof.

    Returns:
        ``latency_ms`` (median per sentence), ``latency_p90_ms``, ``ms_per_token``, ``tokens_per_second``
        (tokens of the best outputs, the end tokens counted), ``peak_memory_bytes`` (of the whole process,
        None where the system does not say), ``file_bytes`` (the model), ``bundle_bytes``, ``load_ms``,
        ``bandwidth_bytes_per_second``, ``floor_ms_per_token``, and what was measured: ``sentences``,
        ``tokens``, ``beam``, ``threads``, ``runtime``.

    Raises:
        BundleError: the bundle or its proof is not what it should be.
        ImportError: no interpreter is installed.
    """
    for name, value in (("repeats", repeats), ("sentences", sentences)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} must be a whole number of at least 1, not {value!r}")
    begun = time.perf_counter()
    bundle = Bundle.open(bundle_path)
    translator = Translator.from_bundle(bundle, threads=threads)
    load_ms = (time.perf_counter() - begun) * 1e3
    proof = Proof.load(bundle.read(PROOF))
    texts = _texts(translator, proof, sentences)
    end = translator.tokenizer.special_ids["end"]
    times: list[list[float]] = [[] for _ in texts]
    tokens = 0
    for round_number in range(repeats + 1):
        for text, own in zip(texts, times, strict=True):
            begun = time.perf_counter()
            answer = translator.translate(text, beam=beam)
            if round_number:
                own.append((time.perf_counter() - begun) * 1e3)
                tokens += len(answer.outputs[0].ids) + (end not in answer.outputs[0].ids)
    medians = [statistics.median(own) for own in times]
    spent = sum(map(sum, times))
    bandwidth = memory_bandwidth()
    file_bytes = bundle.manifest["files"][MODEL]["bytes"]
    name, version = runtime()
    return {
        "latency_ms": statistics.median(medians),
        "latency_p90_ms": float(np.percentile(medians, 90)),
        "ms_per_token": spent / tokens,
        "tokens_per_second": tokens / spent * 1e3,
        "peak_memory_bytes": peak_memory_bytes(),
        "file_bytes": file_bytes,
        "bundle_bytes": sum(entry["bytes"] for entry in bundle.manifest["files"].values()),
        "load_ms": load_ms,
        "bandwidth_bytes_per_second": bandwidth,
        "floor_ms_per_token": file_bytes / bandwidth * 1e3,
        "sentences": len(texts),
        "tokens": tokens // repeats,
        "beam": beam,
        "threads": threads,
        "runtime": f"{name} {version}",
    }


def _texts(translator: Translator, proof: Proof, count: int) -> list[str]:
    """The proof's sources as text, spread over the lengths; made-up ones need not come back as they were."""
    limit = translator.max_source_tokens
    texts = [translator.tokenizer.decode(proof.source(i).tolist()) for i in range(len(proof))]
    texts = [text for text in texts if text.strip() and len(translator.tokenizer.encode(text)) <= limit]
    texts.sort(key=len)
    places = np.unique(np.linspace(0, len(texts) - 1, min(count, len(texts))).round().astype(int))
    return [texts[place] for place in places] or ["1"]


def memory_bandwidth(size: int = 2**26, repeats: int = 5) -> float:
    """Measure how many bytes per second one thread reads from memory, with a sum over ``size`` bytes."""
    array = np.ones(size // 8, np.int64)
    best = float("inf")
    for _ in range(repeats):
        begun = time.perf_counter()
        np.bitwise_or.reduce(array)
        best = min(best, time.perf_counter() - begun)
    return array.nbytes / best


def peak_memory_bytes() -> int | None:
    """Return the most memory this process has held, or None where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def as_lines(figures: dict[str, Any]) -> str:
    """Return the figures for people."""
    peak = figures["peak_memory_bytes"]
    gigabytes = figures["bandwidth_bytes_per_second"] / 1e9
    lines = {
        "measured": "{sentences} sentences, beam {beam}, {threads} thread(s), {runtime}",
        "latency": "{latency_ms:.2f} ms per sentence (90th percentile {latency_p90_ms:.2f} ms)",
        "speed": "{tokens_per_second:.0f} tokens/s, {ms_per_token:.3f} ms per token",
        "floor": f"{{floor_ms_per_token:.3f}} ms per token: the file read once at {gigabytes:.1f} GB/s",
        "size": "model {file_bytes:,} bytes, bundle {bundle_bytes:,} bytes, loaded in {load_ms:.0f} ms",
        "peak memory": "not known here" if peak is None else f"{peak / 1e6:.0f} MB",
    }
    return "\n".join(f"{name:<13}{line.format(**figures)}" for name, line in lines.items())
