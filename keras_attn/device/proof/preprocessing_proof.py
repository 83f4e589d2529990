"""The proof of preprocessing: examples of what a user gives, and the inputs that were made of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_attn.device.errors import BundleError
from keras_attn.device.preprocessing.preprocessing import Preprocessing
from keras_attn.device.proof.checks import Check
from keras_attn.device.proof.prediction_proof import PredictionProof


def raw_examples(
    inputs: Mapping[str, np.ndarray], preprocessing: Preprocessing, files: Mapping[str, bytes]
) -> np.ndarray:
    """Record what preprocessing makes of examples: see ``PredictionProof.raw``.

    Args:
        inputs: examples of what the user gives.
        preprocessing: the bundle's.
        files: contents of its tokenizers by name; examples do not have every word of a vocabulary.
    """
    made = {name: array.tolist() for name, array in preprocessing(inputs).items()}
    given = {name: np.asarray(array).tolist() for name, array in inputs.items()}
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    written = {"given": given, "made": made, "files": digests}
    return np.frombuffer(json.dumps(written).encode(), np.uint8)


def judge_preprocessing(
    proof: PredictionProof, preprocessing: Preprocessing | None, files: Mapping[str, Any]
) -> Check:
    """Check that preprocessing makes of the proof's examples what it made when the bundle was exported.

    Args:
        proof: the bundle's.
        preprocessing: the bundle's; None where there is none.
        files: the manifest's, with the hashes of the tokenizers.
    """
    if preprocessing is None:
        return Check("inputs", True, "the model takes arrays as they are")
    try:
        written = json.loads(proof.raw.tobytes())
        given = {name: np.array(values, object) for name, values in written["given"].items()}
        wanted = {name: np.array(values) for name, values in written["made"].items()}
        count = len(next(iter(given.values())))
        proven = dict(written.get("files", {}))  # bundles of earlier versions have none
    except (ValueError, TypeError, KeyError, AttributeError, StopIteration, RecursionError):
        raise BundleError("the proof's examples of what the user gives are damaged") from None
    found = preprocessing(given)
    other = [
        name
        for name in sorted(found.keys() | wanted.keys())
        if name not in found or name not in wanted or not np.array_equal(found[name], wanted[name])
    ]
    detail = f"{count} examples become the inputs of the export"
    if other:
        detail = f"input {other[0]!r} is not what it was in the export: a vocabulary or an option was changed"
    replaced = [name for name, digest in proven.items() if files.get(name, {}).get("sha256") != digest]
    if replaced and not other:
        other, detail = replaced, f"{replaced[0]} is not that of the export: a word of it was changed"
    return Check("inputs", not other, detail, {"examples": count})
