"""What can be exported, brought into one form: a run folder, or a Keras model with its tokenizer."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

_NOT_A_WEIGHT = "seed_generator_state"


@dataclass(frozen=True)
class Source:
    """A trained translation model and what belongs to it.

    Attributes:
        model: the Keras model, computing in float32.
        config: its constructor arguments, as JSON.
        tokenizer: `keras_attn.device.text.Tokenizer`.
        special_ids: ids of `pad`, `start`, `end` and `unknown`.
        languages: labels of `source` and `target`.
        pairs: held-out (source, target) texts; may be empty.
        metric: `"bleu"` or `"exact_match"`.
        bleu_tokenize: sacrebleu's tokenization.
        longest_trained: most tokens of a training text, `None` when unknown.
        made_from: where it comes from, for manifest and report.
    """

    model: Any
    config: dict[str, Any]
    tokenizer: Any
    special_ids: dict[str, int]
    languages: dict[str, str]
    pairs: Sequence[tuple[str, str]] = ()
    metric: str = "bleu"
    bleu_tokenize: str = "13a"
    longest_trained: int | None = None
    made_from: dict[str, Any] = field(default_factory=dict)

    @property
    def class_name(self) -> str:
        """Name of the model's class."""
        return type(self.model).__name__

    @property
    def longest(self) -> int | None:
        """Largest number of positions of the model, `None` when it has no such limit."""
        return self.config.get("max_sequence_length")

    @property
    def tokenizer_json(self) -> bytes:
        """Content of `tokenizer.json`."""
        return self.tokenizer.tokenizer.to_str().encode()

    def weights(self) -> dict[str, np.ndarray]:
        """Return the trained arrays by variable path below the model's name."""
        from keras import ops

        found = {}
        for variable in self.model.variables:
            path = variable.path.partition("/")[2]
            if not path.endswith(_NOT_A_WEIGHT):
                found[path] = np.asarray(ops.convert_to_numpy(variable.value), np.float32)
        return found


def find_source(
    source: Any,
    *,
    tokenizer: Any = None,
    pairs: Sequence[tuple[str, str]] | None = None,
    languages: dict[str, str] | None = None,
) -> Source:
    """Bring a run folder, a `Run` or a Keras model into one form.

    Args:
        source: path of a run folder, a `keras_attn.training.run.Run`, or a model of `keras_attn.models`.
        tokenizer: `keras_attn.device.text.Tokenizer`, needed (and allowed) beside a Keras model only.
        pairs: held-out (source, target) texts, instead of the run's.
        languages: labels of source and target, instead of the run's.

    Raises:
        ValueError: when the source is none of these, or a model comes without its tokenizer.
    """
    from keras_attn.training.run import Run, load_run

    if isinstance(source, (str, os.PathLike)):
        source = load_run(Path(source))
    if isinstance(source, Run):
        if tokenizer is not None:
            raise ValueError("a run folder has its own tokenizer: leave `tokenizer` out")
        return _from_run(source, pairs, languages)
    if not hasattr(source, "get_config") or not hasattr(source, "variables"):
        raise ValueError(f"cannot export {type(source).__name__}: give a run folder or a Keras model")
    if tokenizer is None:
        raise ValueError("a Keras model needs `tokenizer`, whose ids it was trained with, to be exported")
    model = _in_float32(source)
    return Source(
        model=model,
        config=_json_config(model),
        tokenizer=tokenizer,
        special_ids=dict(tokenizer.special_ids),
        languages=languages or {"source": "source", "target": "target"},
        pairs=pairs or (),
        made_from={"model": source.name, "parameters": int(source.count_params())},
    )


def _from_run(run: Any, pairs: Any, languages: Any) -> Source:
    training = run.config.get("training", {})
    model = _in_float32(run.model)
    return Source(
        model=model,
        config=_json_config(model),
        tokenizer=run.tokenizer,
        special_ids=run.special_ids,
        languages=languages or run.config["languages"],
        pairs=run.validation if pairs is None else pairs,
        metric=training.get("metric", "bleu"),
        bleu_tokenize=training.get("bleu_tokenize", "13a"),
        longest_trained=training.get("max_tokens"),
        made_from={
            "run": run.folder.name,
            "data": run.config.get("data", {}),
            "bleu_tokenize": training.get("bleu_tokenize", "13a"),
            "parameters": int(model.count_params()),
        },
    )


def _json_config(model: Any) -> dict[str, Any]:
    return json.loads(json.dumps(model.get_config()))


def _in_float32(model: Any) -> Any:
    """Return the model computing in float32; one trained in mixed precision is rebuilt with its weights.

    The reference of the proof must not have rounding errors of its own.
    """
    if model.compute_dtype == "float32":
        return model
    twin = type(model).from_config({**model.get_config(), "dtype": "float32"})
    twin.set_weights(model.get_weights())
    return twin
