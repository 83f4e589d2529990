"""The description of the checkpoints of one architecture: one table for each, in `encoders/`."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from keras_attn.models import Bert
from keras_attn.pretrained.architectures.layer_tensors import bert_tensors
from keras_attn.pretrained.checkpoint import Tensor
from keras_attn.pretrained.options import OptionTable

# Options that change the computation of BERT's kind of model, each with the only supported value.
ONLY = {
    "position_embedding_type": "absolute",
    "is_decoder": False,
    "is_encoder_decoder": False,
    "add_cross_attention": False,
    "cross_attention_hidden_size": None,
    "tie_encoder_decoder": False,
    "pruned_heads": {},
    "use_bias": True,
    "directionality": "bidi",
    "pooler_type": "first_token_transform",
}
# A classifier over the pooler, without a layer of its own before the output.
POOLED = {"pooling": "pooled", "hidden_activation": None}
# Options of the heads and of tied embeddings.
HEAD_OPTIONS = frozenset(
    {
        "tie_word_embeddings",
        "id2label",
        "num_labels",
        "problem_type",
        "sentence_transformers",
        "sbert_ce_default_activation_function",
    }
)


@dataclass(frozen=True)
class ClassifierHead:
    """A classifier of texts or tokens: the names of its layers, and how the task's class computes it.

    Attributes:
        output: name of the output layer.
        hidden, norm: names of the dense layer before it and of its normalization, if there are such.
        dropout: the option of its dropout rate, if there is one.
        fixed: arguments of the task that the architecture decides.
        options: further arguments, and the options that they are read from.
    """

    output: str = "classifier"
    hidden: str | None = None
    norm: str | None = None
    dropout: str | None = "classifier_dropout"
    fixed: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class AnswerHead:
    """The head of answers: the names of its layers.

    Attributes:
        output: name of the output layer.
        intermediate, hidden, norm: names of the layers of a feed-forward network before it, if there is one.
        dense, dense_norm: names of a dense layer before the output layer and of its normalization, if there
            are such.
        dropout: the option of its dropout rate; `None` if there is no dropout.
        options: further arguments, and the options that they are read from.
    """

    output: str = "qa_outputs"
    intermediate: str | None = None
    hidden: str | None = None
    norm: str | None = None
    dense: str | None = None
    dense_norm: str | None = None
    dropout: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class MaskedLMHead:
    """The head of a masked language model: the names of its layers, and how `MaskedLM` computes it.

    Attributes:
        hidden, norm, output: names of the layers.
        bias: name of the output bias where the output is tied to the token embeddings.
        next_sentence: name of the second head's layer, if there may be one.
        unused: beginnings of the names of a second head that is left out where pretrained models have one.
        fixed: arguments of `MaskedLM` that the architecture decides.
        options: further arguments, and the options that they are read from.
    """

    hidden: str
    norm: str
    output: str
    bias: str
    next_sentence: str | None = None
    unused: str | None = None
    fixed: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)


def _nothing_to_read(config: Mapping[str, Any], arguments: dict[str, Any]) -> list[str]:
    return []


def _nothing_to_write(model: Any, config: dict[str, Any]) -> list[str]:
    return []


@dataclass(frozen=True)
class Architecture:
    """The description of the checkpoints of one architecture.

    Attributes:
        make: the model's class.
        model_type, class_name: Hugging Face's names of the architecture and of its bare model.
        options: the table of its options.
        prefix: prefix of the tensor names in a model with a head.
        classifier, tokens, answers: its heads for texts, tokens and answers, if they are known.
        masked_lm: its head for masked tokens; where there are several, the first is saved.
        tensors: yields the variables of a model, given a prefix.
        pooler: name of the pooler, if there may be one.
        fixed: constructor arguments that the architecture decides.
        written: constructor arguments that `read` and `write` know.
        needs_segments: whether its bare model always has segments.
        read: reads further options into the constructor's arguments, and lists the problems.
        write: writes further options, and lists the problems.
        ignored: beginnings of the names of tensors that the model does not need.
    """

    make: type[Bert]
    model_type: str
    class_name: str
    options: OptionTable
    prefix: str
    classifier: ClassifierHead
    masked_lm: tuple[MaskedLMHead, ...]
    tokens: ClassifierHead | None = ClassifierHead()
    answers: AnswerHead | None = AnswerHead()
    tensors: Callable[[Any, str], Iterator[Tensor]] = bert_tensors
    pooler: str | None = "pooler.dense"
    fixed: Mapping[str, Any] = field(default_factory=dict)
    written: frozenset[str] = frozenset()
    needs_segments: bool = True
    read: Callable[[Mapping[str, Any], dict[str, Any]], list[str]] = _nothing_to_read
    write: Callable[[Any, dict[str, Any]], list[str]] = _nothing_to_write
    ignored: tuple[str, ...] = ()
