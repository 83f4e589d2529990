"""The translator that a training fine-tunes: its model, its tokenizers and its search, and what is frozen."""

import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from keras_attn.data.corpora.checksums import sha256
from keras_attn.device.files.bundle import MANIFEST
from keras_attn.device.text.text_template import TextTemplate
from keras_attn.device.text.tokenizer import Tokenizer
from keras_attn.device.text.translation_tokenizer import TranslationTokenizer
from keras_attn.models import EncoderDecoder
from keras_attn.training import run_folder
from keras_attn.training.config.translation import TranslationConfig
from keras_attn.training.errors import TrainingError
from keras_attn.training.initialization import check_positions, model_of_run

KEPT = (".json", ".model", ".spm", ".txt", ".bpe", ".py")
"""Ends of the names of a checkpoint's files that are not weights."""
_INDEX = ".index.json"  # of weights in several files


@dataclasses.dataclass
class InitialTranslator:
    """A translator to start from.

    Attributes:
        model: an `EncoderDecoder`.
        text: its tokenizer, in the training's first direction.
        search: the search's rules, as `keras_translator` takes them.
    """

    model: Any
    text: Tokenizer
    search: dict[str, Any]


def load_initial_translator(
    config: TranslationConfig, output: Path, languages: dict[str, Any] | None, *, resumed: bool, primary: bool
) -> InitialTranslator:
    """Load a Hugging Face folder or hub name, or a run folder; or begin again what a run was started with.

    What belongs to a checkpoint besides its weights is copied into the run folder.

    Args:
        config: the settings.
        output: the run folder.
        languages: `source`, which may be `None`, and `target` of the first direction; `None` for the model's
            own.
        resumed: whether the run exists: its model then has random weights, which a checkpoint replaces.
        primary: whether this process writes into the run folder.

    Raises:
        TrainingError: if it is not a translator, or has too few positions.
        PretrainedError: if it cannot be loaded.
        InputError: if it does not know a language.
    """
    name = config.init or ""
    keras.utils.set_random_seed(config.seed)  # of the dropout of a model that is loaded
    if resumed:
        run_folder.check_initial(output, run_folder.read_config(output))
        return _of_run(output, model_of_run(output), languages)
    if (Path(name) / MANIFEST).is_file() and not (Path(name) / run_folder.RUN).is_file():
        raise TrainingError(
            f"{name} is a bundle, whose weights are fixed: give the run or the checkpoint that it was "
            "exported from."
        )
    kept = output / run_folder.INITIAL
    if (Path(name) / run_folder.RUN).is_file():
        run = run_folder.load_run(name)
        if run.config["task"] != "translation":
            raise TrainingError(f"{name} is a run of {run.config['task']}, not of translation.")
        if primary and (run.folder / run_folder.INITIAL).is_dir():
            shutil.copytree(run.folder / run_folder.INITIAL, kept)
        found = _of_run(run.folder, _with_dropout(run.model, config.dropout), languages)
    else:
        from keras_attn import pretrained
        from keras_attn.pretrained.hub import folder_of

        folder = folder_of(name)
        options: dict[str, Any] = {} if config.dropout is None else {"dropout": config.dropout}
        model = pretrained.load(folder, **options)
        if not isinstance(model, EncoderDecoder):
            raise TrainingError(f"{name} is a {type(model).__name__}, which cannot be trained to translate.")
        found = _of_folder(folder, model, languages)
        if primary:
            _copy_files(folder, kept)
    check_positions(name, found.model, config.max_tokens)
    return found


def initial_files(output: Path) -> dict[str, str]:
    """Return the SHA-256 of the checkpoint's files in a run folder, by name."""
    folder = output / run_folder.INITIAL
    return {path.name: sha256(path) for path in sorted(folder.glob("*"))} if folder.is_dir() else {}


def _copy_files(folder: Path, kept: Path) -> None:
    kept.mkdir(parents=True)
    for path in folder.iterdir():
        if path.is_file() and path.suffix in KEPT and not path.name.endswith(_INDEX):
            shutil.copy2(path, kept / path.name)


def _of_folder(folder: Path, model: Any, languages: dict[str, Any] | None) -> InitialTranslator:
    from keras_attn.pretrained.translator_text import read_translator_text

    text = read_translator_text(folder, model.vocabulary_size, model.pad_id, languages=languages)
    return InitialTranslator(model, text.tokenizer, text.search)


def _of_run(folder: Path, model: Any, languages: dict[str, Any] | None) -> InitialTranslator:
    """Return the translator of a run folder, with another model of the same kind."""
    if (folder / run_folder.INITIAL).is_dir():
        return _of_folder(folder / run_folder.INITIAL, model, languages)
    config = run_folder.read_config(folder)
    tokenizer = run_folder.read_tokenizer(folder, config)
    if "text_template" not in config:
        return InitialTranslator(model, Tokenizer(tokenizer, config["special_ids"]), {})
    template = TextTemplate.from_json(config["text_template"], str(folder))
    target = (languages or config["languages"])["target"]
    default = dataclasses.replace(template, default_target=template.pair(None, target)[1])
    text = TranslationTokenizer(tokenizer, config["special_ids"], model.vocabulary_size, default)
    return InitialTranslator(model, text, {})


def _with_dropout(model: Any, dropout: float | None) -> Any:
    if dropout is None:
        return model
    twin = type(model).from_config({**model.get_config(), "dropout": dropout})
    for variable, value in zip(twin.trainable_variables, model.trainable_variables, strict=True):
        variable.assign(value)
    return twin


def freeze_parts(model: Any, parts: Sequence[str]) -> None:
    """Freeze the token and position tables, the encoder or the decoder of a translator.

    Raises:
        TrainingError: if the model has no such part.
    """
    layers = list(model._flatten_layers(include_self=False))
    for part in parts:
        found = [layer for layer in layers if _is_of(layer, part)]
        if not found:
            raise TrainingError(
                f"`freeze`: a {type(model).__name__} has no layers of its own for the {part}."
            )
        for layer in found:
            layer.trainable = False


def _is_of(layer: Any, part: str) -> bool:
    from keras_attn.layers import PositionEmbedding

    if part == "embeddings":
        return isinstance(layer, keras.layers.Embedding | PositionEmbedding)
    return layer.name.startswith(part)
