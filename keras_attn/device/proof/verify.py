"""Repeats a bundle's proof on this machine and this interpreter, check by check."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from keras_attn.device.errors import BundleError, InputError
from keras_attn.device.files.bundle import PROOF, SHORTLIST, Bundle
from keras_attn.device.files.bundle_tokenizer import read_tokenizer
from keras_attn.device.files.interface import Interface
from keras_attn.device.proof.batch_proof import measure_batch
from keras_attn.device.proof.checks import (
    Check,
    judge,
    judge_encoder,
    judge_exchanged,
    judge_one_call,
    judge_shortlist,
    judge_shuffled,
    judge_texts,
    judge_tokenizer,
)
from keras_attn.device.proof.decoder_proof import Figures, Proof, measure, shuffled_change
from keras_attn.device.proof.encoder_proof import exchanged_texts, measure_encoder, proof_kind
from keras_attn.device.proof.one_call_proof import measure_one_call
from keras_attn.device.proof.prediction_proof import (
    PredictionProof,
    judge_prediction,
    judge_settings,
    measure_prediction,
)
from keras_attn.device.proof.preprocessing_proof import judge_preprocessing
from keras_attn.device.proof.shortlist_proof import measure_shortlist
from keras_attn.device.proof.text_proof import TextProof, measure_texts, replaced_files
from keras_attn.device.proof.tokenizer_proof import measure_tokenizer_apart
from keras_attn.device.runtime.encoder import RESULTS, LiteRTEncoder
from keras_attn.device.runtime.interpreter import Model
from keras_attn.device.runtime.litert import runtime, text_operators
from keras_attn.device.search.decoder import LiteRTStepModel
from keras_attn.device.search.language_model import step_model_class
from keras_attn.device.search.one_call import OneCall
from keras_attn.device.search.shortlist import Shortlist, ShortlistedStepModel
from keras_attn.device.task_names import ENCODER_TASKS, PREDICTION
from keras_attn.device.tasks.predictor import Predictor, read_preprocessing


@dataclass
class Report:
    """The checks of a proof run; it ends early with a check whose failure makes the next ones impossible."""

    bundle: str
    runtime: str
    checks: list[Check] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether every check held."""
        return bool(self.checks) and all(check.ok for check in self.checks)

    def to_json(self) -> dict[str, Any]:
        """Return what ``--json`` prints."""
        checks = [{"name": r.name, "ok": r.ok, "detail": r.detail, "figures": r.figures} for r in self.checks]
        return {"ok": self.ok, "bundle": self.bundle, "runtime": self.runtime, "rungs": checks}

    def __str__(self) -> str:
        lines = [f"{'ok  ' if check.ok else 'FAIL'} {check.name:<10} {check.detail}" for check in self.checks]
        verdict = "The proof holds" if self.ok else "The proof FAILS"
        return "\n".join([*lines, f"{verdict} for {self.bundle} on {self.runtime}."])


def verify(bundle_path: str | os.PathLike[str], threads: int = 1) -> Report:
    """Repeat the proof of a bundle.

    Args:
        bundle_path: a folder or a .zip.
        threads: threads that the interpreter may use.

    Returns:
        The Report. A faulty bundle makes a check fail, and raises nothing.

    Raises:
        BundleError: there is nothing at ``bundle_path``.
        MissingPackage: no interpreter is installed.
    """
    if not os.path.exists(bundle_path):
        raise BundleError(f"There is no bundle at {os.fspath(bundle_path)}.")
    name, version = runtime()
    report = Report(os.fspath(bundle_path), f"{name} {version}")
    opened: dict[str, Any] = {}

    def files() -> Check:
        bundle = opened["bundle"] = Bundle.open(bundle_path)
        if bundle.manifest["task"] == PREDICTION:
            interface = Interface.from_json(bundle.manifest["interface"])
            opened["proof"] = PredictionProof.load(bundle.read(PROOF), interface)
        else:
            task = bundle.manifest["task"]
            kind = proof_kind(task) if task in ENCODER_TASKS else Proof
            opened["proof"] = kind.load(bundle.read(PROOF))
        total = sum(entry["bytes"] for entry in bundle.manifest["files"].values())
        count = len(bundle.manifest["files"])
        return Check("files", True, f"{count} files, {total:,} bytes, hashes right", {"bytes": total})

    def signatures() -> Check:
        bundle = opened["bundle"]
        bundle.check_runtime(name, version)
        model = Model(bundle.model(), threads=threads, name=f"{bundle_path}/model.tflite")
        check_signatures(model, bundle.manifest["signatures"])
        task, buckets, special_ids = (bundle.manifest[key] for key in ("task", "buckets", "special_ids"))
        if task == PREDICTION:
            interface = Interface.from_json(bundle.manifest["interface"])
            subject = Predictor(model, buckets, interface, read_preprocessing(bundle))
        elif task in ENCODER_TASKS:
            subject = LiteRTEncoder(model, buckets, special_ids["pad"], special_ids["end"])
        else:
            subject = step_model_class(task)(model, buckets, special_ids["pad"])
        opened["subject"], opened["one call"], opened["short"] = subject, None, None
        subject.prepare()
        if SHORTLIST in bundle.manifest["files"]:
            shortlist = Shortlist.from_bytes(bundle.read(SHORTLIST), f"{bundle_path}/{SHORTLIST}")
            opened["short"] = ShortlistedStepModel(model, buckets, special_ids["pad"], shortlist)
            opened["short"].prepare()
        if any("one_call" in bucket for bucket in buckets):
            opened["one call"] = OneCall(model, buckets, special_ids)
            opened["one call"].prepare()
        return Check("signatures", True, f"{len(model.signatures)} signatures, shapes and roles right")

    def numbers() -> list[Check]:
        subject, proof = opened["subject"], opened["proof"]
        if isinstance(subject, Predictor):
            found, exchanged = measure_prediction(subject, proof)
            return [*judge_prediction(found, proof), exchanged]
        proof.check_width(scores_width(opened["bundle"].manifest))
        if isinstance(subject, LiteRTEncoder):
            figures = measure_encoder(subject, proof)
            changes = exchanged_texts(subject, proof)
            return [
                *judge_encoder(figures, proof),
                judge_exchanged(changes, figures.mean_error),
                *tokenizers(subject),
            ]
        special_ids = opened["bundle"].manifest["special_ids"]
        measured = measure_all(subject, proof, special_ids)
        change = shuffled_change(subject.for_length, proof, special_ids)
        checks = [*judge(measured, proof), judge_shuffled(change, next(iter(measured.values())))]
        if opened["one call"] is not None:
            force_end = opened["bundle"].manifest.get("search", {}).get("force_end", False)
            found = measure_one_call(opened["one call"], subject, proof, special_ids, force_end)
            checks.append(judge_one_call(found, proof.mean_error))
        if opened["short"] is not None:
            found = [
                measure_shortlist(opened["short"], subject, proof, special_ids, rows)
                for rows in subject.row_counts
            ]
            checks.append(judge_shortlist(found, proof.max_error, proof.mean_error))
        return checks

    def tokenizers(encoder: LiteRTEncoder) -> list[Check]:
        if not encoder.reads_text:
            return []
        if text_operators() is None:
            detail = "the tokenizer in the graph was not compared: tensorflow-text is not installed"
            return [Check("tokenizer", True, detail, {"texts": 0})]
        return [judge_tokenizer(measure_tokenizer_apart(bundle_path), opened["proof"].max_error)]

    def texts() -> Check | list[Check]:
        if isinstance(opened["subject"], Predictor):
            proof, manifest = opened["proof"], opened["bundle"].manifest
            made = judge_preprocessing(proof, opened["subject"].preprocessing, manifest["files"])
            return [made, judge_settings(proof, manifest)]
        bundle, written = opened["bundle"], opened["proof"].texts
        if not written.size:
            detail = "the proof has no texts, so the tokenizer cannot be checked; export the bundle again"
            return Check("texts", False, detail)
        proof = TextProof.from_array(written)
        figures = measure_texts(read_tokenizer(bundle), proof)
        return judge_texts(figures, replaced_files(bundle, proof))

    steps = (("files", files), ("signatures", signatures), ("scores", numbers), ("texts", texts))
    for title, step in steps:
        if not _run_checks(report, title, step):
            break
    return report


def _run_checks(report: Report, title: str, step: Callable[[], Check | list[Check]]) -> bool:
    try:
        checks = step()
    except (BundleError, InputError, ValueError) as error:
        report.checks.append(Check(title, False, str(error)))
        return False
    report.checks.extend([checks] if isinstance(checks, Check) else checks)
    return True


def check_signatures(model: Model, described: dict[str, Any]) -> None:
    """Compare a model's signatures with those that a manifest describes.

    Raises:
        BundleError: names the signature and the tensor that differs.
    """
    if sorted(described) != model.signatures:
        raise BundleError(
            f"{model.name} has the signatures {', '.join(model.signatures)}, and the manifest "
            f"{', '.join(sorted(described))}."
        )
    for name in model.signatures:
        if model.takes_text(name):
            continue  # Its operators may not be installed; the tokenizer's check runs it.
        signature = model.signature(name)
        for side, views in (("inputs", signature.inputs), ("outputs", signature.outputs)):
            found = {k: {"shape": list(view.shape), "dtype": view.dtype.name} for k, view in views.items()}
            wanted = {k: {"shape": v["shape"], "dtype": v["dtype"]} for k, v in described[name][side].items()}
            for tensor in sorted(found.keys() | wanted.keys()):
                if found.get(tensor) != wanted.get(tensor):
                    raise BundleError(
                        f"{model.name}: signature {name!r}, {side[:-1]} {tensor!r} is {found.get(tensor)}, "
                        f"and the manifest says {wanted.get(tensor)}."
                    )


def scores_width(manifest: Mapping[str, Any]) -> int:
    """Return the number of scores, or values of an embedding, of a text, a token or a step of a bundle."""
    bucket, signatures = manifest["buckets"][0], manifest["signatures"]
    by_rows = () if manifest["task"] in ENCODER_TASKS else bucket["steps"].values()
    if manifest["task"] == "question-answering":  # one for each token
        bucket = manifest["buckets"][-1]
    names = [bucket["encode"], *(name for by_target in by_rows for name in by_target.values())]
    found = [signatures[name]["outputs"].get(role) for name in names for role in RESULTS]
    return min((spec["shape"][-1] for spec in found if spec and spec["shape"]), default=0)


def measure_all(steps: LiteRTStepModel, proof: Proof, special_ids: Mapping[str, int]) -> dict[str, Figures]:
    """Measure steps with every number of rows, such as "5", and batches, such as "16x5"."""
    counts = steps.row_counts
    single = {
        str(rows): measure(steps.for_length, proof, special_ids, rows=rows, greedy=rows == counts[0])
        for rows in counts
    }
    batches = {
        f"{batch.sentences}x{batch.beams}": measure_batch(batch, proof, special_ids)
        for batch in steps.batches
    }
    return single | batches
