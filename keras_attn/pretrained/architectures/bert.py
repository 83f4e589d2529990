"""Load and save the checkpoints of encoders, by the tables of `encoders/`."""

import inspect
from typing import Any

from keras_attn.models import Bert, MaskedLM, NextSentence, QuestionAnswerer, TokenClassifier
from keras_attn.models.tasks.next_sentence import LABELS
from keras_attn.models.tasks.task_model import TaskModel
from keras_attn.pretrained.architectures import heads
from keras_attn.pretrained.architectures.architecture import Architecture
from keras_attn.pretrained.architectures.encoders import ARCHITECTURES
from keras_attn.pretrained.checkpoint import Checkpoint, Tensor
from keras_attn.pretrained.options import find_head, read_options, refuse_to_save, write_options

# Tensors that older versions saved among the weights: numbers of positions and segments, rotary rates.
NUMBERS = ("embeddings.position_ids", "embeddings.token_type_ids")
# Arguments that every model has, and that no checkpoint keeps.
OWN_ARGUMENTS = {"name", "trainable", "dtype", "quantization"}


def load_bert(checkpoint: Checkpoint, without_head: bool = False, **kwargs: Any) -> Bert | TaskModel:
    """Load a checkpoint of one of the `ARCHITECTURES`.

    Args:
        checkpoint: the folder.
        without_head: whether to ignore the task head.
        **kwargs: further constructor arguments of the backbone, such as `dtype` or `dropout`.

    Raises:
        PretrainedError: if options or tensors are not supported; all of them are listed.
    """
    found = ARCHITECTURES[checkpoint.config["model_type"]]
    config, _ = found.options.completed(checkpoint.config)
    prefix = found.prefix if any(name.startswith(found.prefix) for name in checkpoint.names) else ""
    arguments, problems = read_options(checkpoint.config, found.options)
    arguments |= found.fixed
    problems += found.read(config, arguments)
    arguments["pooler"] = found.pooler is not None and f"{prefix}{found.pooler}.weight" in checkpoint.names
    head, task, options, more = None, None, {}, []
    if not without_head:
        classes = heads.head_classes(checkpoint.names, found)
        head, more = find_head(checkpoint, classes, found.class_name)
        problems += more
    if head and head.endswith(heads.CLASSIFICATION):
        task, options, more = heads.read_classifier(checkpoint, found, arguments)
        problems += more
    elif head and head.endswith(heads.TOKENS):
        task, (options, more) = TokenClassifier, heads.read_token_classifier(checkpoint, found, arguments)
        problems += more
    elif head and head.endswith(heads.ANSWERS):
        task, (options, more) = QuestionAnswerer, heads.read_answerer(checkpoint, found, arguments)
        problems += more
    elif head and head.endswith(heads.NEXT_SENTENCE):
        task = NextSentence
    elif head:
        task, (options, more) = MaskedLM, heads.read_masked_lm(checkpoint, found)
        problems += more
    second = heads.masked_lm_names(checkpoint.names, found).next_sentence is not None
    follows = bool(head) and second and str(head).endswith((heads.PRETRAINING, heads.NEXT_SENTENCE))
    if follows and not arguments["pooler"]:
        problems.append("next-sentence prediction needs a pooler, which the checkpoint does not have")
    if problems:
        checkpoint.refuse(problems)
    model = backbone = found.make(**{**arguments, **kwargs})
    table = list(found.tensors(backbone, prefix))
    inside = {row.name.removeprefix(prefix).partition(".")[0] for row in table} | {"pooler"}
    unused: tuple[str, ...] = ()
    if task is MaskedLM:
        names = heads.masked_lm_names(checkpoint.names, found)
        # As in transformers, a separate output matrix is used even if the options say that it is tied.
        options["tie_output"] = config.get("tie_word_embeddings") is not False and checkpoint.is_copy(
            f"{names.output}.weight", table[0].name
        )
        options["next_sentence"] = follows
        model = MaskedLM(backbone, **options, dtype=backbone.dtype_policy)
        table += heads.masked_lm_tensors(model, names, checkpoint.names)
        unused = heads.unused_names(names)
    elif task is not None:
        model = task(backbone, **options, dtype=backbone.dtype_policy)
        table += heads.head_tensors(model, found)

    def ignored(name):
        short = name.removeprefix(prefix)
        within = name.startswith(prefix) and short.partition(".")[0] in inside
        numbers = short in NUMBERS or name.endswith("rotary_emb.inv_freq")
        return (
            numbers or (without_head and not within) or name.startswith((*found.ignored, *unused) or ("\0",))
        )

    checkpoint.assign(table, ignored)
    return model


def export_bert(model: Bert | TaskModel) -> tuple[dict[str, Any], list[Tensor]]:
    """Return Hugging Face's configuration and tensors of a model, with its head if it has one.

    Where several architectures have such a backbone, it is the first that has the head, too.

    Raises:
        PretrainedError: if Hugging Face has no such model.
    """
    backbone = model if isinstance(model, Bert) else model.backbone
    reasons = []
    for found in ARCHITECTURES.values():
        if found.make is type(backbone):
            config, problems = _described(model, backbone, found)
            if not problems:
                return config, _table(model, backbone, found)
            reasons.append(problems)
    # Those of the most similar one.
    refuse_to_save(min(reasons, key=len, default=[f"a {type(backbone).__name__}"]))
    raise AssertionError


def _described(model: Any, backbone: Bert, found: Architecture) -> tuple[dict[str, Any], list[str]]:
    """Return the configuration that an architecture gives a model, and list what it cannot give."""
    given = backbone.get_config()
    config, problems = write_options(given, found.options.arguments)
    signature = _defaults(found.make)
    for name, value in given.items():
        if name in (*found.options.arguments, *found.written, *OWN_ARGUMENTS, "pooler"):
            continue
        only = found.fixed.get(name, signature.get(name))
        if value != only:
            problems.append(f"a {found.class_name} with `{name}={value!r}`, only {only!r}")
    if "type_vocab_size" in config and not config["type_vocab_size"] and found.needs_segments:
        problems.append(f"a {found.class_name} without segments (`num_segments=0`)")
    if backbone.pooler and found.pooler is None:
        problems.append(f"a {found.class_name} with a pooler (`pooler=True`)")
    problems += found.write(backbone, config)
    name = found.class_name
    if model is not backbone:
        name = name.removesuffix("Model") + heads.task_class(model)
    if isinstance(model, NextSentence):
        if found.model_type != "bert" or tuple(model.labels) != LABELS:
            problems.append(f"a {name} with the labels {model.labels}, only a BertModel's with {LABELS}")
    elif model is not backbone:
        problems += heads.write_head(model, found, config)
    return {"architectures": [name], "model_type": found.model_type, **config}, problems


def _table(model: Any, backbone: Bert, found: Architecture) -> list[Tensor]:
    table = list(found.tensors(backbone, "" if model is backbone else found.prefix))
    if isinstance(model, MaskedLM):
        names = found.masked_lm[0]
        table += heads.masked_lm_tensors(model, names)
        own = f"{names.output}.bias"
        if not model.tie_output and own not in {row.name for row in table}:
            table.append(Tensor(own, model.head.output_bias))
    elif model is not backbone:
        table += heads.head_tensors(model, found)
    return table


def _defaults(make: type[Bert]) -> dict[str, Any]:
    """Return the defaults of a constructor's arguments; a subclass' own come first."""
    found: dict[str, Any] = {}
    for each in make.__mro__:
        if issubclass(each, Bert) and "__init__" in vars(each):
            for name, parameter in inspect.signature(each.__init__).parameters.items():
                found.setdefault(name, parameter.default)
    return found
