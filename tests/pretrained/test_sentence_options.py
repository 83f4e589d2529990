"""Options of sentence-transformers' folders: computed, or refused by name; prompts that travel in bundles."""

import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops
from keras_attn_export import export
from keras_attn_export.buckets import choose_buckets
from tiny_models import in_process

from keras_attn import device, pretrained
from keras_attn.cli import run_program
from keras_attn.device.errors import BundleError, InputError, TextTooLong
from keras_attn.device.files.bundle import MANIFEST
from keras_attn.encoding import keras_task
from keras_attn.errors import ArgumentError
from keras_attn.models import Bert, TextClassifier, TextEmbedder
from keras_attn.pretrained import PretrainedError
from keras_attn.sources.find_source import find_source

GOLDEN = Path(__file__).parents[1] / "golden" / "bert"
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "query", ":", *(f"w{number}" for number in range(33))]
PROMPTS = {"query": "query: ", "passage": ""}


def sentence_encoder(folder, files=None, **options):
    """Save the golden BERT as a sentence encoder; `files` are options by the file that they are in."""
    shutil.copytree(GOLDEN, folder)
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    kinds = {"": "Transformer", "1_Pooling": "Pooling", "2_Normalize": "Normalize"}
    modules = [{"path": path, "type": f"sentence_transformers.models.{kind}"} for path, kind in kinds.items()]
    (folder / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
    (folder / "1_Pooling").mkdir()
    files = {"1_Pooling/config.json": {}, **(files or {}), "config_sentence_transformers.json": options}
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    return folder


def vectors(model, ids):
    ids = np.array([ids])
    return np.asarray(ops.convert_to_numpy(model({"token_ids": ids, "padding_mask": ids >= 0})))[0]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("config_sentence_transformers.json", {"default_prompt_name": "x"}, "default_prompt_name='x'"),
        ("config_sentence_transformers.json", {"model_type": "SparseEncoder"}, "model_type='SparseEncoder'"),
        ("config_sentence_transformers.json", {"truncate_dim": 0}, "truncate_dim=0"),
        ("config_sentence_transformers.json", {"similarity_fn_name": "jaccard"}, "fn_name='jaccard'"),
        ("config_sentence_transformers.json", {"prompts": {"query": 1}}, "option prompts="),
        ("config_sentence_transformers.json", {"mystery": 1}, "option mystery=1 is not known"),
        ("sentence_bert_config.json", {"transformer_task": "fill-mask"}, "transformer_task='fill-mask'"),
        ("sentence_bert_config.json", {"max_seq_length": "8"}, "max_seq_length='8'"),
        ("sentence_bert_config.json", {"model_args": {"add_pooling_layer": False}}, "option model_args="),
        ("sentence_bert_config.json", {"processing_kwargs": {"text": {"a": 4}}}, "processing_kwargs="),
        ("sentence_distilbert_config.json", {"mystery": 1}, "option mystery=1 is not known"),
        ("1_Pooling/config.json", {"pooling_mode": ["cls", "median"]}, "pooling by cls, median"),
        ("1_Pooling/config.json", {"pooling_mode": []}, "pooling by nothing"),
        ("1_Pooling/config.json", {"embedding_dimension": 13}, "embedding_dimension=13"),
        ("1_Pooling/config.json", {"mystery": 1}, "option mystery=1 is not known"),
    ],
)  # fmt: skip
def test_options_that_change_vectors_are_refused_by_name(name, options, message, tmp_path):
    folder = sentence_encoder(tmp_path / "folder")
    (folder / name).write_text(json.dumps(options), encoding="utf-8")
    with pytest.raises(PretrainedError, match=message.replace("(", r"\(")):
        pretrained.load(folder)


def test_excluding_prompts_from_pooling_is_refused(tmp_path):
    pooling = {"1_Pooling/config.json": {"include_prompt": False}}
    assert isinstance(pretrained.load(sentence_encoder(tmp_path / "none", pooling)), TextEmbedder)
    folder = sentence_encoder(tmp_path / "some", pooling, prompts=PROMPTS)
    with pytest.raises(PretrainedError, match="include_prompt=False with the prompts query is not supported"):
        pretrained.load(folder)


def test_custom_module_is_named(tmp_path):
    folder = sentence_encoder(tmp_path / "folder")
    modules = json.loads((folder / "modules.json").read_text())
    modules[1]["type"] = "custom.Pooling"
    (folder / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(PretrainedError, match=r"Transformer, custom.Pooling, Normalize are not supported"):
        pretrained.load(folder)


def test_without_head_a_sentence_encoder_is_its_backbone(tmp_path):
    found = pretrained.load(sentence_encoder(tmp_path / "folder"), without_head=True)
    assert type(found) is Bert and found.pooler


def test_fewer_dimensions_are_the_first_ones_of_the_normalized_vector(tmp_path):
    whole = pretrained.load(sentence_encoder(tmp_path / "whole"))
    model = pretrained.load(sentence_encoder(tmp_path / "some", truncate_dim=5, similarity_fn_name="dot"))
    np.testing.assert_array_equal(vectors(model, [2, 8, 9, 3]), vectors(whole, [2, 8, 9, 3])[:5])
    assert (model.dimensions, model.similarity) == (5, "dot")
    assert pretrained.load(sentence_encoder(tmp_path / "all", truncate_dim=99)).dimensions is None
    with pytest.raises(ValueError, match="from 1 to 12, got 13"):
        TextEmbedder(whole.backbone, dimensions=13)


def test_embedder_settings_are_saved(tmp_path):
    given = {
        "prompts": PROMPTS,
        "default_prompt_name": "query",
        "truncate_dim": 5,
        "similarity_fn_name": "dot",
    }
    model = pretrained.load(sentence_encoder(tmp_path / "folder", **given))
    pretrained.save(model, tmp_path / "saved")
    model.save(tmp_path / "model.keras")
    for again in (pretrained.load(tmp_path / "saved"), keras.saving.load_model(tmp_path / "model.keras")):
        assert (again.prompts, again.default_prompt) == (PROMPTS, "query")
        assert (again.dimensions, again.similarity) == (5, "dot")
    with pytest.raises(ValueError, match=r"`default_prompt` must name one of \['query'\], got 'x'"):
        TextEmbedder(model.backbone, prompts={"query": ""}, default_prompt="x")
    with pytest.raises(ValueError, match="`similarity` must be one of"):
        TextEmbedder(model.backbone, similarity="jaccard")


def test_text_is_cut_where_the_folder_says(tmp_path):
    encoder, tokenizer = {"sentence_bert_config.json": {"max_seq_length": 7}}, {"model_max_length": 6}
    both = {**encoder, "tokenizer_config.json": tokenizer}
    only = {"tokenizer_config.json": tokenizer}
    for number, (files, limit) in enumerate([(both, 7), (only, 6), ({}, None)]):
        source = find_source(sentence_encoder(tmp_path / str(number), files))
        assert source.longest_text == limit
    assert [each.source for each in choose_buckets(None, 512, None, (32, 64, 128), None, 100)] == [
        32,
        64,
        100,
    ]
    assert [each.source for each in choose_buckets(None, 16, None, (32, 64), None, 6)] == [6]
    assert [each.source for each in choose_buckets(None, 16, None, (32, 64), None, 99)] == [16]
    with pytest.raises(ValueError, match="bucket 64 exceeds the 32 tokens at which the model's folder cuts"):
        choose_buckets([64], 512, longest_text=32)
    for value in ("8", 0, True):
        folder = sentence_encoder(
            tmp_path / f"wrong {value}", {"tokenizer_config.json": {"model_max_length": value}}
        )
        with pytest.raises(PretrainedError, match="option model_max_length="):
            find_source(folder)
    folder = sentence_encoder(tmp_path / "left", {"tokenizer_config.json": {"truncation_side": "left"}})
    with pytest.raises(PretrainedError, match="truncation_side='left' is not supported"):
        find_source(folder)
    folder = sentence_encoder(tmp_path / "endless", {"tokenizer_config.json": {"model_max_length": 1e30}})
    assert find_source(folder).longest_text is None


def test_texts_are_read_in_lower_case_where_the_folder_says(tmp_path):
    files = {"tokenizer_config.json": {"do_lower_case": False}}
    assert pretrained.load_tokenizer(sentence_encoder(tmp_path / "as is", files)).encode("W5").ids == [
        2,
        1,
        3,
    ]
    files["sentence_bert_config.json"] = {"do_lower_case": True}
    assert pretrained.load_tokenizer(sentence_encoder(tmp_path / "lower", files)).encode("W5").ids == [
        2,
        12,
        3,
    ]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A folder with prompts, dimensions and a longest text, and its bundle."""
    files = {"tokenizer_config.json": {"model_max_length": 8}}
    options = {"prompts": PROMPTS, "default_prompt_name": "query", "truncate_dim": 5}
    folder = sentence_encoder(tmp_path_factory.mktemp("prompts") / "folder", files, **options)
    with in_process():
        export(folder, folder.parent / "bundle", "fp32", proof_sentences=4)
    return folder, folder.parent / "bundle"


def test_prompts_are_saved_in_the_bundle(exported):
    folder, bundle = exported
    source, embedder = find_source(folder), device.load(bundle)
    keras_side = keras_task(source.model, source.tokenizer, [8])
    assert embedder.prompts == PROMPTS and embedder.default_prompt == "query"
    text, spelled = "w1 w2", {None: "query: w1 w2", "query": "query: w1 w2", "passage": "w1 w2", "": "w1 w2"}
    found = {}
    for name, whole in spelled.items():
        expected = vectors(source.model, source.tokenizer.encode(whole))
        for each in (embedder, keras_side):
            found[name] = each.embed(text, prompt=name)
            assert found[name].input == text
            np.testing.assert_allclose(found[name].embedding, expected, atol=1e-6)
    assert np.abs(found["query"].embedding - found["passage"].embedding).max() > 1e-4
    with pytest.raises(InputError, match="The model has no prompt 'doc'; choose query, passage"):
        embedder.embed(text, prompt="doc")
    # The prompt counts as the text does: 2 tokens around, 2 of the prompt, and the others.
    assert embedder.fits("w1 w2 w3 w4") and not embedder.fits("w1 w2 w3 w4 w5")
    with pytest.raises(TextTooLong):
        embedder.embed("w1 w2 w3 w4 w5")
    cut = embedder.embed("w1 w2 w3 w4 w5", truncate=True).embedding
    np.testing.assert_array_equal(cut, embedder.embed("w1 w2 w3 w4").embedding)


def test_fewer_dimensions_are_the_first_ones(exported, capsys):
    _, bundle = exported
    embedder = device.load(bundle)
    whole = embedder.embed("w1 w2").embedding
    np.testing.assert_array_equal(embedder.embed("w1 w2", dimensions=3).embedding, whole[:3])
    assert [len(each.embedding) for each in embedder.embed(["w1", "w2"], dimensions=2)] == [2, 2]
    with pytest.raises(InputError, match="vectors have 5 values, and 6 were asked for"):
        embedder.embed("w1", dimensions=6)
    for wrong in (0, True, 2.0):
        with pytest.raises(ArgumentError, match="at least 1"):
            embedder.embed("w1", dimensions=wrong)
    assert run_program(["run", str(bundle), "w1 w2", "--dimensions", "3", "--json"]) == 0
    [output] = json.loads(capsys.readouterr().out)["outputs"]
    assert output["embedding"] == whole[:3].tolist()
    assert run_program(["run", str(bundle), "w1", "--dimensions", "0"]) == 2


def test_the_command_lines_take_a_prompt(exported, capsys):
    from keras_attn.device.__main__ import main

    _, bundle = exported
    expected = device.load(bundle).embed("w1", prompt="passage").to_json()
    for command in (
        lambda *options: run_program(["run", str(bundle), *options]),
        lambda *o: main([str(bundle), *o]),
    ):
        assert command("w1", "--prompt", "passage", "--json") == 0
        assert json.loads(capsys.readouterr().out) == expected
        assert command("w1", "--prompt", "doc") == 2
        assert "no prompt 'doc'; choose query, passage" in capsys.readouterr().err


def test_prompts_that_are_not_texts_are_refused(exported, tmp_path):
    manifest = json.loads((exported[1] / MANIFEST).read_text(encoding="utf-8"))
    for wrong, message in (
        ({"prompts": {"query": 5}}, "'prompts' must be texts by name"),
        ({"prompts": ["query"]}, "'prompts' must be texts by name"),
        ({"default_prompt": "doc"}, "'default_prompt' must name one of its prompts"),
    ):
        copy = tmp_path / "bundle"
        shutil.copytree(exported[1], copy, dirs_exist_ok=True)
        model = {**manifest["model"], "config": {**manifest["model"]["config"], **wrong}}
        (copy / MANIFEST).write_text(json.dumps({**manifest, "model": model}), encoding="utf-8")
        with pytest.raises(BundleError, match=message):
            device.load(copy)


def test_model_without_prompts_refuses_them(exported):
    source = find_source(exported[0])
    plain = TextEmbedder(source.model.backbone)
    task = keras_task(plain, source.tokenizer, [8])
    with pytest.raises(InputError, match="no prompt 'query'; it has none"):
        task.embed("w1", prompt="query")
    assert task.embed("w1").embedding.shape == (12,)


def cross_encoder(folder, **options):
    """Save the golden classifier as sentence-transformers 5 saves a cross encoder."""
    shutil.copytree(GOLDEN.parent / "bert-classifier", folder)
    described = {
        "model_type": "CrossEncoder",
        "activation_fn": "torch.nn.modules.linear.Identity",
        "prompts": {},
    }
    read = {
        "transformer_task": "sequence-classification",
        "modality_config": {"text": {"method": "forward", "method_output_name": "logits"}},
        "module_output_name": "scores",
    }
    files = {
        "modules.json": [{"path": "", "type": "sentence_transformers.base.modules.transformer.Transformer"}],
        "config_sentence_transformers.json": {**described, **options},
        "sentence_bert_config.json": read,
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    return folder


def test_a_cross_encoder_is_a_classifier(tmp_path):
    assert isinstance(pretrained.load(cross_encoder(tmp_path / "folder")), TextClassifier)
    message = cross_encoder(tmp_path / "message", prompts={"query": "q: "})
    with pytest.raises(PretrainedError, match="option prompts="):
        pretrained.load(message)


def test_double_lower_casing_is_applied_once(tmp_path):
    folder = sentence_encoder(tmp_path / "folder", {"sentence_bert_config.json": {"do_lower_case": True}})
    lowered = pretrained.load_tokenizer(folder)
    lowered.save(str(folder / "tokenizer.json"))
    options = {"tokenizer_class": "BertTokenizer", "do_lower_case": True}
    (folder / "tokenizer_config.json").write_text(json.dumps(options), encoding="utf-8")
    (folder / "sentence_bert_config.json").write_text("{}", encoding="utf-8")
    found = pretrained.load_tokenizer(folder)
    assert found.encode("W1 Query").ids == lowered.encode("W1 Query").ids == [2, 8, 5, 3]
    # Where the class leaves capitals, sentence-transformers itself would lose the small letters.
    options["do_lower_case"] = False
    layout = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    layout["normalizer"]["normalizers"][-1]["lowercase"] = False
    (folder / "tokenizer.json").write_text(json.dumps(layout), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(options), encoding="utf-8")
    with pytest.raises(PretrainedError, match="normalizer is Sequence"):
        pretrained.load_tokenizer(folder)
