"""Folders of sentence-transformers: an encoder's folder with a list of modules that follow it."""

import json
from pathlib import Path
from typing import Any

import keras

from keras_attn.models import GPT2, Bert, TextEmbedder
from keras_attn.pretrained.checkpoint import read_json
from keras_attn.pretrained.errors import PretrainedError

MODULES = "modules.json"
POOLING_CONFIG = "1_Pooling/config.json"
# Ways of pooling by the options that switch them on.
POOLING = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_lasttoken": "last",
}
# Ways of pooling that newer versions name otherwise.
NAMED = {"mean_sqrt_len_tokens": "mean_sqrt_len", "lasttoken": "last"}
TYPE = "sentence_transformers.models."


def is_sentence_encoder(folder: str | Path) -> bool:
    """Tell whether a folder lists modules."""
    return (Path(folder) / MODULES).is_file()


def pooling_and_normalization(folder: Path) -> tuple[str, bool]:
    """Read what follows the encoder.

    Raises:
        PretrainedError: if the modules are others than an encoder, one pooling and perhaps a normalization.
    """
    path = folder / MODULES
    try:
        modules = json.loads(path.read_text(encoding="utf-8"))
        kinds = [module["type"].rpartition(".")[2] for module in modules]
        places = [module["path"] for module in modules]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PretrainedError(f"{path} cannot be read: {error!r}.") from error
    if kinds not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        raise PretrainedError(
            f"{path}: the modules {', '.join(kinds)} are not supported, only Transformer, Pooling and, after "
            "them, Normalize."
        )
    if places[0]:
        raise PretrainedError(f"{path}: the encoder is in {places[0]!r}, not in the folder itself.")
    config = read_json(folder / places[1] / "config.json")
    # Newer versions name the way of pooling, older ones have a switch for each.
    named = [str(config["pooling_mode"])] if "pooling_mode" in config else []
    chosen = [name for name, on in config.items() if name.startswith("pooling_mode_") and on is True]
    found = [POOLING.get(name, name) for name in chosen] + [NAMED.get(name, name) for name in named]
    if len(found) != 1 or found[0] not in POOLING.values():
        raise PretrainedError(f"{folder / places[1]}: pooling by {found or 'nothing'} is not supported.")
    return found[0], len(kinds) == 3


def load_embedder(folder: str | Path, backbone: keras.Model, **kwargs: Any) -> TextEmbedder:
    """Put pooling and normalization of a folder on its encoder.

    Raises:
        PretrainedError: if it is no encoder, or other modules follow it.
    """
    if not isinstance(backbone, Bert | GPT2):
        raise PretrainedError(
            f"{folder}: sentence encoders over {type(backbone).__name__} are not supported."
        )
    pooling, normalize = pooling_and_normalization(Path(folder))
    return TextEmbedder(backbone, pooling=pooling, normalize=normalize, **kwargs)


def embedder_files(model: TextEmbedder) -> dict[str, Any]:
    """Give the JSON files that make an encoder's folder one of sentence-transformers."""
    kinds = {"0": ("", "Transformer"), "1": ("1_Pooling", "Pooling")}
    if model.normalize:
        kinds["2"] = ("2_Normalize", "Normalize")
    modules = [
        {"idx": int(number), "name": number, "path": path, "type": TYPE + kind}
        for number, (path, kind) in kinds.items()
    ]
    switches = {option: way == model.pooling for option, way in POOLING.items()}
    pooling = {"word_embedding_dimension": model.backbone.hidden_dim, **switches}
    lengths = {"max_seq_length": model.backbone.max_sequence_length, "do_lower_case": False}
    return {MODULES: modules, POOLING_CONFIG: pooling, "sentence_bert_config.json": lengths}
