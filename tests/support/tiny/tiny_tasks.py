"""Tiny models that find entities, answer questions, score pairs or choose among labels, and their bundles."""

import contextlib
import functools

import numpy as np
from tiny_encoders import LENGTHS, encoder_tokenizer
from tiny_models import in_process, scratch, sentences, stir

LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
INFERENCE = ["contradiction", "neutral", "entailment"]
NAMES = ("entities", "answers", "apart", "reranker", "inference", "several")


@functools.cache
def tiny_task(name):
    """A model: `entities`, `answers`, `apart` (answers without segments), `reranker`, `inference` (natural
    language inference), or `several`, which has several labels or none."""
    import keras

    from keras_attn import models

    keras.utils.set_random_seed(5)
    sizes = {
        "vocabulary_size": encoder_tokenizer().tokenizer.get_vocab_size(),
        "num_layers": 2,
        "num_heads": 2,
        "hidden_dim": 16,
        "intermediate_dim": 24,
        "max_sequence_length": 16,
    }
    bert = models.Bert(
        **sizes, pooler=name in ("reranker", "inference", "several"), num_segments=2 * (name != "apart")
    )
    match name:
        case "entities":
            model = models.TokenClassifier(bert, LABELS)
        case "answers" | "apart":
            model = models.QuestionAnswerer(bert, intermediate_dim=24 if name == "apart" else None)
        case "reranker":
            model = models.TextScorer(bert)
        case "inference":
            model = models.TextClassifier(bert, INFERENCE)
        case "several":
            model = models.TextClassifier(bert, ["a", "b", "c"], multi_label=True)
        case _:
            raise ValueError(name)
    stir(model)
    for variable in model.variables:
        if variable.path.endswith(("kernel", "embeddings")):
            variable.assign(8.0 * variable.value)  # BERT starts so small that words hardly matter
    if name == "entities":  # every label is the best of some tokens
        ids = np.random.default_rng(0).integers(5, sizes["vocabulary_size"], (20, 14))
        logits = np.asarray(model({"token_ids": ids.astype("int32")}))
        model.output_dense.bias.assign(model.output_dense.bias - logits.mean((0, 1)))
    return model


def examples(name, count=60):
    """Held-out texts, or pairs of them."""
    texts = sentences()
    if name in ("answers", "apart", "reranker"):
        return [(texts[i], texts[i + 1]) for i in range(count)]
    return texts[:count] if name == "entities" else None


@functools.cache
def task_bundle(name, recipe="fp32"):
    """The path of a model's bundle."""
    from keras_attn_export import export

    path = scratch() / f"{name}-{recipe}"
    # Models that are traced need a process with TensorFlow as Keras' backend.
    with in_process() if name in ("inference", "several") else contextlib.nullcontext():
        export(
            tiny_task(name),
            path,
            recipe,
            tokenizer=encoder_tokenizer(),
            examples=examples(
                name, 30 if recipe != "fp32" else 60
            ),  # near-ties of random weights decide a metric
            lengths=LENGTHS,
            pairs=name == "inference",
            proof_sentences=6,
            conversions=scratch() / "conversions",
        )
    return path


def on_keras(name):
    """The object of a model's task, which computes with Keras."""
    from keras_attn.encoding import keras_task

    return keras_task(tiny_task(name), encoder_tokenizer(), LENGTHS)


def long_text(count=12, first=0):
    """A text of many windows."""
    return " ".join(sentences()[first : first + count])


def same_spans(one, other, tolerance=1e-5):
    """Whether two lists of results have the same spans, and nearly the same scores."""
    if len(one) != len(other):
        return False
    return all(
        {**a, "score": 0} == {**b, "score": 0} and abs(a["score"] - b["score"]) <= tolerance
        for a, b in zip(one, other, strict=True)
    )


def differing(one, other):
    """The largest difference between two lists of numbers."""
    return float(np.abs(np.asarray(one) - np.asarray(other)).max())
