"""The base of every export's proof run: checks that must pass, and the bundle's contents."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from keras_attn.child_process import run_python
from keras_attn.device.files.bundle import FORMAT_VERSION, SHORTLIST
from keras_attn.device.proof.checks import Check
from keras_attn.device.proof.text_proof import settings_digest
from keras_attn.errors import KerasAttnError
from keras_attn_export.buckets import Bucket
from keras_attn_export.proof.report import checks_json, report_json, report_markdown
from keras_attn_export.proof.text_references import make_texts
from keras_attn_export.recipes import FP32, LITERT, LITERT_WEB, TENSORFLOW, TENSORFLOW_TEXT, Recipe
from keras_attn_export.shortlist_lexicon import SizedShortlist
from keras_attn_export.tflite.convert import Converted
from keras_attn_export.tflite.inspection import TEXT_OPERATORS, check_model, inspect_model
from keras_attn_export.tflite.int4_selection import Measured


class ExportError(KerasAttnError, RuntimeError):
    """A check of the proof run failed, and no bundle was written.

    Attributes:
        check: name of the check.
        detail: the figures, and where they fail.
        checks: all checks up to it, as in `report.json`.
    """

    exit_code = 1

    def __init__(self, check: str, detail: str, checks: Sequence[Check] = ()) -> None:
        super().__init__(f"the export failed at {check}: {detail}")
        self.check = check
        self.detail = detail
        self.checks = checks_json(checks)


# In a tokenizer's patterns, as JSON has it: JavaScript's regular expressions do not support it. The language
# tokens of MarianMT's models are read with it.
_UNSUPPORTED_IN_JS = rb"\\K"


@dataclass(frozen=True)
class Settings:
    """The extent of the measurements.

    Attributes:
        buckets: lengths that became signatures, ascending.
        sentences: held-out texts that `proof.npz` carries.
        metric_sentences: held-out texts on which every model is scored.
        beam: the largest beam size.
        seed: random seed of the generated inputs.
        short: the translator's shortlist; `None` for none.
        mediapipe: whether there is also a file for MediaPipe's tasks.
    """

    buckets: Sequence[Bucket]
    sentences: int
    metric_sentences: int
    beam: int
    seed: int
    short: SizedShortlist | None = None
    mediapipe: bool = False


class ProofRun:
    """Runs check by check on files that it leaves as they are; subclasses say what is measured.

    Args:
        source: the `Source` that is exported.
        recipe: of the quantized file.
        layout: the manifest's `buckets`.
        converted: the files.
        settings: the extent of the measurements.
        progress: called with a line at the start of each stage.

    Attributes:
        checks: what was checked so far.
        other_files: files for other programs that the bundle gets as well, by name.
    """

    def __init__(
        self,
        source: Any,
        recipe: Recipe,
        layout: Sequence[Mapping[str, Any]],
        converted: Converted,
        settings: Settings,
        progress: Callable[[str], None],
    ) -> None:
        self.source, self.recipe, self.layout, self.converted = source, recipe, list(layout), converted
        self.settings, self.progress = settings, progress
        self.checks: list[Check] = []
        self.latency: dict[str, dict[str, Any]] = {}
        self.other_files: dict[str, Path] = {}

    @property
    def files(self) -> dict[str, tuple[Path, Recipe]]:
        """The .tflite files under test, the fp32 lowering first."""
        files = {"fp32": (self.converted.fp32, FP32)}
        if self.recipe.quantized:
            files[self.recipe.name] = (self.converted.quantized, self.recipe)
        return files

    @property
    def in_graph(self) -> bool:
        """Whether there are signatures that begin with the text itself."""
        return any("text" in bucket for bucket in self.layout)

    @property
    def runtimes(self) -> list[str]:
        """Runtimes that compute the file correctly."""
        # No other runtime is known to load a file with custom operators.
        listed = [LITERT, TENSORFLOW] if self.in_graph else self.recipe.runtimes
        if any(_UNSUPPORTED_IN_JS in content for content in self.source.tokenizer_files.values()):
            return [each for each in listed if each != LITERT_WEB]
        return list(listed)

    def run(self) -> Any:
        """Measure everything; return the proof for the bundle.

        Raises:
            ExportError: at the first check that fails.
        """
        raise NotImplementedError

    def measured(self, file: Path) -> Measured:
        """Measure a quantized file that may be chosen: what is quick enough to be tried with each matrix."""
        raise NotImplementedError

    def passes(self, file: Path) -> bool:
        """Return whether a quantized file that may be chosen passes the checks that take longest."""
        raise NotImplementedError

    def facts(self) -> dict[str, Any]:
        """Return what the manifest says about this task only."""
        raise NotImplementedError

    def require(self, *checks: Check) -> None:
        """Record checks.

        Raises:
            ExportError: one fails.
        """
        for check in checks:
            self.checks.append(check)
            if not check.ok:
                raise ExportError(check.name, check.detail, self.checks)

    def contents(self, proof: Any) -> tuple[dict[str, Any], dict[str, bytes | Path]]:
        """Return the manifest and the files of the bundle."""
        info = inspect_model(self.converted.quantized)
        model = {"class_name": self.source.class_name, "config": self.source.config}
        versions = {**self.converted.versions, "keras": version("keras")}
        manifest = {
            "format_version": FORMAT_VERSION,
            "model": model,
            "special_ids": self.source.special_ids,
            "recipe": self.recipe.name,
            "signatures": _describe(info),
            "buckets": self.layout,
            "max_source_tokens": self.layout[-1]["source"],
            "made_from": self.source.made_from,
            "versions": versions,
            "runtimes": self.runtimes,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            **self.facts(),
        }
        if self.in_graph:
            manifest["text_signatures"] = {
                "names": [bucket["text"] for bucket in self.layout],
                "operators": sorted(TEXT_OPERATORS),
                "from": TENSORFLOW_TEXT,
            }
        text_files = self.source.tokenizer_files
        if self.settings.short is not None:
            text_files = {**text_files, SHORTLIST: self.settings.short.shortlist.to_bytes()}
        files: dict[str, bytes | Path] = {
            "model.tflite": self.converted.quantized,
            **text_files,
            **self.other_files,
            "proof.npz": self.sealed(proof, manifest, text_files).to_bytes(),
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
            "runtimes": self.runtimes,
        }
        files["report.json"] = report_json(facts, self.checks)
        files["report.md"] = report_markdown(facts, self.checks)
        return manifest, files

    def sealed(self, proof: Any, manifest: Mapping[str, Any], files: Mapping[str, bytes]) -> Any:
        """Return the proof with what proves a bundle's other files: its tokenizer, and the manifest."""
        texts = dataclasses.replace(make_texts(self.source, files), settings=settings_digest(manifest))
        return dataclasses.replace(proof, texts=texts.to_array())


def operators(name: str, file: Path, recipe: Recipe, in_graph: bool = False) -> Check:
    """Check a file's operators, types and shapes; `in_graph` allows those of the tokenizer."""
    info = inspect_model(file)
    problems = check_model(info, recipe.dtypes, in_graph)
    but = " but tensorflow-text's, which only signatures of texts have" if in_graph else ""
    detail = "; ".join(problems) or f"{sum(info.operators.values())} operators, all built in{but}"
    return Check(f"{name} operators", not problems, detail, info.as_json())


def named(check: Check, name: str) -> Check:
    """Return a check with the name of the file before its own."""
    check.name = f"{name} {check.name}"
    return check


def latency(milliseconds: Sequence[float], tokens: int) -> dict[str, Any]:
    """Return the report's figures for texts that were run one by one and have `tokens` tokens in all."""
    return {
        "median_ms": float(np.median(milliseconds)),
        "p90_ms": float(np.percentile(milliseconds, 90)),
        "tokens_per_second": 1000 * tokens / sum(milliseconds),
        "sentences": len(milliseconds),
        "threads": 1,
    }


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
from keras_attn.child_process import end_with_parent
from keras_attn.device.runtime.interpreter import Model
end_with_parent()
model = Model(sys.argv[1])
for name in model.signatures:
    if not model.takes_text(name):
        model.signature(name).run()
status = Path("/proc/self/status").read_text()
print(1024 * int(status.partition("VmHWM:")[2].split()[0]))
"""


def _peak_memory(file: Path) -> int | None:
    """Return the peak memory of a process that has run every signature; `None` where it cannot be read."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry or os.getcwd() for entry in sys.path)}
    done = run_python(["-c", _PEAK, str(file)], environment)
    return int(done.stdout) if done.returncode == 0 and done.stdout.strip().isdecimal() else None
