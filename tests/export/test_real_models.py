"""Trained models of others, by several recipes: each export is proven, and loses what is accepted at most."""

import functools
import json
import time

import numpy as np
import pytest
from real_models import MissingError, antibodies, english, folder, reactions
from tiny_models import in_process, scratch

pytestmark = pytest.mark.real
CASES = {
    "splade-tiny": (english, [64]),
    "sapiens-vh": (antibodies, [144]),
    "rxnfp-classes": (reactions, [96]),
    "iglm-s": (lambda: [f"[HEAVY][HUMAN]{text}" for text in antibodies()], [(64, 64)]),
    "paraphrase-minilm-l3": (english, [64]),
}
# The smallest has its floats halved as well.
EXPORTS = [("sapiens-vh", "fp16"), *((name, recipe) for name in CASES for recipe in ("int8", "int4-mixed"))]


def model_folder(name):
    try:
        return folder(name)
    except MissingError as error:
        pytest.skip(str(error))


@functools.cache
def examples_of(name):
    texts = CASES[name][0]()
    if name != "rxnfp-classes":
        return texts
    from keras_attn.encoding import keras_task
    from keras_attn.sources.find_source import find_source

    source = find_source(folder(name))
    found = keras_task(source.model, source.tokenizer, CASES[name][1]).classify(texts)
    return [(each.input, each.label) for each in found]  # the model's own opinion


@functools.cache
def exported(name, recipe):
    """The bundle of a model, its report, and how long it took."""
    from keras_attn_export import export

    path, began = scratch() / f"{name}-{recipe}", time.monotonic()
    with in_process():
        bundle = export(
            folder(name), path, recipe, examples=examples_of(name), buckets=CASES[name][1],
            proof_sentences=12, metric_sentences=60, conversions=scratch() / name,
        )  # fmt: skip
    checks = {check["name"]: check for check in json.loads(bundle.read("report.json"))["rungs"]}
    return bundle, checks, time.monotonic() - began


@pytest.mark.parametrize(("name", "recipe"), EXPORTS)
def test_a_trained_model_is_proven(name, recipe):
    model_folder(name)
    bundle, checks, seconds = exported(name, recipe)
    metric = checks["metric"]["figures"]
    assert "not compared with" not in checks["metric"]["detail"]
    assert metric["loss"] <= metric["accepted"]
    size, detail = bundle.manifest["files"]["model.tflite"]["bytes"] / 2**20, checks["metric"]["detail"]
    print(f"{name} | {recipe} | {size:.2f} MB | {detail} | {metric['accepted']} | {seconds:.0f} s")
    for each in ("scores", "answers", "tokens", "widths"):
        print("   ", each, checks.get(f"{recipe} {each}", {}).get("detail"))


@pytest.mark.parametrize("name", CASES)
def test_4_bit_files_are_smaller_and_pass_their_proof(name):
    model_folder(name)
    (mixed, checks, _), (wide, _, _) = exported(name, "int4-mixed"), exported(name, "int8")
    sizes = [each.manifest["files"]["model.tflite"]["bytes"] for each in (mixed, wide)]
    chosen = [each for each in checks["int4-mixed widths"]["figures"]["matrices"] if each["narrow"]]
    assert sizes[0] < sizes[1] if chosen else sizes[0] == sizes[1]


def test_the_folders_hold_what_transformers_computes():
    """The weights have the right names: a paraphrase is nearer than another sentence."""
    from keras_attn import device

    model_folder("paraphrase-minilm-l3")
    embedder = device.load(exported("paraphrase-minilm-l3", "int8")[0].path)
    texts = ["A man is riding a horse.", "Somebody rides on a horse.", "The stock market fell on Friday."]
    one, same, other = (each.embedding / np.linalg.norm(each.embedding) for each in embedder.embed(texts))
    assert one @ same > 0.7 > 0.3 > one @ other
