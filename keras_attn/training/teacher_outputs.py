"""A trained model that another one learns from."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_attn.data.batching.row_batches import widths
from keras_attn.data.tokenizer_conversion import as_tokenizer
from keras_attn.device.text.tokenizer import EncoderTokenizer
from keras_attn.encoding import BatchedEncoder, KerasEncoder, keras_object
from keras_attn.models import TextClassifier, TextScorer
from keras_attn.scores.classes import ClassPredictor
from keras_attn.training.errors import TrainingError
from keras_attn.training.initialization import InitialModel, check_positions, load_initial_model


def load_teacher(folder_or_hub_name: str, accepted: type, max_tokens: int) -> InitialModel:
    """Load a teacher with its head.

    Args:
        folder_or_hub_name: a Hugging Face folder or hub name, or a run folder.
        accepted: the class that it must have.
        max_tokens: tokens that it must be able to read.

    Raises:
        TrainingError: if it is a bundle, of another class, or has too few positions.
        PretrainedError: if it cannot be loaded.
    """
    teacher = load_initial_model(folder_or_hub_name)
    if not isinstance(teacher.model, accepted):
        raise TrainingError(
            f"`teacher` {folder_or_hub_name} is a {type(teacher.model).__name__}: give a {accepted.__name__}."
        )
    check_positions(f"the teacher {folder_or_hub_name}", teacher.backbone, max_tokens)
    return teacher


def teacher_logits(
    teacher: InitialModel, texts: Sequence[Any], labels: Sequence[str], config: Any
) -> np.ndarray:
    """Compute a teacher's logits of texts or pairs, float32 (N, C), in the order of the labels.

    Args:
        teacher: with a `TextClassifier` or a `TextScorer`.
        texts: the texts.
        labels: of the model that learns; empty for a score.
        config: the settings of the training, of which `max_tokens`, `boundaries`, `batch_size`,
            `pair_column` and `teacher` are read.

    Raises:
        TrainingError: if the teacher has other labels, or another kind of them.
    """
    model = teacher.model
    order = [0]
    if isinstance(model, TextClassifier):
        missing = sorted(set(labels) - set(model.labels))
        if missing or len(labels) != len(model.labels) or model.multi_label != config.multi_label:
            several = " of which a text may have several" if model.multi_label else ""
            raise TrainingError(
                f"`teacher` {config.teacher} has the labels {', '.join(model.labels)}{several}, and the data "
                f"has {', '.join(labels)}: they must be the same."
            )
        order = [model.labels.index(label) for label in labels]
    segments = bool(config.pair_column) and model.backbone.num_segments > 1
    predictor = ClassPredictor(
        model,
        teacher.tokenizer,
        teacher.special_ids["pad"],
        config.max_tokens,
        config.boundaries,
        config.batch_size,
        segments,
    )
    return predictor.logits(texts)[:, order]


def teacher_class(regression: bool) -> type:
    """Return the class that a teacher of a classifier or of a scorer has."""
    return TextScorer if regression else TextClassifier


def teacher_vectors(teacher: InitialModel, texts: Sequence[str], config: Any) -> np.ndarray:
    """Compute a teacher's vectors of texts, float32 (N, D), with its default prompt.

    Args:
        teacher: with a `TextEmbedder`.
        texts: the texts.
        config: the settings of the training, of which `max_tokens`, `boundaries` and `batch_size` are read.
    """
    reader = as_tokenizer(teacher.tokenizer, "embedding", pad=teacher.special_ids["pad"])
    assert isinstance(reader, EncoderTokenizer)
    lengths = widths(config.boundaries, config.max_tokens)
    encoder = BatchedEncoder(
        KerasEncoder(teacher.model, lengths, reader.special_ids["end"]), config.batch_size
    )
    embedder: Any = keras_object(teacher.model, reader, encoder)
    found = encoder.answers(lambda: embedder.embed(list(texts), truncate=True))
    return np.stack([each.embedding for each in found])
