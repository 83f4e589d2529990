"""A Keras model of one's own as an encoder: which of its inputs are tokens and masks, and what it returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from keras import ops, tree

from keras_attn.errors import ArgumentError

LOGITS, PROBABILITIES, LOGIT, PROBABILITY, VECTOR = (
    "logits",
    "probabilities",
    "logit",
    "probability",
    "vector",
)
"""What a model returns: scores of labels before or after softmax, one score of two labels before or after
sigmoid, or an embedding."""
_SMALLEST = 1e-30


@dataclass(frozen=True)
class Roles:
    """How a model is called as an encoder, as plain values.

    Attributes:
        token_ids, padding_mask, segment_ids: names of the inputs; empty where there is none.
        types: of the inputs by name.
        structure: how inputs are nested, with their names as leaves.
        output: path of keys and indices to the output.
        returns: what the output is.
        pad_id: what fills up texts.
        length: tokens that every text is filled up to; `None` where the model takes any number.
    """

    token_ids: str
    padding_mask: str
    segment_ids: str
    types: Mapping[str, str]
    structure: Any
    output: tuple[str | int, ...]
    returns: str
    pad_id: int
    length: int | None = None


class OwnEncoder:
    """A Keras model that reads tokens and returns scores of labels, or an embedding.

    Args:
        model: the Keras model.
        task: `"classification"` or `"embedding"`.
        roles: how it is called.
        labels: of a classifier.
    """

    def __init__(self, model: Any, task: str, roles: Roles, labels: list[str] | None = None):
        self.model = model
        self.task = task
        self.roles = roles
        self.labels = labels

    @property
    def variables(self) -> list[Any]:
        """The model's variables."""
        return self.model.variables

    @property
    def pad_id(self) -> int:
        """What fills up texts."""
        return self.roles.pad_id

    @property
    def reads_pairs(self) -> bool:
        """Whether texts may be two, distinguished by segments."""
        return bool(self.roles.segment_ids)

    def result(self, token_ids: Any, padding_mask: Any, position: Any = None, segment_ids: Any = None) -> Any:
        """Compute log-probabilities (B, C) or embeddings (B, D).

        Args:
            token_ids: (B, T) int32.
            padding_mask: (B, T), True or 1 where there is text.
            position: not used.
            segment_ids: (B, T) int32, of models that read pairs.
        """
        del position
        roles, mask = self.roles, ops.cast(padding_mask, "bool")
        # Also where the model makes its mask of them, padding is the id that it knows.
        tensors = {roles.token_ids: ops.where(mask, token_ids, roles.pad_id)}
        if roles.padding_mask:
            tensors[roles.padding_mask] = mask
        if roles.segment_ids:
            tensors[roles.segment_ids] = ops.zeros_like(token_ids) if segment_ids is None else segment_ids
        typed = {name: ops.cast(tensor, roles.types[name]) for name, tensor in tensors.items()}
        found = self.model(tree.map_structure(typed.__getitem__, roles.structure), training=False)
        for key in roles.output:
            found = found[key]
        return as_result(found, roles.returns)


def as_result(outputs: Any, returns: str) -> Any:
    """Turn a model's outputs (B, C), (B, 1) or (B, D) into log-probabilities or embeddings."""
    if returns == VECTOR:
        return outputs
    if returns == LOGITS:
        return ops.log_softmax(outputs)
    if returns == PROBABILITIES:
        return ops.log(ops.maximum(outputs, _SMALLEST))
    if returns == LOGIT:
        return ops.concatenate([ops.log_sigmoid(-outputs), ops.log_sigmoid(outputs)], axis=-1)
    both = ops.concatenate([1.0 - outputs, outputs], axis=-1)
    return ops.log(ops.maximum(both, _SMALLEST))


def roles_json(roles: Roles) -> dict[str, Any]:
    """Return roles as plain values, for `Roles(**...)` in another process."""
    return {**asdict(roles), "output": list(roles.output)}


def check_labels(labels: list[str], width: int) -> None:
    """Raise an ArgumentError if there are not as many labels as scores."""
    if width == 1 and len(labels) == 2:
        return
    if len(labels) != width or len(set(labels)) < len(labels) or len(labels) < 2:
        raise ArgumentError(
            f"labels: the model scores {width} classes, and there are {len(set(labels))} different labels; "
            f"give {max(2, width)} in the order of its outputs"
        )
