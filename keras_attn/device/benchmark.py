"""Measures the speed of a bundle, and the best that this machine could reach.

At batch 1 a step of a translator, or a text of an encoder, reads the weights once. Their bytes, divided by
the memory bandwidth measured on the same machine, are the floor. A model that fits into the cache can be
faster; with long texts the arithmetic takes the time, and the floor is far below.
"""

from __future__ import annotations

import functools
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from keras_attn.device import load_opened
from keras_attn.device.errors import InputError
from keras_attn.device.files.bundle import MODEL, PROOF, Bundle
from keras_attn.device.proof.decoder_proof import Proof
from keras_attn.device.proof.encoder_proof import proof_kind
from keras_attn.device.proof.prediction_proof import PredictionProof
from keras_attn.device.runtime.litert import runtime
from keras_attn.device.task_names import ENCODER_TASKS, PREDICTION
from keras_attn.device.tasks.encoder_task import EncoderTask
from keras_attn.device.tasks.generator import Generator
from keras_attn.device.tasks.predictor import Predictor
from keras_attn.device.tasks.translator import Translator
from keras_attn.errors import ArgumentError

_LONG_ENOUGH = 0.2  # seconds that a length of an encoder is measured


def benchmark(
    bundle_path: str | os.PathLike[str],
    *,
    threads: int = 1,
    beam: int | None = None,
    repeats: int = 3,
    sentences: int = 32,
    source: str | None = None,
    target: str | None = None,
) -> dict[str, Any]:
    """Run the proof's texts through a bundle, and time it.

    Args:
        bundle_path: a folder or a .zip.
        threads: threads that the interpreter may use.
        beam: the beam size, for translators; by default 1.
        repeats: rounds over the texts, after one warm-up round.
        sentences: the most texts taken from the proof.
        source: language of the texts, for translators of several; by default that of the proof.
        target: language of the translations, as ``source``.

    Returns:
        ``latency_ms`` (median per text), ``latency_p90_ms``, ``ms_per_token``, ``tokens_per_second`` (tokens
        that are written or that an encoder reads, special ones counted), ``peak_memory_bytes`` (of the whole
        process, None where the system does not report it), ``file_bytes`` (the model), ``bundle_bytes``,
        ``load_ms``, ``bandwidth_bytes_per_second``, and what was measured: ``sentences``, ``tokens``,
        ``threads``, ``runtime``. For a translator or a generator also ``beam``, ``floor_ms_per_token`` and
        ``first_token_ms`` (median until the first piece of a streamed, greedy answer); for an encoder
        ``floor_ms`` of a text and ``buckets``, of which each has its length in ``tokens`` and the
        ``latency_ms`` and ``tokens_per_second`` of a text that fills it. A model of arrays has ``examples``
        and ``examples_per_second`` instead of sentences and tokens, ``floor_ms`` of an example, and
        ``by_signature``: ``signature``, ``length`` (None where sizes are fixed), ``batch``, ``latency_ms``
        and ``examples_per_second``.

    Raises:
        BundleError: the bundle or its proof is not what it should be.
        InputError: ``beam`` or a language is given for anything but a translator, or is not known.
        MissingPackage: no interpreter is installed.
    """
    for name, value in (("repeats", repeats), ("sentences", sentences)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ArgumentError(f"{name} must be a whole number of at least 1, not {value!r}")
    begun = time.perf_counter()
    bundle = Bundle.open(bundle_path)
    at_once = (*ENCODER_TASKS, PREDICTION)
    task = load_opened(bundle, threads)
    load_ms = (time.perf_counter() - begun) * 1e3
    if beam is not None and not isinstance(task, Translator):
        raise InputError(
            f"--beam: {bundle_path} is for {bundle.manifest['task']}; only translators have a beam."
        )
    for name, code in (("--from", source), ("--to", target)):
        if code is not None and not isinstance(task, Translator):
            raise InputError(f"{name}: {bundle_path} is for {bundle.manifest['task']}, not for translation.")
    if isinstance(task, Translator):
        proven = bundle.manifest.get("languages", {}) if task.languages else {}
        pair = {"source": source or proven.get("source"), "target": target or proven.get("target")}
        translate = functools.partial(task.translate, beam=beam or 1, **pair)
        stream = functools.partial(task.stream, **pair)
        measured = {**_decodings(task, translate, stream, bundle, repeats, sentences), "beam": beam or 1}
    elif isinstance(task, Generator):
        measured = {**_decodings(task, task.generate, task.stream, bundle, repeats, sentences), "beam": 1}
    elif isinstance(task, Predictor):
        measured = _predictions(task, bundle, repeats, sentences)
    else:
        measured = _encodings(task, bundle, repeats, sentences)
    # Taken before the bandwidth, whose measurement needs memory of its own.
    measured["peak_memory_bytes"] = peak_memory_bytes()
    bandwidth = memory_bandwidth()
    floor = "floor_ms" if bundle.manifest["task"] in at_once else "floor_ms_per_token"
    name, version = runtime()
    return {
        **measured,
        "file_bytes": bundle.manifest["files"][MODEL]["bytes"],
        "bundle_bytes": sum(entry["bytes"] for entry in bundle.manifest["files"].values()),
        "load_ms": load_ms,
        "bandwidth_bytes_per_second": bandwidth,
        floor: weight_bytes(bundle) / bandwidth * 1e3,
        "threads": threads,
        "runtime": f"{name} {version}",
    }


def _decodings(
    task: Translator | Generator,
    answer: Callable[[str], Any],
    stream: Callable[[str], Any],
    bundle: Bundle,
    repeats: int,
    sentences: int,
) -> dict[str, Any]:
    proof = Proof.load(bundle.read(PROOF))
    end = task.tokenizer.special_ids["end"]

    def decode(text: str) -> int:
        best = answer(text).outputs[0]
        return len(best.ids) + (end not in best.ids)

    texts = [task.tokenizer.decode(proof.source(i).tolist()) for i in range(len(proof))]
    limit = task.max_source_tokens
    texts = [text for text in texts if text.strip() and len(task.tokenizer.encode(text)) <= limit]
    chosen = _spread(texts, sentences)
    measured = _timed(chosen, decode, repeats)
    firsts = [_median_ms(lambda text=text: next(stream(text), None), repeats, 0.0) for text in chosen]
    return {**measured, "first_token_ms": statistics.median(firsts)}


def _encodings(task: EncoderTask, bundle: Bundle, repeats: int, sentences: int) -> dict[str, Any]:
    proof = proof_kind(bundle.manifest["task"]).load(bundle.read(PROOF))

    def encode(text: str) -> int:
        ids = task.ids(text, truncate=True)
        task.encoder.run(ids)
        return len(ids)

    texts = [task.tokenizer.decode(proof.source(i).tolist()) for i in range(len(proof))]
    measured = _timed(_spread(texts, sentences), encode, repeats)
    measured["buckets"] = []
    for bucket in bundle.manifest["buckets"]:
        length = bucket["source"]
        ids = np.resize(proof.source(len(proof) - 1), length).tolist()
        latency = _median_ms(lambda ids=ids: task.encoder.run(ids), repeats)
        measured["buckets"].append(
            {"tokens": length, "latency_ms": latency, "tokens_per_second": length / latency * 1e3}
        )
    return measured


def _predictions(task: Predictor, bundle: Bundle, repeats: int, most: int) -> dict[str, Any]:
    interface = task.interface
    proof = PredictionProof.load(bundle.read(PROOF), interface)
    count = min(most, len(proof))
    chosen = [proof.example(int(i), interface) for i in np.linspace(0, len(proof) - 1, count).round()]
    times = [_median_ms(lambda each=each: task.outputs(each), repeats, 0.0) for each in chosen]
    longest = int(np.argmax(proof.lengths))
    by_signature = []
    for bucket in bundle.manifest["buckets"]:
        length = bucket["source"] if interface.variable else None
        for batch in sorted(map(int, bucket["predict"])):
            arrays = {
                field.name: np.resize(array[longest], (batch, *field.sized(length))).astype(field.dtype)
                for field, array in zip(interface.inputs, proof.inputs, strict=True)
            }
            latency = _median_ms(lambda arrays=arrays: task.outputs(arrays), repeats)
            by_signature.append(
                {
                    "signature": bucket["predict"][str(batch)],
                    "length": length,
                    "batch": batch,
                    "latency_ms": latency,
                    "examples_per_second": batch / latency * 1e3,
                }
            )
    return {
        "latency_ms": statistics.median(times),
        "latency_p90_ms": float(np.percentile(times, 90)),
        "examples_per_second": len(times) / sum(times) * 1e3,
        "examples": len(times),
        "by_signature": by_signature,
    }


def _spread(texts: list[str], count: int) -> list[str]:
    """Return at most ``count`` of the texts, spread over the lengths."""
    texts = sorted((text for text in texts if text.strip()), key=len)
    chosen = np.unique(np.linspace(0, len(texts) - 1, min(count, len(texts))).round().astype(int))
    return [texts[i] for i in chosen] or ["1"]


def _timed(texts: Sequence[str], answer: Callable[[str], int], repeats: int) -> dict[str, Any]:
    """Time the answers to texts; ``answer`` returns the number of tokens that it wrote or read."""
    times: list[list[float]] = [[] for _ in texts]
    tokens = 0
    for round_number in range(repeats + 1):
        for text, own in zip(texts, times, strict=True):
            begun = time.perf_counter()
            count = answer(text)
            if round_number:
                own.append((time.perf_counter() - begun) * 1e3)
                tokens += count
    medians = [statistics.median(own) for own in times]
    spent = sum(map(sum, times))
    return {
        "latency_ms": statistics.median(medians),
        "latency_p90_ms": float(np.percentile(medians, 90)),
        "ms_per_token": spent / tokens,
        "tokens_per_second": tokens / spent * 1e3,
        "sentences": len(texts),
        "tokens": tokens // repeats,
    }


def _median_ms(run: Callable[[], Any], repeats: int, seconds: float = _LONG_ENOUGH) -> float:
    """Return the median time of at least ``repeats`` runs and ``seconds``, after a warm-up run."""
    run()
    times: list[float] = []
    while len(times) < repeats or sum(times) < seconds:
        begun = time.perf_counter()
        run()
        times.append(time.perf_counter() - begun)
    return statistics.median(times) * 1e3


def weight_bytes(bundle: Bundle) -> int:
    """Estimate the bytes of a model's file that each step or text reads.

    A classifier or sentence encoder looks up a few rows of its embedding table, so that the table does not
    count; where it is the output layer as well, all of it is read.
    """
    manifest = bundle.manifest
    file_bytes = manifest["files"][MODEL]["bytes"]
    parameters = (manifest.get("made_from") or {}).get("parameters")
    if manifest["task"] not in ENCODER_TASKS or manifest["task"] == "masked-lm" or not parameters:
        return file_bytes
    backbone = manifest["model"]["config"]["backbone"]["config"]
    table = backbone["vocabulary_size"] * backbone["hidden_dim"]
    return round(file_bytes * (1 - table / parameters))


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
    """Return the most memory this process has held, or None where the system does not report it."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def as_lines(figures: dict[str, Any]) -> str:
    """Return the figures as text."""
    return "\n".join(f"{name:<13} {line}" for name, line in named_figures(figures))


def named_figures(figures: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the figures as pairs of a name and a value to print."""
    bandwidth = figures["bandwidth_bytes_per_second"]
    common = [
        ("size", "model {file_bytes:,} bytes, bundle {bundle_bytes:,} bytes, loaded in {load_ms:.0f} ms"),
        ("peak memory", _peak(figures["peak_memory_bytes"])),
    ]
    if "by_signature" in figures:
        lines = [*_of_arrays(figures, bandwidth), *common]
    else:
        lines = [*_of_texts(figures, bandwidth), *common]
    return [(name, line.format(**figures)) for name, line in lines]


def _peak(peak: int | None) -> str:
    return "not reported by this system" if peak is None else f"{peak / 1e6:.0f} MB"


def _of_arrays(figures: dict[str, Any], bandwidth: float) -> list[tuple[str, str]]:
    def name(each: dict[str, Any]) -> str:
        together = f"{each['batch']} together" if each["batch"] > 1 else ""
        length = "" if each["length"] is None else f"length {each['length']}"
        return " × ".join(part for part in (length, together) if part) or "one example"

    return [
        ("measured", "{examples} examples, {threads} thread(s), {runtime}"),
        ("latency", "median {latency_ms:.2f} ms per example; 90 % take at most {latency_p90_ms:.2f} ms"),
        ("speed", "{examples_per_second:,.0f} examples/s, one by one"),
        *(
            (name(each), f"{each['latency_ms']:.2f} ms, {each['examples_per_second']:,.0f} examples/s")
            for each in figures["by_signature"]
        ),
        ("floor", f"{{floor_ms:.3f}} ms per example: the weights read once at {bandwidth / 1e9:.1f} GB/s"),
    ]


def _of_texts(figures: dict[str, Any], bandwidth: float) -> list[tuple[str, str]]:
    encodes = "buckets" in figures
    each, unit = ("text", "") if encodes else ("sentence", "_per_token")
    beam = "" if encodes else ", beam {beam}"
    return [
        ("measured", f"{{sentences}} {each}s{beam}, {{threads}} thread(s), {{runtime}}"),
        ("latency", f"median {{latency_ms:.2f}} ms per {each}; 90 % take at most {{latency_p90_ms:.2f}} ms"),
        *(() if encodes else [("first token", "{first_token_ms:.2f} ms until a streamed answer begins")]),
        ("speed", "{tokens_per_second:,.0f} tokens/s, {ms_per_token:.3f} ms per token"),
        *(
            (f"{bucket['tokens']} tokens", f"{bucket['latency_ms']:.2f} ms, "
             f"{bucket['tokens_per_second']:,.0f} tokens/s")
            for bucket in figures.get("buckets", ())
        ),
        (
            "floor",
            f"{{floor_ms{unit}:.3f}} ms per {'text' if encodes else 'token'}: the weights read once at "
            f"{bandwidth / 1e9:.1f} GB/s",
        ),
    ]  # fmt: skip
