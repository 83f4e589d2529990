"""Graphs that convert without an error and compute something else. The proof has to find out."""

import dataclasses
from unittest import mock

import tensorflow as tf
from keras_attn_export.lowering import gpt2 as lowering_language
from keras_attn_export.lowering import transformer as lowering_transformer
from keras_attn_export.tracing import encoder


def dropped_source_mask(config, weights, buckets, rows):
    """Attend to padding as well."""
    signatures = lowering_transformer.lower(config, weights, buckets, rows=rows)

    def without_mask(function):
        return lambda token_ids, source_mask: function(token_ids, tf.maximum(source_mask, 1.0))

    return {
        name: dataclasses.replace(each, function=without_mask(each.function)) if "encode" in name else each
        for name, each in signatures.items()
    }


def swapped_query_and_key(config, weights, buckets, rows):
    """Use the query's weights for the keys and the other way round."""
    return lowering_transformer.lower(config, _Swapped(weights), buckets, rows=rows)


class _Swapped:
    def __init__(self, weights):
        self._weights = weights

    def __getitem__(self, path):
        swapped = {"/query/": "/key/", "/key/": "/query/"}
        part = next((part for part in swapped if part in path), None)
        return self._weights[path if part is None else path.replace(part, swapped[part])]

    def __contains__(self, path):
        return path in self._weights

    def __getattr__(self, name):
        return getattr(self._weights, name)


def wrong_scale(config, weights, buckets, rows):
    """Forget to scale the embeddings."""
    return lowering_transformer.lower({**config, "scale_embedding": False}, weights, buckets, rows=rows)


def stale_position(config, weights, buckets, rows):
    """Decode every token as if it were the first, in the step for several rows only."""
    signatures = lowering_transformer.lower(config, weights, buckets, rows=rows)

    def at_start(function):
        return lambda position, **inputs: function(position=position * 0, **inputs)

    return {
        name: dataclasses.replace(each, function=at_start(each.function)) if name.endswith("_2") else each
        for name, each in signatures.items()
    }


def untracked_variable(config, weights, buckets, rows):
    """Read a variable that the module which is saved does not hold."""
    signatures = lowering_transformer.lower(config, weights, buckets, rows=rows)
    variable = tf.Variable([1.0])

    def scaled(function):
        def scale(**inputs):
            outputs = function(**inputs)
            return {**outputs, "scores": outputs["scores"] * variable}

        return scale

    return {
        name: dataclasses.replace(each, function=scaled(each.function)) if "step" in name else each
        for name, each in signatures.items()
    }


def resource_variable(config, weights, buckets, rows):
    """Keep a counter in a variable: it stays a variable in the file."""
    signatures = lowering_transformer.lower(config, weights, buckets, rows=rows)
    counter = weights.constant([[0.0]])

    def counting(function):
        def count(**inputs):
            outputs = function(**inputs)
            counter.assign_add([[1.0]])
            return {**outputs, "scores": outputs["scores"] + 0.0 * counter}

        return count

    return {
        name: dataclasses.replace(each, function=counting(each.function)) if "step" in name else each
        for name, each in signatures.items()
    }


def ignored_weights(config, weights, buckets, rows):
    """Leave the last encoder layer out."""
    return lowering_transformer.lower({**config, "num_encoder_layers": 1}, weights, buckets, rows=rows)


def language_without_prompt(config, weights, buckets, rows):
    """Forget the prompt but for its last token."""
    signatures = lowering_language.lower_causal_lm(config, weights, buckets, rows)

    def forgetful(function):
        return lambda prompt_bias, **inputs: function(prompt_bias=prompt_bias - 1e9, **inputs)

    return {
        name: dataclasses.replace(each, function=forgetful(each.function)) if "step" in name else each
        for name, each in signatures.items()
    }


def encoder_without_mask(model, **arguments):
    """Trace an encoder that attends to padding as well."""
    signatures = encoder.trace(model, **arguments)

    def without_mask(function):
        return lambda token_ids, padding_mask: function(token_ids, tf.maximum(padding_mask, 1.0))

    return {
        name: dataclasses.replace(each, function=without_mask(each.function))
        for name, each in signatures.items()
    }


def encoder_with_another_tokenizer(model, **arguments):
    """Trace an encoder whose tokenizer in the graph reads a character as a space."""
    from keras_attn_export.graph_tokenizer import graph_tokenizer

    right = graph_tokenizer.read_word_pieces

    def wrong(tokenizer):
        tables = right(tokenizer)
        return dataclasses.replace(tables, replacements=[" ", *tables.replacements[1:]])

    with mock.patch.object(graph_tokenizer, "read_word_pieces", wrong):
        return encoder.trace(model, **arguments)
