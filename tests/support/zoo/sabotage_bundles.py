"""Changes finished bundles of nine models in one thing each, and prints by what it was found.

Usage: python -m zoo.sabotage_bundles
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from zoo.case import WORDS
from zoo.export_zoo import converting_once
from zoo.sabotage_zoo import masks_dropped, rewritten

MODELS = {
    "masked_lstm": ("weight", "output", "vocabulary", "mask"),
    "keras_transformer": ("weight", "output"),
    "adapted": ("weight", "output"),
    "bidirectional_tagger": ("weight", "output", "mask"),
    "towers": ("weight", "output", "mask"),
    "masked_series": ("output",),
    "residual": ("weight", "output"),
    "mixed_inputs": ("weight", "output"),
    "nested_outputs": ("weight", "output"),
}
TEXTS = ("masked_lstm",)
"""Exported as classifiers of texts, with a tokenizer of letters."""


def main() -> None:
    """Print a line of JSON for each model and change."""
    for name, changes in MODELS.items():
        for change, found in found_in(name, changes).items():
            print(json.dumps({"name": f"{name} {change}", "found": found}), flush=True)


def found_in(name: str, changes: tuple[str, ...]) -> dict[str, str]:
    """Export a model and change its bundle; return the error, or the checks that fail, by change."""
    import keras
    from keras_attn_export.proof.proof_run import ExportError

    import keras_attn
    from zoo import cases

    keras.utils.set_random_seed(7)
    case = cases()[name]
    model, more = case.build(), {"lengths": case.lengths} if case.lengths else {}
    if name in TEXTS:
        more |= {
            "tokenizer": letters(),
            "labels": ["a", "b", "c"],
            "examples": ["bad egg", "fig", "a cab is"],
        }
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        with converting_once(Path(folder)):
            bundle = keras_attn.export(model, Path(folder, "bundle"), "fp32", **more)
        assert fails(bundle) == "", "the bundle as it is"
        for change in changes:
            if change in IN_BUNDLE:
                file, changed = IN_BUNDLE[change]
                content = {file: changed(bundle.read(file))}
                found[change] = fails(rewritten, bundle, Path(folder, change), bundle.manifest, content)
                continue
            again = Path(folder, "again")
            again.mkdir()
            with converting_once(again), masks_dropped(), attention_masks_dropped():
                try:
                    keras_attn.export(model, Path(folder, "unmasked"), "fp32", **more)
                    found[change] = ""
                except ExportError as error:
                    found[change] = f"export: {error.check}"
    return found


def fails(bundle: Any, *arguments: Any) -> str:
    """Return why `verify` refuses a bundle, or what makes one; empty if it holds."""
    from keras_attn.device.errors import BundleError
    from keras_attn.device.proof.verify import verify

    try:
        made = bundle(*arguments) if arguments else bundle
        return "; ".join(f"verify: {each.name}" for each in verify(made.path).checks if not each.ok)
    except BundleError as error:
        return f"verify: {error}"


def letters() -> Any:
    """Return a tokenizer with a token for each letter, as many as the models have rows."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokens = ["<pad>", "<unk>", *"abcdefghijklmnopqrstuvwxyz ."][:WORDS]
    raw = Tokenizer(models.WordLevel({token: i for i, token in enumerate(tokens)}, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    return raw


def weight_swapped(content: bytes) -> bytes:
    """Return a file whose largest matrix has its rows in the opposite order."""
    from keras_attn_export.tflite.edited_model import EditedModel

    model, matrices = EditedModel(content), {}
    for graph in model.graphs:
        for index in range(len(graph.graph.tensors)):
            values = graph.values(index)
            if values is not None and values.dtype == np.float32 and values.ndim > 1 and values.any():
                matrices[values.tobytes()] = values
    matrix = max(matrices.values(), key=lambda each: each.size)
    axis = int(np.argmax(matrix.shape))  # others may have size 1
    return content.replace(matrix.tobytes(), np.flip(matrix, axis).tobytes())


def outputs_renamed(content: bytes) -> bytes:
    """Return a file whose signatures call an output by another's name, or by one that there is not."""
    from keras_attn_export.tflite.edited_model import EditedModel

    model = EditedModel(content)
    for definition in model.model.signatureDefs:
        outputs = definition.outputs
        if len(outputs) == 1:
            outputs[0].name = b"other"
        else:
            outputs[0].name, outputs[1].name = outputs[1].name, outputs[0].name
    return model.packed()


def vocabulary_swapped(content: bytes) -> bytes:
    """Return a tokenizer in which two words have each other's ids."""
    tokenizer = json.loads(content)
    vocabulary = tokenizer["model"]["vocab"]
    one, other = sorted(vocabulary, key=vocabulary.__getitem__)[2:4]
    vocabulary[one], vocabulary[other] = vocabulary[other], vocabulary[one]
    return json.dumps(tokenizer).encode()


def attention_masks_dropped() -> Any:
    """Trace attention without masks."""
    from keras_attn_export.tracing import fewer_operators as module

    return mock.patch.multiple(
        module,
        _masked_scores=lambda scores, mask, bias=None: scores,
        _softmax=lambda self, call, inputs, mask=None: call(self, inputs),
        _apply_masks=lambda logits, mask, is_causal: logits,
    )


IN_BUNDLE: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "weight": ("model.tflite", weight_swapped),
    "output": ("model.tflite", outputs_renamed),
    "vocabulary": ("tokenizer.json", vocabulary_swapped),
}
"""What changes a file of a bundle."""


if __name__ == "__main__":
    main()
