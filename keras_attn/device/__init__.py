"""What runs on the device: NumPy, tokenizers and a LiteRT interpreter, nothing else.

    load        a bundle -> an object with the methods of its task

    translator  text in, text out, over any step model
    text        token ids, pieces to show, sentences of long text
    search      greedy and beam search over any step model
    decoder     the step model over a bundle's signatures
    bundle      folder or .zip, manifest, hashes
    interpreter the one file that knows LiteRT
    verify      the bundle's proof, repeated on this machine
    benchmark   latency, memory, and the machine's floor
    errors      what can be wrong with a bundle or a text

``python -m keras_attn.device BUNDLE TEXT...`` runs a bundle from the command line.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keras_attn.device.translator import Translator

__all__ = ["load"]


def load(bundle: str | os.PathLike[str], threads: int = 1) -> Translator:
    """Load a bundle, a folder or a .zip, after checking all of it.

    Args:
        bundle: path of the bundle.
        threads: threads that the interpreter may use.

    Returns:
        A Translator: ``load("bundle").translate("…", beam=5).text``.

    Raises:
        BundleError: the bundle is missing, damaged, of another format, or not for this interpreter.
        ImportError: no interpreter is installed.
    """
    from keras_attn.device.bundle import Bundle
    from keras_attn.device.translator import Translator

    return Translator.from_bundle(Bundle.open(bundle), threads=threads)
