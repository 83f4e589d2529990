"""Instructions for converting a pickled checkpoint, with its head and its tokenizer."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SENTENCE_ENCODER = "modules.json"
# With any of these, transformers finds a tokenizer.
TOKENIZERS = ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "vocab.json", "spiece.model")


def how_to_convert(folder: Path, pickle: str, config: Mapping[str, Any]) -> str:
    """Return why a pickle is not read, and the command that converts its folder into safetensors.

    Args:
        folder: of the checkpoint.
        pickle: name of the file.
        config: content of config.json, whose class has the head.
    """
    program = _program(folder, config)
    return (
        f"{pickle} is a pickle, which can run anybody's code and is not read here. Where you trust it, "
        f"convert it once: python -c {shlex.quote(program)} {shlex.quote(str(folder))} converted"
    )


def _program(folder: Path, config: Mapping[str, Any]) -> str:
    if (folder / SENTENCE_ENCODER).is_file():
        return (
            "import sys; from sentence_transformers import SentenceTransformer as S; "
            "S(sys.argv[1]).save_pretrained(sys.argv[2])"
        )
    classes = config.get("architectures")
    named = classes[0] if isinstance(classes, list) and classes else "AutoModel"
    # The name becomes part of a command that users run.
    loaders = [named if isinstance(named, str) and named.isidentifier() else "AutoModel"]
    if any((folder / name).is_file() for name in TOKENIZERS):
        loaders.append("AutoTokenizer")
    saves = "; ".join(f"{each}.from_pretrained(sys.argv[1]).save_pretrained(sys.argv[2])" for each in loaders)
    return f"import sys; from transformers import {', '.join(loaders)}; {saves}"
