"""Options of checkpoints: none is passed over in silence, and what is missing is filled in as by others."""

import json
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from keras import ops
from keras_attn_export import export
from tiny_encoders import encoder_tokenizer
from tiny_marian import SENTENCES, marian_folder
from tiny_models import in_process, sentences

from keras_attn import device, pretrained
from keras_attn.device.search.search import search
from keras_attn.device.search.token_scores import Scores
from keras_attn.generation import KerasStepModel, keras_translator
from keras_attn.models import Bert, BigBird, TextEmbedder
from keras_attn.pretrained import PretrainedError
from keras_attn.pretrained import generation_config as generation
from keras_attn.pretrained.architectures.marian import OPTIONS as MARIAN_OPTIONS
from keras_attn.pretrained.ignored_options import REASONS
from keras_attn.pretrained.model_type import model_type_of
from keras_attn.sources.find_source import find_source

GOLDEN = Path(__file__).parents[1] / "golden"
GOOGLE = (
    "attention_probs_dropout_prob", "hidden_act", "hidden_dropout_prob", "hidden_size", "initializer_range",
    "intermediate_size", "max_position_embeddings", "num_attention_heads", "num_hidden_layers",
    "type_vocab_size", "vocab_size",
)  # fmt: skip


def copied(name, to, /, drop=(), **options):
    """A golden folder with other options."""
    shutil.copytree(GOLDEN / name, to)
    config = json.loads((to / "config.json").read_text(encoding="utf-8")) | options
    config = {name: value for name, value in config.items() if name not in drop}
    (to / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return to


def hidden(model, name):
    expected = np.load(GOLDEN / name / "expected.npz")
    given = {key: expected[key] for key in ("token_ids", "padding_mask")}
    found = np.asarray(ops.convert_to_numpy(model(given)["sequence_output"]))
    return found[expected["padding_mask"]], expected["sequence_output"][expected["padding_mask"]]


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        ("bert", "rope_theta", 10000.0),
        ("bert", "quantization_config", {"bits": 8}),
        ("bert", "auto_map", {"AutoModel": "model.Own"}),
        ("bert", "pruned_heads", {"0": [1]}),
        ("bert", "mystery", False),
        ("bert", "directionality", "uni"),
        ("bert", "cross_attention_hidden_size", 12),
        ("distilbert", "layer_norm_eps", 1e-5),
        ("bigbird", "attention_type", "sliding"),
        ("bigbird", "use_bias", False),
        ("gpt2", "scale_attn_weights", False),
        ("gpt2", "mystery", 0),
        ("marian", "normalize_embedding", True),
        ("marian", "mystery", [1]),
        ("marian", "static_position_embeddings", False),
    ],
)
def test_an_option_that_is_not_known_is_refused_by_name(name, option, value, tmp_path):
    with pytest.raises(PretrainedError, match=f"option {option}="):
        pretrained.load(copied(name, tmp_path / "folder", **{option: value}))


def test_ignored_options_are_listed_once_with_a_reason():
    names = [name for each in REASONS.values() for name in each]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("early_stopping", "never"),
        ("eos_token_id", [0, 1]),
        ("decoder_start_token_id", [3, 4]),
        ("forced_eos_token_id", 5),
        ("bad_words_ids", [[1, 2]]),
        ("length_penalty", -1.0),
        ("suppress_tokens", [0]),
        ("cache_implementation", "quantized"),
        *((name, "x") for name in generation.NEUTRAL),
        ("mystery", 1),
    ],
)
def test_an_option_of_the_search_is_refused_by_name(option, value, tmp_path):
    folder = copied("marian", tmp_path / "folder")
    found = json.loads((folder / "generation_config.json").read_text(encoding="utf-8"))
    (folder / "generation_config.json").write_text(json.dumps({**found, option: value}), encoding="utf-8")
    with pytest.raises(PretrainedError, match=option.removeprefix("decoder_start_")):
        pretrained.search_options(folder)
    for harmless in (None, *generation.NEUTRAL.get(option, ())):
        (folder / "generation_config.json").write_text(json.dumps({**found, option: harmless}))
        if option not in ("eos_token_id", "decoder_start_token_id"):
            pretrained.search_options(folder)


def test_new_tokens_are_counted_without_the_start(tmp_path):
    folder = copied("marian", tmp_path / "folder")
    for options, limit in (({"max_length": 9}, 8), ({"max_length": 9, "max_new_tokens": 5}, 5)):
        (folder / "generation_config.json").write_text(json.dumps(options), encoding="utf-8")
        assert pretrained.search_options(folder)["max_length"] == limit


@pytest.mark.parametrize("file", ["config.json", "bert_config.json"])
def test_google_s_own_options_of_bert_are_enough(file, tmp_path):
    folder = copied("bert", tmp_path / "folder")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").unlink()
    (folder / file).write_text(json.dumps({name: config[name] for name in GOOGLE}), encoding="utf-8")
    model = pretrained.load(folder)
    assert (model.layer_norm_epsilon, model.pad_id) == (1e-12, 0)
    np.testing.assert_allclose(*hidden(model, "bert"), atol=1e-5)


def test_architecture_is_determined_by_classes_or_options(tmp_path):
    for name in ("bert", "distilbert", "bigbird", "gpt2", "marian"):
        config = json.loads((GOLDEN / name / "config.json").read_text(encoding="utf-8"))
        kind = config.pop("model_type")
        assert model_type_of(config) == kind
        for architectures in (None, []):
            assert (
                model_type_of(
                    {
                        **config,
                        "architectures": architectures,
                    }
                )
                == kind
            )
    assert model_type_of({"architectures": ["BertJapaneseThing"]}) is None
    assert model_type_of({"architectures": ["LongformerModel"], "hidden_size": 3}) is None
    assert model_type_of({"architectures": ["XLMRobertaForMaskedLM"]}) == "xlm-roberta"
    # RoBERTa's options are BERT's, but its positions begin behind those of padding.
    assert model_type_of({**dict.fromkeys(GOOGLE, 1), "pad_token_id": 1}) is None
    with pytest.raises(PretrainedError, match="the architecture None is not known"):
        pretrained.load(copied("bert", tmp_path / "folder", ("model_type", "architectures"), pad_token_id=1))


def test_other_names_of_options_are_known(tmp_path):
    own = {"dim": "hidden_size", "n_heads": "num_attention_heads", "n_layers": "num_hidden_layers"}
    config = json.loads((GOLDEN / "distilbert" / "config.json").read_text(encoding="utf-8"))
    renamed = {alias: config[name] for name, alias in own.items()}
    model = pretrained.load(copied("distilbert", tmp_path / "one", own, **renamed))
    np.testing.assert_allclose(*hidden(model, "distilbert"), atol=1e-5)
    folder = copied("distilbert", tmp_path / "two", hidden_size=7)
    with pytest.raises(PretrainedError, match=f"options hidden_size=7 and dim={config['dim']} differ"):
        pretrained.load(folder)
    assert MARIAN_OPTIONS.completed({"num_hidden_layers": 3})[0]["encoder_layers"] == 3


def test_positions_that_are_sines_are_read(tmp_path):
    model = pretrained.load(copied("distilbert", tmp_path / "folder", sinusoidal_pos_embds=True))
    np.testing.assert_allclose(*hidden(model, "distilbert"), atol=1e-5)


def test_big_bird_with_full_attention(tmp_path):
    model = pretrained.load(copied("bigbird", tmp_path / "folder", attention_type="original_full"))
    assert isinstance(model, BigBird) and model.block_size is None
    dense = BigBird.from_config({**model.get_config(), "block_size": 100})
    for variable, value in zip(dense.trainable_variables, model.trainable_variables, strict=True):
        variable.assign(value)
    found, published = hidden(model, "bigbird")
    np.testing.assert_allclose(found, hidden(dense, "bigbird")[0], atol=1e-5)
    assert np.abs(found - published).max() > 1e-3  # which saw blocks
    pretrained.save(model, tmp_path / "saved")
    assert json.loads((tmp_path / "saved" / "config.json").read_text())["attention_type"] == "original_full"
    again = pretrained.load(tmp_path / "saved")
    np.testing.assert_array_equal(hidden(again, "bigbird")[0], found)


def test_dense_big_bird_is_exported(tmp_path):
    tokenizer = encoder_tokenizer()
    size = tokenizer.tokenizer.get_vocab_size()
    sizes = {"num_layers": 1, "num_heads": 2, "hidden_dim": 8, "intermediate_dim": 8}
    model = TextEmbedder(BigBird(size, block_size=None, pooler=False, max_sequence_length=24, **sizes))
    with in_process():
        export(
            model, tmp_path / "bundle", "fp32", tokenizer=tokenizer, buckets=[8, 21], heads=True,
            examples=sentences()[:9], proof_sentences=4,
        )  # fmt: skip
    assert device.load(tmp_path / "bundle").embed("the old cat").embedding.shape == (8,)


def test_probabilities_without_a_token_add_up_to_one():
    logits = np.array([[3.0, 50.0, 1.0, 2.0], [0.0, -1.0, 5.0, 5.0]], np.float32)
    found = np.asarray(Scores(logits).without({1}))
    np.testing.assert_allclose(np.exp(found[:, [0, 2, 3]]).sum(1), 1, rtol=1e-6)
    np.testing.assert_allclose(found[:, 0] - found[:, 2], logits[:, 0] - logits[:, 2], rtol=1e-6)


@pytest.fixture(scope="module")
def renormalized(tmp_path_factory):
    """A folder whose search leaves out padding, which is as likely as the best words, and renormalizes."""
    folder = tmp_path_factory.mktemp("renormalized") / "folder"
    return marian_folder(folder, padding=8.0, renormalize_logits=True)


def test_beams_are_compared_without_suppressed_tokens(renormalized):
    options, model = pretrained.search_options(renormalized), pretrained.load(renormalized)
    assert options["renormalize"]
    options |= {"beam": 4, "max_length": 20}
    source = find_source(renormalized)
    translator = keras_translator(
        source.model, source.tokenizer, max_source_tokens=20, max_target_tokens=20, **source.search
    )
    different = 0
    for text in SENTENCES:
        ids = np.array([source.tokenizer.encode(text)])
        found = [
            search(KerasStepModel(model, 20), ids, ids >= 0, **{**options, "renormalize": renormalize})[0][0]
            for renormalize in (True, False)
        ]
        output = translator.translate(text, beam=4, max_length=20).outputs[0]
        assert output.ids == found[0].ids and output.score == pytest.approx(found[0].score, abs=1e-4)
        different += found[0].ids != found[1].ids
    assert different


def test_bundle_beams_are_compared_the_same_way(renormalized):
    source, path = find_source(renormalized), renormalized.parent / "bundle"
    with in_process():
        export(renormalized, path, "fp32", examples=SENTENCES[:3], buckets=[20], beam=4, proof_sentences=4)
    keras = keras_translator(
        source.model, source.tokenizer, max_source_tokens=20, max_target_tokens=40, **source.search
    )
    for text in SENTENCES:
        found, expected = (each.translate(text, beam=4) for each in (device.load(path), keras))
        assert found.outputs[0].ids == expected.outputs[0].ids
        assert found.score == pytest.approx(expected.score, abs=1e-4)


@pytest.mark.parametrize(
    ("architectures", "files", "message"),
    [
        (
            ["BertForSequenceClassification"],
            ["vocab.txt"],
            ["BertForSequenceClassification", "AutoTokenizer"],
        ),
        (["BertForSequenceClassification"], [], ["BertForSequenceClassification"]),
        (None, ["tokenizer.json"], ["AutoModel", "AutoTokenizer"]),
        (['X"; import os; os.remove("a")'], [], ["AutoModel"]),
        (None, ["modules.json"], ["SentenceTransformer"]),
    ],
)
def test_the_way_to_convert_a_pickle_keeps_head_and_tokenizer(architectures, files, message, tmp_path):
    folder = copied("bert", tmp_path / "it's one", architectures=architectures)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    for name in files:
        (folder / name).write_text("[]", encoding="utf-8")
    with pytest.raises(PretrainedError, match=r"pytorch_model\.bin is a pickle") as error:
        pretrained.load(folder)
    command = shlex.split(str(error.value).partition("convert it once: ")[2])
    assert command[:2] == ["python", "-c"] and command[3:] == [str(folder), "converted"]
    compile(command[2], "command", "exec")
    assert "os.remove" not in command[2] and command[2].count("save_pretrained") == len(message)
    assert all(name in command[2] for name in message)


def test_without_head_does_not_change_a_plain_encoder(tmp_path):
    assert type(pretrained.load(GOLDEN / "bert", without_head=True)) is Bert


def changed(folder, change):
    """A folder whose tensors were changed."""
    from safetensors.numpy import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")
    return folder


def test_separate_output_layer_is_used_even_if_tied(tmp_path):
    def untie(tensors):
        tensors["lm_head.weight"] = 2 * tensors["transformer.wte.weight"]

    expected = np.load(GOLDEN / "gpt2" / "expected.npz")
    model = pretrained.load(changed(copied("gpt2", tmp_path / "folder"), untie))
    logits = model({"token_ids": expected["token_ids"], "padding_mask": expected["padding_mask"]})
    exists = expected["padding_mask"]
    np.testing.assert_allclose(np.asarray(logits)[exists], 2 * expected["logits"][exists], atol=1e-5)
    assert not model.tie_output


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        ("model.encoder.embed_positions.weight", "does not hold the sines"),
        ("model.decoder.embed_tokens.weight", "differs from model.shared.weight"),
        ("lm_head.weight", "differs from model.shared.weight"),
    ],
)
def test_copies_of_marian_s_that_differ_are_refused(tensor, message, tmp_path):
    def differ(tensors):
        shape = (32, 12) if "positions" in tensor else tensors["model.shared.weight"].shape
        tensors[tensor] = np.ones(shape, np.float32)

    with pytest.raises(PretrainedError, match=f"tensor {tensor} {message}"):
        pretrained.load(changed(copied("marian", tmp_path / "folder"), differ))


def test_unusable_weight_files_are_refused(tmp_path):
    def quantize(tensors):
        name = "encoder.layer.0.output.dense.weight"
        tensors[name] = (10 * tensors[name]).astype(np.int8)

    with pytest.raises(PretrainedError, match=r"output\.dense\.weight is stored as I8, not F32, F16"):
        pretrained.load(changed(copied("bert", tmp_path / "quantized"), quantize))
    folder = copied("bert", tmp_path / "adapted")
    (folder / "adapter_config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(PretrainedError, match=r"has an adapter .* merge it into them"):
        pretrained.load(folder)
    folder = copied("bert", tmp_path / "indexed")
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": 5}}', encoding="utf-8")
    with pytest.raises(PretrainedError, match="has no `weight_map` of file names"):
        pretrained.load(folder)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        # What older versions wrote into opus-mt-es-en, TinyBERT, deepset's models and others.
        ("marian", {"extra_pos_embeddings": 184, "do_blenderbot_90_layernorm": False, "total_flos": 0}),
        ("marian", {"tie_encoder_decoder": False, "force_bos_token_to_be_generated": False}),
        ("gpt2", {"tie_encoder_decoder": False, "is_encoder_decoder": False, "prefix": None}),
        ("bert", {"cell": {}, "emb_size": 312, "pre_trained": "", "structure": [], "training": ""}),
        ("bert", {"language": "english", "name": "Bert", "transformers.js_config": {"dtype": "q8"}}),
    ],
)
def test_ignored_options_of_published_checkpoints_are_accepted(name, options, tmp_path):
    pretrained.load(copied(name, tmp_path / "folder", **options))


def test_language_model_samples(tmp_path):
    folder = copied("gpt2", tmp_path / "folder", drop=("bos_token_id",), eos_token_id=7)
    path = folder / "generation_config.json"
    options = {"eos_token_id": 7, "do_sample": True, "temperature": 0.7, "top_k": 50, "max_length": 50}
    path.write_text(json.dumps(options), encoding="utf-8")
    assert generation.end_of_text(folder) == 7
    for option, value in {"repetition_penalty": 1.2, "bad_words_ids": [[3]], "mystery": 1}.items():
        path.write_text(json.dumps({**options, option: value}), encoding="utf-8")
        with pytest.raises(PretrainedError, match=f"option {option}="):
            generation.end_of_text(folder)


def test_search_continues_without_early_stopping(tmp_path):
    folder = copied("marian", tmp_path / "folder")
    path = folder / "generation_config.json"
    for given, wanted in ((None, False), (False, False), (True, True)):
        found = json.loads(path.read_text(encoding="utf-8")) | {"early_stopping": given}
        path.write_text(json.dumps(found), encoding="utf-8")
        assert pretrained.search_options(folder)["early_stopping"] is wanted
