"""The initial model of a training: a backbone and its tokenizer, from scratch or from a trained model."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_attn import models
from keras_attn.data.byte_tokenizer import BERT_TOKENS, GPT_TOKENS, ids_of, train_byte_tokenizer
from keras_attn.device.files.bundle import MANIFEST
from keras_attn.training import run_folder
from keras_attn.training.config.text import TextConfig
from keras_attn.training.errors import TrainingError
from keras_attn.training.initial_vocabulary import keep_tokens

# Roles by Hugging Face's names of special tokens.
ROLES = {
    "pad_token": "pad",
    "unk_token": "unknown",
    "cls_token": "cls",
    "sep_token": "sep",
    "mask_token": "mask",
    "bos_token": "start",
    "eos_token": "end",
}
POSITIONS = {"bert": 512, "bigbird": 4096, "gpt2": 1024}
PIECE_TOKENS = {"pad": "<pad>", "unknown": "<unk>", "mask": "<mask>"}
SPECIAL_TOKEN_FILES = ("special_tokens_map.json", "tokenizer_config.json")


@dataclasses.dataclass
class InitialModel:
    """A trained model to start from.

    Attributes:
        model: a backbone, or a task over one.
        tokenizer: `tokenizers.Tokenizer`, which neither pads nor cuts.
        special_ids: ids by role.
    """

    model: Any
    tokenizer: Any
    special_ids: dict[str, int]

    @property
    def backbone(self) -> Any:
        """The backbone, without the task's head."""
        return getattr(self.model, "backbone", self.model)


def load_initial_model(folder_or_hub_name: str, *, without_head: bool = False) -> InitialModel:
    """Load a Hugging Face folder or hub name, or a run folder.

    Args:
        folder_or_hub_name: the folder or the name.
        without_head: whether the task head of a Hugging Face folder is dropped. That of a sentence encoder is
            kept, because it knows how to pool.

    Raises:
        TrainingError: if it is a translator's run, or a bundle.
        PretrainedError: if the model or its tokenizer cannot be loaded, or they do not fit each other.
        DataError: if there is no padding token.
    """
    if (Path(folder_or_hub_name) / run_folder.RUN).is_file():
        run = run_folder.load_run(folder_or_hub_name)
        if run.config["task"] == "translation":
            raise TrainingError(f"{folder_or_hub_name} is a translator's run, which has no backbone.")
        return InitialModel(run.model, run.tokenizer, run.special_ids)
    if (Path(folder_or_hub_name) / MANIFEST).is_file():
        raise TrainingError(
            f"{folder_or_hub_name} is a bundle, whose weights are fixed: give the run or the checkpoint "
            "that it was exported from."
        )
    from keras_attn import pretrained
    from keras_attn.pretrained.architectures.sentence_encoders import is_sentence_encoder
    from keras_attn.pretrained.hub import folder_of
    from keras_attn.pretrained.tokenizers.tokenizer_json import with_words

    folder = folder_of(folder_or_hub_name)
    model = pretrained.load(folder, without_head=without_head and not is_sentence_encoder(folder))
    size = getattr(model, "backbone", model).vocabulary_size
    tokenizer = with_words(pretrained.load_tokenizer(folder, size))
    # A special token that is written out in a text is text.
    tokenizer.encode_special_tokens = True
    return InitialModel(model, tokenizer, _special_ids(folder, tokenizer))


def find_tokenizer(
    config: TextConfig,
    output: Path,
    texts: Sequence[str],
    special_tokens: dict[str, str],
    *,
    without_head: bool = False,
) -> tuple[Any, dict[str, int], InitialModel | None]:
    """Return the tokenizer of a run that exists, of `config.init`, or a newly trained one.

    Args:
        config: the settings.
        output: the run folder.
        texts: train a new tokenizer, or have the tokens of `config.init` that are kept.
        special_tokens: of a new tokenizer, by role.
        without_head: as for `load_initial_model`.

    Returns:
        The tokenizer, its special ids by role, and the initial model if it was loaded.
    """
    if (output / run_folder.RUN).is_file():
        run = run_folder.read_config(output)
        return run_folder.read_tokenizer(output, run), run["special_ids"], None
    if config.init:
        initial = load_initial_model(config.init, without_head=without_head)
        if config.keep_tokens:
            initial = keep_tokens(initial, texts, config.keep_tokens)
        return initial.tokenizer, initial.special_ids, initial
    tokenizer = train_byte_tokenizer(texts, config.vocabulary_size, special_tokens)
    return tokenizer, ids_of(tokenizer, special_tokens, "The tokenizer"), None


def _special_ids(folder: Path, tokenizer) -> dict[str, int]:
    from keras_attn.pretrained.checkpoint import read_json

    tokens = {**GPT_TOKENS, **BERT_TOKENS}
    # SentencePiece's names, where the vocabulary has them instead.
    tokens |= {
        role: token for role, token in PIECE_TOKENS.items() if tokenizer.token_to_id(tokens[role]) is None
    }
    for name in SPECIAL_TOKEN_FILES:
        if (folder / name).is_file():
            found = read_json(folder / name)
            for key, role in ROLES.items():
                token = found.get(key)
                token = token.get("content") if isinstance(token, dict) else token
                if token is not None:
                    tokens[role] = token
    if tokenizer.token_to_id(tokens["pad"]) is None:
        tokens["pad"] = tokens["end"]  # GPT-2 has no padding; padded positions are masked
    return ids_of(tokenizer, tokens, folder)


def new_backbone(config: TextConfig, vocabulary_size: int, special_ids: dict[str, int], **options) -> Any:
    """Make a backbone with random weights.

    Args:
        config: the settings, of which `model`, `preset`, `dropout` and `max_tokens` are read.
        vocabulary_size: int.
        special_ids: ids by role, of which `pad` is read.
        **options: further arguments of the backbone's constructor.
    """
    make = getattr(models, config.models[config.model])
    if config.dropout is not None:
        options["dropout"] = config.dropout
    positions = models.PRESETS[make.__name__][config.preset].get(
        "max_sequence_length", POSITIONS[config.model]
    )
    # One name for all runs, so that variable paths do not depend on what was built before.
    return make.from_preset(
        config.preset,
        vocabulary_size=vocabulary_size,
        max_sequence_length=max(positions, config.max_tokens),
        name=config.model,
        **{"pad_id": special_ids["pad"], **options},
    )


def check_positions(name: str, model: Any, max_tokens: int) -> None:
    """Raise a TrainingError if a model has too few positions, unless texts may have any length."""
    longest = getattr(model, "max_sequence_length", None)
    if longest is not None and max_tokens > longest:
        raise TrainingError(
            f"`max_tokens` is {max_tokens}, but {name} has {longest} positions: choose a smaller "
            "`max_tokens`."
        )


def with_settings(
    initial: InitialModel, config: TextConfig, accepted: type | tuple[type, ...]
) -> InitialModel:
    """Return the initial model, with the dropout rate of the settings if they have one.

    Raises:
        TrainingError: if the backbone is not of an accepted class, or has too few positions.
    """
    backbone = initial.backbone
    if not isinstance(backbone, accepted):
        raise TrainingError(
            f"{config.init} is a {type(backbone).__name__}, which cannot be trained for {config.task}."
        )
    check_positions(str(config.init), backbone, config.max_tokens)
    if config.dropout is None:
        return initial
    given = initial.model.get_config()
    inner = given["backbone"]["config"] if "backbone" in given else given
    inner.update(dropout=config.dropout, attention_dropout=config.dropout)
    model = type(initial.model).from_config(given)
    for variable, value in zip(model.trainable_variables, initial.model.trainable_variables, strict=True):
        variable.assign(value)
    return dataclasses.replace(initial, model=model)


def model_of_run(folder: Path) -> Any:
    """Make the model that run.json describes, with random weights, which a checkpoint replaces."""
    description = run_folder.read_config(folder)["model"]
    return getattr(models, description["class_name"]).from_config(description["config"])
