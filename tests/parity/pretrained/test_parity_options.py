"""Options of others' checkpoints: each gives the outputs of transformers, or is refused by its name."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
from keras import ops

from keras_attn import pretrained
from keras_attn.device.search.search import search
from keras_attn.generation import KerasStepModel
from keras_attn.pretrained import generation_config as generation
from keras_attn.pretrained.architectures.encoders import ARCHITECTURES
from keras_attn.pretrained.architectures.encoders.nomic_bert import ALIASES as NOMIC_BERT_ALIASES
from keras_attn.pretrained.architectures.gpt2 import OPTIONS as GPT2_OPTIONS
from keras_attn.pretrained.architectures.marian import OPTIONS as MARIAN_OPTIONS

pytestmark = pytest.mark.parity

TABLES = {
    **{f"{each.class_name.removesuffix('Model')}Config": each.options for each in ARCHITECTURES.values()},
    "GPT2Config": GPT2_OPTIONS,
    "MarianConfig": MARIAN_OPTIONS,
}
# Names in published files that transformers' own class does not read: code beside those files does.
PUBLISHED = {"NomicBertConfig": NOMIC_BERT_ALIASES}


def fields_of(make):
    """Names of all that the installed transformers writes of a configuration, or reads into it."""
    return {*make().to_dict(), *(field.name for field in dataclasses.fields(make)), *make.attribute_map}


@pytest.mark.parametrize("name", TABLES)
def test_every_field_of_a_configuration_is_in_one_list(name):
    make, table = getattr(pytest.importorskip("transformers"), name), TABLES[name]
    lists = (table.computed, table.ignored, frozenset(table.only))
    unknown = sorted(field for field in fields_of(make) if sum(field in each for each in lists) != 1)
    assert not unknown, f"decide what to do with {', '.join(unknown)}"


@pytest.mark.parametrize("name", TABLES)
def test_missing_options_have_transformers_defaults(name):
    config, table = getattr(pytest.importorskip("transformers"), name)().to_dict(), TABLES[name]
    assert {option: config.get(option, value) for option, value in table.defaults.items()} == table.defaults
    only = {option: value for option, value in table.only.items() if config.get(option) is not None}
    assert {option: config[option] for option in only} == only
    others = PUBLISHED.get(name, {})
    theirs = getattr(pytest.importorskip("transformers"), name).attribute_map
    assert {alias: field for alias, field in table.aliases.items() if alias not in others} == theirs
    assert others.items() <= table.aliases.items()


def test_every_option_of_generate_is_in_one_list():
    config = pytest.importorskip("transformers").GenerationConfig()
    fields = {*vars(config), *config.to_dict()}
    lists = (frozenset(generation.COMPUTED), frozenset(generation.NEUTRAL), generation.IGNORED)
    unknown = sorted(field for field in fields if sum(field in each for each in lists) != 1)
    assert not unknown, f"decide what to do with {', '.join(unknown)}"
    defaults = config._get_default_generation_params()
    for name, values in generation.NEUTRAL.items():
        assert defaults.get(name) is None or defaults[name] in values, name


# A value of each option of config.json that is not the default.
DIFFERENT = {
    "BertModel": {
        "vocab_size": 41, "hidden_act": "gelu_fast", "layer_norm_eps": 1e-3, "type_vocab_size": 4,
        "num_attention_heads": 4, "pad_token_id": 5, "position_embedding_type": "relative_key",
        "is_decoder": True,
        "add_cross_attention": True, "chunk_size_feed_forward": 1, "tie_word_embeddings": False,
        "classifier_dropout": 0.4, "use_cache": False, "dtype": "float16", "problem_type": "regression",
        "pruned_heads": {"0": [1]}, "output_attentions": True, "use_bias": False, "rope_theta": 100.0,
        "quantization_config": {"bits": 8}, "initializer_range": 0.5, "hidden_dropout_prob": 0.3,
    },
    "DistilBertModel": {
        "sinusoidal_pos_embds": True, "activation": "gelu_python", "qa_dropout": 0.4, "n_heads": 2,
        "hidden_size": 30,
        "seq_classif_dropout": 0.5, "layer_norm_eps": 1e-3, "attention_dropout": 0.3,
    },
    "BigBirdModel": {
        "attention_type": "original_full", "use_bias": False, "rescale_embeddings": True, "block_size": 2,
        "num_random_blocks": 2, "is_decoder": True, "sep_token_id": 7, "hidden_act": "quick_gelu",
    },
    "GPT2Model": {
        "scale_attn_weights": False, "scale_attn_by_inverse_layer_idx": True, "reorder_and_upcast_attn": True,
        "n_inner": 20, "activation_function": "gelu_python_tanh", "layer_norm_epsilon": 1e-2,
        "attn_pdrop": 0.3,
        "resid_pdrop": 0.3, "embd_pdrop": 0.3, "summary_use_proj": False, "n_ctx": 8, "pad_token_id": 3,
        "add_cross_attention": True, "is_decoder": True,
    },
}  # fmt: skip
# Options that decide the shapes of weights.
SHAPES = ("vocab_size", "type_vocab_size", "n_inner", "hidden_size", "num_attention_heads")
SMALL = {
    "BertModel": {
        "vocab_size": 40, "max_position_embeddings": 16, "hidden_size": 24, "num_hidden_layers": 2,
        "num_attention_heads": 3, "intermediate_size": 20,
    },
    "DistilBertModel": {
        "vocab_size": 40, "max_position_embeddings": 16, "dim": 24, "n_layers": 1, "n_heads": 3,
        "hidden_dim": 20,
    },
    "GPT2Model": {
        "vocab_size": 40, "n_positions": 16, "n_embd": 24, "n_layer": 2, "n_head": 3, "bos_token_id": None,
        "eos_token_id": None,
    },
}  # fmt: skip
SMALL["BigBirdModel"] = {**SMALL["BertModel"], "block_size": 1, "num_random_blocks": 1}


def randomized(name, options):
    transformers, torch = pytest.importorskip("transformers"), pytest.importorskip("torch")
    torch.manual_seed(0)
    make = getattr(transformers, name)
    model = make(make.config_class(**options))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


def hidden(model, ids, mask):
    torch = pytest.importorskip("torch")
    with torch.no_grad():
        found = model(input_ids=torch.tensor(ids), attention_mask=torch.tensor(mask).long())
    return found.last_hidden_state.float().numpy()


@pytest.mark.parametrize(
    ("name", "option"), [(name, option) for name, options in DIFFERENT.items() for option in options]
)
def test_an_option_is_computed_or_refused_by_name(name, option, tmp_path):
    transformers = pytest.importorskip("transformers")
    value = DIFFERENT[name][option]
    given = {option: value} if option in SHAPES else {}
    randomized(name, {**SMALL[name], **given}).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    (tmp_path / "config.json").write_text(json.dumps({**config, option: value}), encoding="utf-8")
    try:
        ours = pretrained.load(tmp_path)
    except pretrained.PretrainedError as error:
        assert option in str(error)
        return
    theirs = transformers.AutoModel.from_pretrained(tmp_path, dtype="float32").eval()
    mask = np.arange(9)[None] < np.array([[9], [5], [1]])
    ids = np.where(mask, np.random.default_rng(0).integers(8, 40, (3, 9)), 0)
    found = np.asarray(
        ops.convert_to_numpy(ours({"token_ids": ids, "padding_mask": mask})["sequence_output"])
    )
    expected = hidden(theirs, ids, mask)[mask]
    assert np.abs(found[mask] - expected).max() <= 2e-6 * np.abs(expected).max()


PAD, END, ROWS = 39, 0, 10
MARIAN = {
    "vocab_size": 40, "decoder_vocab_size": 40, "d_model": 24, "encoder_layers": 1, "decoder_layers": 2,
    "encoder_ffn_dim": 20, "decoder_ffn_dim": 20, "encoder_attention_heads": 3, "decoder_attention_heads": 3,
    "max_position_embeddings": 32, "pad_token_id": PAD, "eos_token_id": END, "decoder_start_token_id": PAD,
    "forced_eos_token_id": END, "scale_embedding": True, "activation_function": "swish",
}  # fmt: skip
DIFFERENT_MARIAN = {
    "activation_function": "relu", "scale_embedding": False, "normalize_embedding": True,
    "normalize_before": True,
    "static_position_embeddings": False, "extra_pos_embeddings": 2, "add_bias_logits": True, "dropout": 0.3,
    "activation_dropout": 0.2, "encoder_layerdrop": 0.5, "is_encoder_decoder": False, "num_hidden_layers": 1,
    "num_attention_heads": 2, "share_encoder_decoder_embeddings": False, "tie_word_embeddings": False,
    "decoder_attention_heads": 2, "classif_dropout": 0.3, "use_cache": False, "mystery": 1,
}  # fmt: skip
DIFFERENT_SEARCH = {
    "bad_words_ids": [[PAD], [5]], "suppress_tokens": [PAD, 7], "renormalize_logits": True, "num_beams": 3,
    "length_penalty": 0.3, "max_length": 6, "max_new_tokens": 5, "early_stopping": False,
    "forced_eos_token_id": END, "eos_token_id": [END, 4], "do_sample": True, "num_beam_groups": 2,
    "diversity_penalty": 0.5, "repetition_penalty": 1.5, "no_repeat_ngram_size": 2, "min_length": 4,
    "min_new_tokens": 4, "encoder_no_repeat_ngram_size": 2, "encoder_repetition_penalty": 1.5,
    "exponential_decay_length_penalty": [2, 1.5], "forced_bos_token_id": 6, "begin_suppress_tokens": [6],
    "sequence_bias": [[[5], 4.0]], "remove_invalid_values": True, "temperature": 0.5, "top_k": 3,
    "top_p": 0.5,
    "penalty_alpha": 0.6, "stop_strings": ["a"], "guidance_scale": 2.0, "num_return_sequences": 2,
    "decoder_start_token_id": 3, "use_cache": False, "mystery": 1, "token_healing": True, "max_time": 1.0,
    "watermarking_config": {"greenlist_ratio": 0.3}, "prompt_lookup_num_tokens": 2,
}  # fmt: skip


@pytest.fixture(scope="module")
def marian(tmp_path_factory):
    """A folder of a model to which padding is as likely as the best words."""
    transformers, torch = pytest.importorskip("transformers"), pytest.importorskip("torch")
    torch.manual_seed(1)
    model = transformers.MarianMTModel(transformers.MarianConfig(**MARIAN)).eval()
    for name, parameter in model.named_parameters():
        if "embed_positions" not in name:
            torch.nn.init.normal_(parameter, mean=float("norm.weight" in name), std=0.3)
            parameter.data *= 5 if "encoder_attn.out_proj.weight" in name else 1
    torch.nn.init.normal_(model.final_logits_bias, std=0.3)
    model.final_logits_bias[0, END] += 2.5
    model.final_logits_bias[0, PAD] += 6
    model.generation_config.forced_eos_token_id = None
    model.generation_config.bad_words_ids = [[PAD]]
    model.generation_config.num_beams = 4
    model.generation_config.max_new_tokens = 10
    model.generation_config.early_stopping = True
    folder = tmp_path_factory.mktemp("marian") / "folder"
    model.save_pretrained(folder)
    return folder


def with_options(folder, to, name, **options):
    """A copy of a folder with further options in one of its files."""
    shutil.copytree(folder, to)
    found = json.loads((to / name).read_text(encoding="utf-8"))
    (to / name).write_text(json.dumps({**found, **options}), encoding="utf-8")
    return to


def sources():
    rng = np.random.default_rng(0)
    mask = np.arange(7)[None] < rng.integers(2, 8, (ROWS, 1))
    return np.where(mask, rng.integers(1, PAD, (ROWS, 7)), PAD), mask


@pytest.mark.parametrize("option", DIFFERENT_MARIAN)
def test_marian_s_options_are_computed_or_refused_by_name(marian, option, tmp_path):
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    folder = with_options(marian, tmp_path / "folder", "config.json", **{option: DIFFERENT_MARIAN[option]})
    try:
        ours = pretrained.load(folder)
    except pretrained.PretrainedError as error:
        assert option in str(error) or "embed_tokens" in str(error)
        return
    ids, mask = sources()
    target = np.random.default_rng(1).integers(1, PAD, (ROWS, 6))
    given = {"encoder_token_ids": ids, "encoder_padding_mask": mask, "decoder_token_ids": target}
    found = np.asarray(ops.convert_to_numpy(ours(given)))
    with torch.no_grad():
        expected = transformers.MarianMTModel.from_pretrained(folder).eval()(
            input_ids=torch.tensor(ids),
            attention_mask=torch.tensor(mask).long(),
            decoder_input_ids=torch.tensor(target),
        )
    expected = expected.logits.numpy()
    assert np.abs(found - expected).max() <= 2e-6 * np.abs(expected).max()


@pytest.mark.parametrize("option", DIFFERENT_SEARCH)
def test_an_option_of_generate_is_computed_or_refused_by_name(marian, option, tmp_path):
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    options = {option: DIFFERENT_SEARCH[option]}
    options |= {"max_new_tokens": None} if option == "max_length" else {}
    folder = with_options(marian, tmp_path / "folder", "generation_config.json", **options)
    try:
        ours = pretrained.search_options(folder)
    except pretrained.PretrainedError as error:
        assert f"option {option}=" in str(error)
        return
    ids, mask = sources()
    beam, length = ours["beam"], ours["max_length"]
    found = search(KerasStepModel(pretrained.load(folder), length), ids, mask, n_best=beam, **ours)
    # At the limit generate() lets unfinished hypotheses compete with the finished ones.
    best = [max(sentence, key=lambda hypothesis: hypothesis.score).ids for sentence in found]
    if not ours["early_stopping"]:
        assert best == [sentence[0].ids for sentence in found]
    model = transformers.MarianMTModel.from_pretrained(folder).eval()
    expected = model.generate(torch.tensor(ids), attention_mask=torch.tensor(mask).long()).tolist()
    assert best == [[token for token in tokens[1:] if token not in (PAD, END)] for tokens in expected]
    if ours["renormalize"]:
        # Padding's share of probability matters here.
        ours["renormalize"] = False
        found = search(KerasStepModel(pretrained.load(folder), length), ids, mask, n_best=beam, **ours)
        assert best != [max(each, key=lambda hypothesis: hypothesis.score).ids for each in found]


# Tensors beside those that are saved: copies of others, and what old versions kept.
SPARE = {
    "BertForMaskedLM": ["cls.predictions.decoder.weight", "cls.predictions.decoder.bias"],
    "BertForPreTraining": ["cls.predictions.decoder.weight"],
    "DistilBertForMaskedLM": ["vocab_projector.weight"],
    "GPT2LMHeadModel": ["lm_head.weight"],
    "MarianMTModel": [
        "lm_head.weight", "model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight",
        "model.encoder.embed_positions.weight", "model.decoder.embed_positions.weight",
    ],
}  # fmt: skip


@pytest.mark.parametrize("different", [False, True])
@pytest.mark.parametrize(("name", "tensor"), [(name, each) for name, some in SPARE.items() for each in some])
def test_differing_copy_is_used_as_in_transformers(name, tensor, different, marian, tmp_path):
    transformers, torch = pytest.importorskip("transformers"), pytest.importorskip("torch")
    save_file = pytest.importorskip("safetensors.torch").save_file
    make = getattr(transformers, name)
    if name == "MarianMTModel":
        shutil.copytree(marian, tmp_path, dirs_exist_ok=True)
        model = make.from_pretrained(marian)
    else:
        model = randomized(name, SMALL[{"B": "BertModel", "D": "DistilBertModel", "G": "GPT2Model"}[name[0]]])
        model.save_pretrained(tmp_path)
    saved = pytest.importorskip("safetensors.torch").load_file(tmp_path / "model.safetensors")
    value = model.state_dict()[tensor].clone()
    torch.manual_seed(7)
    saved[tensor] = torch.randn(value.shape) if different else value
    save_file(saved, tmp_path / "model.safetensors", metadata={"format": "pt"})
    try:
        ours = pretrained.load(tmp_path)
    except pretrained.PretrainedError as error:
        assert different and name == "MarianMTModel" and f"tensor {tensor} " in str(error)
        return
    ids = np.random.default_rng(0).integers(1, 39, (2, 7))
    given = {"input_ids": torch.tensor(ids)}
    if name == "MarianMTModel":
        inputs = {"encoder_token_ids": ids, "decoder_token_ids": ids}
        given["decoder_input_ids"] = given["input_ids"]
    else:
        inputs = {"token_ids": ids, "padding_mask": np.ones(ids.shape, bool)}
    with torch.no_grad():
        found = make.from_pretrained(tmp_path).eval()(**given)
    expected = (found.prediction_logits if name == "BertForPreTraining" else found.logits).numpy()
    logits = np.asarray(ops.convert_to_numpy(ours(inputs)))
    assert np.abs(logits - expected).max() <= 2e-6 * np.abs(expected).max()
