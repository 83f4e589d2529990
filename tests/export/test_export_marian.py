"""A MarianMT folder becomes a bundle: two tokenizers, language codes, and its own rules of the search."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from keras_attn_export import export
from tiny_marian import PIECES, SENTENCES, marian_folder
from tiny_models import in_process

from keras_attn import device, pretrained
from keras_attn.commands.verify import compare_with_run
from keras_attn.device.errors import BundleError
from keras_attn.device.files.bundle import MANIFEST, TARGET_TOKENIZER, Bundle
from keras_attn.device.text.pair_tokenizer import PairTokenizer
from keras_attn.generation import keras_translator
from keras_attn.sources.encoder_tokenizer import encoder_tokenizer
from keras_attn.sources.find_source import find_source


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return marian_folder(tmp_path_factory.mktemp("marian") / "folder")


@pytest.fixture(scope="module")
def bundle(folder):
    pairs = [*SENTENCES[:3], f"{SENTENCES[3]}\tEin Hund."]
    path = folder.parent / "bundle"
    with in_process():
        export(folder, path, "fp32", examples=pairs, buckets=[20], beam=2, proof_sentences=4)
    return path


def test_the_bundle_carries_both_tokenizers_languages_and_search(bundle):
    opened = Bundle.open(bundle)
    assert opened.manifest["languages"] == {"source": "en", "target": "de"}
    assert opened.manifest["search"] == {"force_end": True, "early_stopping": False}
    assert opened.manifest["special_ids"]["start"] == opened.manifest["special_ids"]["pad"]
    assert json.loads(opened.read(TARGET_TOKENIZER)) != json.loads(opened.read("tokenizer.json"))
    checks = {check["name"]: check for check in json.loads(opened.read("report.json"))["rungs"]}
    assert checks["fp32 search 2"]["figures"]["sentences"] == 1  # where a target is given, it is wanted


@pytest.mark.parametrize("beam", [1, 2])
def test_texts_are_translated_as_by_the_keras_model(folder, bundle, beam):
    source, translator = find_source(folder), device.load(bundle)
    keras = keras_translator(
        source.model, source.tokenizer, max_source_tokens=20, max_target_tokens=50, **source.search
    )
    texts = [*SENTENCES, "日本 ß", ">>deu<< A dog runs. Two men are watching. A dog.", ""]
    lengths = set()
    for limit in (3, 12):
        for text in texts:
            found, expected = (
                each.translate(text, beam=beam, max_length=limit) for each in (translator, keras)
            )
            assert (found.text, found.outputs[0].ids) == (expected.text, expected.outputs[0].ids)
            assert found.source_ids == expected.source_ids
            lengths.add(len(found.outputs[0].ids))
    assert max(lengths) > 5
    target = pretrained.load_tokenizer(folder, target=True)
    assert found.text == target.decode(found.outputs[0].ids)


def test_parts_of_a_long_text_keep_the_language_code(bundle):
    translator = device.load(bundle)
    text = ">>deu<< A dog runs. Two men are watching. A little girl likes cold water so much."
    translation = translator.translate(text, alignments=True)
    code = translator.tokenizer.encode(">>deu<<")[0]
    ends = translation.source_ids.count(0)
    assert translation.source_ids.count(code) == ends > 1
    assert translation.source_pieces[0] == ">>deu<<"
    assert translation.alignment.shape == (len(translation.outputs[0].ids), len(translation.source_ids))


def test_the_folder_recomputes_the_references(folder, bundle, tmp_path):
    check = compare_with_run(bundle, folder)
    assert check.ok, check.detail
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    shutil.copy(PIECES / "source.spm", other / "target.spm")
    check = compare_with_run(bundle, other)
    assert not check.ok and "target_tokenizer.json of" in check.detail


def test_a_damaged_target_tokenizer_is_named(bundle, tmp_path):
    copy = tmp_path / "bundle"
    shutil.copytree(bundle, copy)
    content = bytearray((copy / TARGET_TOKENIZER).read_bytes())
    content[100] ^= 1
    (copy / TARGET_TOKENIZER).write_bytes(content)
    with pytest.raises(BundleError, match=r"target_tokenizer.json does not have the SHA-256"):
        device.load(copy)
    manifest = json.loads((bundle / MANIFEST).read_text(encoding="utf-8"))
    del manifest["model"]["config"]["vocabulary_size"]
    shutil.copytree(bundle, copy, dirs_exist_ok=True)
    (copy / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(BundleError, match=r"target_tokenizer.json, but its manifest lacks the model's vocab"):
        device.load(copy)
    manifest["search"] = []
    (copy / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(BundleError, match="'search' must be"):
        device.load(copy)


def test_search_the_bundle_does_not_support_is_refused(tmp_path):
    folder = marian_folder(tmp_path / "one", bad_words_ids=[[5], [7]])
    with pytest.raises(ValueError, match=r"never produces the tokens \[5, 7\]"):
        find_source(folder)
    folder = marian_folder(tmp_path / "two", forced=False, forced_eos_token_id=4)
    with pytest.raises(pretrained.PretrainedError, match="forced_eos_token_id=4 is not the end token 0"):
        find_source(folder)


def test_big_bird_s_pieces_have_their_special_ids():
    model = SimpleNamespace(backbone=SimpleNamespace(pad_id=0, causal=False))
    tokenizer = encoder_tokenizer(pretrained.load_tokenizer(PIECES.parent / "bigbird-pieces"), model)
    named = {role: tokenizer.token(number) for role, number in tokenizer.special_ids.items()}
    assert named == {
        "pad": "<pad>",
        "start": "[CLS]",
        "end": "[SEP]",
        "unknown": "<unk>",
        "mask": "[MASK]",
    }


def test_sources_and_languages_are_read(folder):
    source = find_source(folder, examples=["a\tb", "c", ("d", "e")], languages={"source": "x", "target": "y"})
    assert isinstance(source.tokenizer, PairTokenizer)
    assert list(source.pairs) == [("a", "b"), ("c", ""), ("d", "e")]
    assert source.languages == {"source": "x", "target": "y"} and source.force_end
    assert np.isfinite(source.weights()["final_logits_bias"]).all()
    assert Path(folder).name == source.made_from["folder"]
