"""The length to which a checkpoint's own library truncates texts."""

from pathlib import Path
from typing import Any

from keras_attn.pretrained.architectures.sentence_encoders import is_sentence_encoder, read_encoder_options
from keras_attn.pretrained.checkpoint import read_json
from keras_attn.pretrained.errors import PretrainedError

TOKENIZER_OPTIONS = "tokenizer_config.json"
# transformers writes 1e30 for a tokenizer without a limit.
NO_LIMIT = 10**20


def longest_text(folder: Path) -> int | None:
    """Return the maximum number of tokens of a text, including special ones, or `None` without a limit.

    sentence-transformers truncates longer texts by default, transformers only with `truncation=True`.

    Raises:
        PretrainedError: if the limit is not a number, or texts are truncated at their beginning.
    """
    if is_sentence_encoder(folder):
        options, problems = read_encoder_options(folder)
        if problems:
            raise PretrainedError("\n  ".join([f"{folder} cannot be loaded:", *problems]))
        if options["max_seq_length"] is not None:
            return options["max_seq_length"]
    path = folder / TOKENIZER_OPTIONS
    config: dict[str, Any] = read_json(path) if path.is_file() else {}
    if config.get("truncation_side") not in (None, "right"):
        raise PretrainedError(
            f"{path}: option truncation_side={config['truncation_side']!r} is not supported (only 'right')."
        )
    name = next((name for name in ("model_max_length", "max_len") if config.get(name) is not None), None)
    if name is None:
        return None
    limit = config[name]
    if isinstance(limit, bool) or not isinstance(limit, int | float) or not limit >= 1:
        raise PretrainedError(f"{path}: option {name}={limit!r} must be a number of at least 1.")
    return None if limit > NO_LIMIT else int(limit)
