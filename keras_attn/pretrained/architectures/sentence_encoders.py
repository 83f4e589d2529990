"""Folders of sentence-transformers: an encoder and the modules that follow it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
from tokenizers import Tokenizer, normalizers

from keras_attn.models import GPT2, Bert, TextEmbedder
from keras_attn.models.tasks.text_embedder import SIMILARITIES
from keras_attn.pretrained.architectures.layer_tensors import linear
from keras_attn.pretrained.checkpoint import Checkpoint, Tensor, read_json
from keras_attn.pretrained.errors import PretrainedError

MODULES = "modules.json"
EMBEDDER = "config_sentence_transformers.json"
POOLING_CONFIG = "1_Pooling/config.json"
# The encoder's own options; older versions name the file after the architecture.
ENCODER_CONFIGS = tuple(
    f"sentence_{name}_config.json"
    for name in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
# Pooling modes by the options that enable them.
POOLING = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_weightedmean_tokens": "weighted_mean",
    "pooling_mode_lasttoken": "last",
}
# Pooling modes with another name in newer versions.
NAMED = {"mean_sqrt_len_tokens": "mean_sqrt_len", "lasttoken": "last", "weightedmean": "weighted_mean"}
# Activations of dense modules, by the last part of PyTorch's names; of several for one, the first is written.
ACTIVATIONS = {
    "activation.Tanh": "tanh",
    "linear.Identity": "linear",
    "activation.ReLU": "relu",
    "activation.GELU": "gelu",
    "activation.SiLU": "silu",
    "activation.Sigmoid": "sigmoid",
}
PYTORCH = "torch.nn.modules."
WIDTHS = ("in_features", "out_features")
DENSE_OPTIONS: dict[str, Any] = {
    "computed": {*WIDTHS, "bias", "activation_function"},
    "only": {"module_input_name": "sentence_embedding", "module_output_name": "sentence_embedding"},
    "harmless": set(),
}
# Prefixes of the modules' types, now and in older versions.
TYPE, PACKAGE = "sentence_transformers.models.", "sentence_transformers."

# For each file: options that are read, options with a single supported value, and options that are ignored.
POOLING_OPTIONS: dict[str, Any] = {
    "computed": {"pooling_mode", "include_prompt", "embedding_dimension", "word_embedding_dimension"},
    "only": {},
    "harmless": set(),
}
ENCODER_OPTIONS: dict[str, Any] = {
    "computed": {"max_seq_length", "do_lower_case"},
    "only": {
        "transformer_task": "feature-extraction",
        "modality_config": {"text": {"method": "forward", "method_output_name": "last_hidden_state"}},
        "module_output_name": "token_embeddings",
        "processing_kwargs": {},
        "model_args": {},
        "model_kwargs": {},
        "tokenizer_args": {},
        "processor_kwargs": {},
        "config_args": {},
        "config_kwargs": {},
        "tokenizer_name_or_path": None,
    },
    "harmless": {"unpad_inputs"},
}
EMBEDDER_OPTIONS: dict[str, Any] = {
    "computed": {"prompts", "default_prompt_name", "truncate_dim", "similarity_fn_name"},
    "only": {"model_type": "SentenceTransformer"},
    "harmless": {"__version__"},
}
# sentence-transformers' models of pairs; `activation_fn` makes the scores of one output.
CROSS_ENCODER = "CrossEncoder"
CROSS_ENCODER_OPTIONS: dict[str, Any] = {
    "computed": {"prompts", "activation_fn"},
    "only": {"model_type": CROSS_ENCODER, "default_prompt_name": None},
    "harmless": {"__version__"},
}
CLASSIFYING: dict[str, Any] = {
    "transformer_task": "sequence-classification",
    "modality_config": {"text": {"method": "forward", "method_output_name": "logits"}},
    "module_output_name": "scores",
    "do_lower_case": False,
}


def is_sentence_encoder(folder: str | Path) -> bool:
    """Return whether a folder is a sentence encoder's, and not a cross encoder's."""
    return (Path(folder) / MODULES).is_file() and not is_cross_encoder(folder)


def is_cross_encoder(folder: str | Path) -> bool:
    """Return whether a folder is a cross encoder's: a classifier of pairs of texts."""
    path = Path(folder) / EMBEDDER
    return path.is_file() and read_json(path).get("model_type") == CROSS_ENCODER


def cross_encoder_problems(folder: Path) -> list[str]:
    """List what a classifier does not support of a cross encoder: other modules, prompts, lower case."""
    path = folder / EMBEDDER
    config = read_json(path)
    problems = option_problems(path, config, CROSS_ENCODER_OPTIONS)
    if config.get("prompts"):
        problems.append(f"{path}: option prompts={config['prompts']!r} is not supported for a classifier")
    if (folder / MODULES).is_file():
        kinds = _module_kinds(folder / MODULES)[0]
        if kinds != ["Transformer"]:
            problems.append(f"{folder / MODULES}: the modules {', '.join(kinds)} are not supported")
    found = next((folder / name for name in ENCODER_CONFIGS if (folder / name).is_file()), None)
    if found is not None:
        options = {**ENCODER_OPTIONS, "computed": set(), "only": {**ENCODER_OPTIONS["only"], **CLASSIFYING}}
        problems += option_problems(found, read_json(found), options)
    return problems


def cross_encoder_options(folder: Path) -> dict[str, Any]:
    """Return a cross encoder's activation of scores, if it names one, as older folders' config.json does."""
    named = read_json(folder / EMBEDDER).get("activation_fn")
    return {} if named is None else {"sentence_transformers": {"activation_fn": named}}


def option_problems(path: Path, config: Mapping[str, Any], known: Mapping[str, Any]) -> list[str]:
    """List the options of a file that are unknown, or have an unsupported value."""
    problems = []
    for name, value in config.items():
        if name in known["only"]:
            only = known["only"][name]
            if value not in (only, None):
                problems.append(f"{path}: option {name}={value!r} is not supported (only {only!r})")
        elif name not in known["computed"] and name not in known["harmless"] and value is not None:
            problems.append(f"{path}: option {name}={value!r} is not known, so it may change the vectors")
    return problems


def read_encoder_options(folder: Path) -> tuple[dict[str, Any], list[str]]:
    """Read how sentence-transformers tokenizes texts for an encoder.

    Returns:
        A dict of `max_seq_length`, int or `None`, and `do_lower_case`; and a list of problems.
    """
    path = next((folder / name for name in ENCODER_CONFIGS if (folder / name).is_file()), None)
    config = {} if path is None else read_json(path)
    problems = [] if path is None else option_problems(path, config, ENCODER_OPTIONS)
    longest = config.get("max_seq_length")
    if longest is not None and (not isinstance(longest, int) or longest < 1):
        problems.append(f"{path}: option max_seq_length={longest!r} must be a positive integer")
    return {"max_seq_length": longest, "do_lower_case": bool(config.get("do_lower_case"))}, problems


def with_lower_case(folder: Path, tokenizer: Tokenizer) -> Tokenizer:
    """Make a tokenizer lower-case texts if sentence-transformers does (`do_lower_case`)."""
    if is_sentence_encoder(folder) and read_encoder_options(folder)[0]["do_lower_case"]:
        own = [] if tokenizer.normalizer is None else [tokenizer.normalizer]
        tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase(), *own])
    return tokenizer


def load_embedder(folder: str | Path, backbone: keras.Model, **kwargs: Any) -> TextEmbedder:
    """Add to an encoder the modules of its folder: pooling, normalization, prompts, truncation.

    Raises:
        PretrainedError: if the backbone, a module or an option is not supported.
    """
    folder = Path(folder)
    if not isinstance(backbone, Bert | GPT2):
        raise PretrainedError(
            f"{folder}: sentence encoders over {type(backbone).__name__} are not supported."
        )
    pooling_folder, dense_folders, normalize = _modules(folder)
    pooling, problems = _read_pooling(pooling_folder / "config.json", backbone.hidden_dim)
    width = len(pooling["modes"]) * backbone.hidden_dim
    dense: list[dict[str, Any]] = []
    for each in dense_folders:
        made, more = _read_dense(each / "config.json", width)
        dense, problems = [*dense, made], [*problems, *more]
        width = made["units"]
    options, more = _read_embedder_options(folder / EMBEDDER, width)
    problems += [*more, *read_encoder_options(folder)[1]]
    if not pooling["include_prompt"] and any(options["prompts"].values()):
        prompts = ", ".join(name for name, prompt in options["prompts"].items() if prompt)
        problems.append(
            f"{pooling_folder}: option include_prompt=False with the prompts {prompts} is not supported"
        )
    if problems:
        raise PretrainedError("\n  ".join([f"{folder} cannot be loaded:", *problems]))
    model = TextEmbedder(backbone, pooling["modes"], normalize, dense=dense, **options, **kwargs)
    for each, layer in zip(dense_folders, model.dense_layers, strict=True):
        with Checkpoint(each) as checkpoint:
            checkpoint.assign(linear("linear", layer))
    return model


def _modules(folder: Path) -> tuple[Path, list[Path], bool]:
    """Read the modules: the folders of pooling and dense layers, and whether vectors are normalized.

    Raises:
        PretrainedError: if there is more than an encoder, one pooling, dense layers and a normalization.
    """
    path = folder / MODULES
    kinds, paths = _module_kinds(path)
    normalize = kinds[-1:] == ["Normalize"]
    dense = kinds[2 : len(kinds) - normalize]
    if kinds[:2] != ["Transformer", "Pooling"] or set(dense) - {"Dense"}:
        raise PretrainedError(
            f"{path}: the modules {', '.join(kinds)} are not supported, only Transformer, Pooling and, after "
            "them, Dense and Normalize."
        )
    if paths[0]:
        raise PretrainedError(f"{path}: the encoder is in {paths[0]!r}, not in the folder itself.")
    return folder / paths[1], [folder / each for each in paths[2 : 2 + len(dense)]], normalize


def _read_dense(path: Path, width: int) -> tuple[dict[str, Any], list[str]]:
    """Read a dense layer's arguments, and list the problems."""
    config = {"bias": True, "activation_function": f"{PYTORCH}activation.Tanh", **read_json(path)}
    problems = option_problems(path, config, DENSE_OPTIONS)
    if config.get("in_features") != width:
        problems.append(f"{path}: option in_features={config.get('in_features')!r} is not {width}")
    units, named = config.get("out_features"), str(config["activation_function"])
    if not isinstance(units, int) or units < 1:
        problems.append(f"{path}: option out_features={units!r} must be a positive integer")
        units = width
    activation = ACTIVATIONS.get(named.removeprefix(PYTORCH))
    if activation is None or not named.startswith(PYTORCH):
        known = ", ".join(PYTORCH + each for each in ACTIVATIONS)
        problems.append(f"{path}: option activation_function={named!r} is not supported (only {known})")
    return {"units": units, "activation": activation, "use_bias": bool(config["bias"])}, problems


def _module_kinds(path: Path) -> tuple[list[str], list[str]]:
    """Read the kinds of the modules, and their folders."""
    try:
        modules = json.loads(path.read_text(encoding="utf-8"))
        types = [str(module["type"]) for module in modules]
        paths = [str(module["path"]) for module in modules]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PretrainedError(f"{path} cannot be read: {error!r}.") from error
    return [each.rpartition(".")[2] if each.startswith(PACKAGE) else each for each in types], paths


def _read_pooling(path: Path, hidden_dim: int) -> tuple[dict[str, Any], list[str]]:
    """Read the pooling's `modes` and `include_prompt`, and list the problems."""
    config = read_json(path)
    flags = {name for name in config if name in POOLING}
    problems = option_problems(path, {k: v for k, v in config.items() if k not in flags}, POOLING_OPTIONS)
    # Newer versions name the pooling mode, older ones have a flag for each.
    named = config.get("pooling_mode")
    chosen = named if isinstance(named, list) else [named]
    if named is None:
        chosen = [POOLING[name] for name in config if name in flags and config[name]]
        chosen = chosen or ["mean"]
    found = [NAMED.get(str(mode), mode) for mode in chosen]
    if not found or not set(found) <= set(POOLING.values()):
        problems.append(f"{path}: pooling by {', '.join(map(str, found)) or 'nothing'} is not supported")
    for name in ("embedding_dimension", "word_embedding_dimension"):
        if config.get(name) not in (None, hidden_dim):
            problems.append(f"{path}: option {name}={config[name]!r} is not the encoder's {hidden_dim}")
    return {"modes": found, "include_prompt": config.get("include_prompt") is not False}, problems


def _read_embedder_options(path: Path, hidden_dim: int) -> tuple[dict[str, Any], list[str]]:
    """Read `TextEmbedder`'s prompts, dimensions and similarity, and list the problems."""
    config = read_json(path) if path.is_file() else {}
    problems = option_problems(path, config, EMBEDDER_OPTIONS)
    prompts = config.get("prompts") or {}
    if not isinstance(prompts, dict) or any(not isinstance(each, str | None) for each in prompts.values()):
        problems.append(f"{path}: option prompts={prompts!r} must name texts")
        prompts = {}
    default = config.get("default_prompt_name")
    if default is not None and default not in prompts:
        known = ", ".join(prompts) or "none"
        problems.append(f"{path}: option default_prompt_name={default!r} is not among the prompts ({known})")
    dimensions = config.get("truncate_dim")
    if dimensions is not None and (not isinstance(dimensions, int) or dimensions < 1):
        problems.append(f"{path}: option truncate_dim={dimensions!r} must be a positive integer")
    elif dimensions is not None and dimensions >= hidden_dim:
        dimensions = None
    similarity = config.get("similarity_fn_name")
    if similarity not in (None, *SIMILARITIES):
        problems.append(f"{path}: option similarity_fn_name={similarity!r} is not known")
    options = {
        "dimensions": dimensions,
        "prompts": {name: prompt or "" for name, prompt in prompts.items()},
        "default_prompt": default,
        "similarity": similarity or SIMILARITIES[0],
    }
    return options, problems


def embedder_files(model: TextEmbedder) -> dict[str, Any]:
    """Return the JSON files of a sentence-transformers folder, by name."""
    kinds = ["Transformer", "Pooling", *["Dense"] * len(model.dense), *["Normalize"] * model.normalize]
    modules = [
        {"idx": i, "name": str(i), "path": f"{i}_{kind}" if i else "", "type": TYPE + kind}
        for i, kind in enumerate(kinds)
    ]
    modes = [model.pooling] if isinstance(model.pooling, str) else model.pooling
    pooling: dict[str, Any] = {"word_embedding_dimension": model.backbone.hidden_dim}
    if len(modes) == 1:  # older versions read these, and no order of several
        pooling |= {option: way == modes[0] for option, way in POOLING.items()}
    else:
        theirs = {ours: name for name, ours in NAMED.items()}
        pooling["pooling_mode"] = [theirs.get(mode, mode) for mode in modes]
    lengths = {"max_seq_length": model.backbone.max_sequence_length, "do_lower_case": False}
    embedder = {
        "prompts": model.prompts,
        "default_prompt_name": model.default_prompt,
        "truncate_dim": model.dimensions,
        "similarity_fn_name": model.similarity,
    }
    return {
        MODULES: modules,
        POOLING_CONFIG: pooling,
        ENCODER_CONFIGS[0]: lengths,
        **{f"{folder}/config.json": _dense_config(layer) for folder, layer in _dense_layers(model)},
        EMBEDDER: {name: value for name, value in embedder.items() if value is not None},
    }


def embedder_tensors(model: TextEmbedder) -> dict[str, list[Tensor]]:
    """Return the variables of the dense layers, by the folder of each."""
    return {folder: list(linear("linear", layer)) for folder, layer in _dense_layers(model)}


def _dense_layers(model: TextEmbedder) -> list[tuple[str, Any]]:
    return [(f"{number}_Dense", layer) for number, layer in enumerate(model.dense_layers, start=2)]


def _dense_config(layer: Any) -> dict[str, Any]:
    name = keras.activations.serialize(layer.activation)
    theirs = next((theirs for theirs, ours in ACTIVATIONS.items() if ours == name), None)
    if theirs is None:
        raise PretrainedError(f"sentence-transformers' Dense does not have the activation {name!r} here.")
    sizes = dict(zip(WIDTHS, map(int, layer.kernel.shape), strict=True))
    return {**sizes, "bias": layer.use_bias, "activation_function": PYTORCH + theirs}
