"""The proof of a file for MediaPipe: its outputs, and the texts that MediaPipe splits otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from keras_attn.device.proof.checks import Check
from keras_attn.device.proof.tokenizer_proof import HARD_TEXTS
from keras_attn.device.runtime.encoder import Encoder
from keras_attn.device.runtime.interpreter import Model
from keras_attn.device.text.tokenizer import EncoderTokenizer
from keras_attn_export.mediapipe.file import OUTPUTS, SIGNATURE
from keras_attn_export.mediapipe.tokenizing import MediaPipeTokenizer
from keras_attn_export.proof.references import spread

_MAX_ERROR = 1e-5


class MediaPipeFile:
    """A file for MediaPipe, run as MediaPipe runs it.

    Args:
        path: of the file.
        task: `"classification"` or `"embedding"`.
        lines: of its vocab.txt.
    """

    def __init__(self, path: Path, task: str, lines: Sequence[str]) -> None:
        self._signature = Model(path, name="mediapipe").signature(SIGNATURE)
        self._output, self._tokenizer = OUTPUTS[task], MediaPipeTokenizer(lines)
        self.length = self._signature.inputs["ids"].shape[1]

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text, which end where the file does."""
        ids = self._tokenizer.encode(text)
        return ids if len(ids) <= self.length else [*ids[: self.length - 1], ids[-1]]

    def run(self, ids: Sequence[int]) -> np.ndarray:
        """Return the probabilities (C,) or the embedding (D,) of ids."""
        for view in self._signature.inputs.values():
            view[...] = 0
        self._signature.inputs["ids"][0, : len(ids)] = ids
        self._signature.inputs["mask"][0, : len(ids)] = 1
        self._signature.run()
        return self._signature.outputs[self._output][0].copy()


def output_check(
    file: MediaPipeFile, encoder: Encoder, task: str, multi_label: bool, texts: Sequence[str]
) -> Check:
    """Compare a file's outputs with the bundle's, for the ids that MediaPipe makes.

    Args:
        file: under test.
        encoder: over the bundle's file.
        task: `"classification"` or `"embedding"`.
        multi_label: whether a classifier's labels exclude each other.
        texts: held-out ones; besides them there are hard ones.
    """
    worst, chosen = 0.0, [*HARD_TEXTS, *texts]
    for text in chosen:
        ids = file.encode(text)
        expected = encoder.run(ids)
        if task == "classification":
            expected = np.exp(expected if multi_label else expected - np.logaddexp.reduce(expected))
        worst = max(worst, float(np.abs(file.run(ids) - expected).max() / max(1.0, np.abs(expected).max())))
    what = "probabilities" if task == "classification" else "vectors"
    detail = (
        f"largest difference of {what} {worst:.3g} of {_MAX_ERROR:.3g} accepted, over {len(chosen)} texts"
    )
    return Check("mediapipe outputs", worst <= _MAX_ERROR, detail, {"max_error": worst, "texts": len(chosen)})


def tokens_check(
    file: MediaPipeFile, tokenizer: EncoderTokenizer, texts: Sequence[str], prompt: str = ""
) -> Check:
    """Count the held-out texts that MediaPipe cuts, and that it splits otherwise than tokenizer.json.

    Their answers differ from those of the bundle. The check fails where not even half of the texts that are
    not cut are split alike: then the file is not for such texts.

    Args:
        file: under test.
        tokenizer: of the bundle.
        texts: held-out ones; `HARD_TEXTS` where there are none.
        prompt: what the bundle puts before a text by default, and MediaPipe does not.
    """
    chosen, kind = (texts, "held-out") if texts else (HARD_TEXTS, "hard")
    cut, different = 0, []
    for text in chosen:
        ids = tokenizer.encode(text)
        if len(ids) > file.length:
            cut += 1
        if tokenizer.cut(ids, file.length) != file.encode(text):
            different.append(text)
    count, equal = len(chosen), len(chosen) - len(different)
    detail = (
        f"{equal} of {count} {kind} texts have tokenizer.json's ids; MediaPipe cuts {cut} "
        f"({cut / count:.1%}) at {file.length} tokens, and splits {len(different)} "
        f"({len(different) / count:.1%}) otherwise"
    )
    if different:
        detail += f", the first of them {_shortened(different[0])}"
    if not texts:
        detail += "; give examples of your texts for a share that counts"
    if prompt:
        detail += f"; the app must put {prompt!r} before each text"
    figures = {
        "texts": count,
        "equal": equal,
        "cut": cut,
        "different": len(different),
        "length": file.length,
        "first_different": different[0] if different else None,
    }
    return Check("mediapipe tokens", not texts or 2 * equal >= count, detail, figures)


def held_out(texts: Sequence[str | tuple[str, str]], count: int) -> list[str]:
    """Return some held-out texts, without pairs."""
    return spread([text for text in texts if isinstance(text, str)], count)


def _shortened(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
