"""RoBERTa to NomicBERT, with outputs and ids that transformers gave (tests/golden)."""

import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

from keras_attn import models, pretrained
from keras_attn.pretrained import PretrainedError

GOLDEN = Path(__file__).parents[1] / "golden"
# The classes of the model and of its backbone.
KINDS = {
    "roberta-words": (models.MaskedLM, models.Bert),
    "xlm-roberta-classifier": (models.TextClassifier, models.Bert),
    "camembert": (models.Bert, None),
    "electra-words": (models.MaskedLM, models.Bert),
    "electra-classifier": (models.TextClassifier, models.Bert),
    "mpnet": (models.MPNet, None),
    "mpnet-words": (models.MaskedLM, models.MPNet),
    "albert": (models.Albert, None),
    "albert-words": (models.MaskedLM, models.Albert),
    "deberta-words": (models.MaskedLM, models.Deberta),
    "deberta-classifier": (models.TextClassifier, models.Deberta),
    "modernbert-words": (models.MaskedLM, models.ModernBert),
    "modernbert-classifier": (models.TextClassifier, models.ModernBert),
    "nomic": (models.NomicBert, None),
    "t5-encoder": (models.T5Encoder, None),
}


def outputs(model, expected):
    """Outputs where there are tokens."""
    found = model({name: expected[name] for name in ("token_ids", "padding_mask")})
    found = found["sequence_output"] if isinstance(found, dict) else found
    return existing(np.asarray(ops.convert_to_numpy(found)), expected)


def existing(values, expected):
    return values[expected["padding_mask"]] if values.ndim == 3 else values


@pytest.mark.parametrize("name", KINDS)
def test_a_checkpoint_gives_the_outputs_it_was_published_with(name, tmp_path):
    expected, (kind, backbone) = np.load(GOLDEN / name / "expected.npz"), KINDS[name]
    model = pretrained.load(GOLDEN / name)
    assert type(model) is kind and (backbone is None or type(model.backbone) is backbone)
    found = outputs(model, expected)
    wanted = existing(expected["logits" if backbone else "sequence_output"], expected)
    assert np.abs(found - wanted).max() <= 2e-6 * np.abs(wanted).max()
    # Saved both ways it is the same model, to the bit.
    pretrained.save(model, tmp_path / "folder")
    model.save(tmp_path / "model.keras")
    for again in (pretrained.load(tmp_path / "folder"), keras.saving.load_model(tmp_path / "model.keras")):
        assert type(again) is kind
        np.testing.assert_array_equal(outputs(again, expected), found)


def test_shared_layers_are_stored_once(tmp_path):
    from safetensors.numpy import load_file

    pretrained.save(models.Albert.from_preset("tiny", vocabulary_size=30, num_layers=6), tmp_path / "albert")
    stored = load_file(tmp_path / "albert" / "model.safetensors")
    assert sum("attention.query.weight" in name for name in stored) == 1


def test_padding_changes_nothing():
    rng = np.random.default_rng(0)
    short, padding = rng.integers(4, 30, (2, 5)), np.ones((2, 3), int)
    long = {"token_ids": np.concatenate([short, padding], 1), "padding_mask": np.arange(8)[None] < [[5]] * 2}
    options = {"vocabulary_size": 30, "pad_id": 1}
    made = [getattr(models, name).from_preset("tiny", **options) for name in ("MPNet", "Albert", "NomicBert")]
    made.append(models.ModernBert.from_preset("tiny", **options, local_attention=2))
    made.append(models.Deberta.from_preset("tiny", **options, convolution=3))
    for model in made:
        found = np.asarray(model(long)["sequence_output"])[:, :5]
        wanted = model({"token_ids": short, "padding_mask": short > 0})["sequence_output"]
        np.testing.assert_allclose(found, wanted, atol=2e-5, err_msg=type(model).__name__)


def test_local_layers_see_near_tokens_only():
    """With one local layer, a token farther away than half the window changes nothing."""
    options = {"vocabulary_size": 30, "num_layers": 1, "global_layers": [], "local_attention": 4, "pad_id": 0}
    model = models.ModernBert.from_preset("tiny", **options)
    ids = np.arange(1, 11)[None]
    changed = ids.copy()
    changed[0, 6] = 20
    one, other = (np.asarray(model({"token_ids": each})["sequence_output"])[0] for each in (ids, changed))
    assert [bool(np.abs(row).max() > 1e-6) for row in one - other] == [4 <= i <= 8 for i in range(10)]


@pytest.fixture
def folder(tmp_path):
    """A folder that a test may change."""

    def copy(name, **options):
        to = Path(shutil.copytree(GOLDEN / name, tmp_path / name))
        config = json.loads((to / "config.json").read_text(encoding="utf-8"))
        (to / "config.json").write_text(json.dumps({**config, **options}), encoding="utf-8")
        return to

    return copy


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("roberta-words", {"max_position_embeddings": 2}, "must exceed pad_token_id=1"),
        ("roberta-words", {"position_embedding_type": "relative_key"}, "position_embedding_type"),
        ("mpnet", {"relative_attention_num_buckets": 16}, "relative_attention_num_buckets=16"),
        ("deberta-words", {"pos_att_type": "c2p|p2p"}, "pos_att_type"),
        ("deberta-words", {"relative_attention": False}, "without relative_attention"),
        ("deberta-words", {"embedding_size": 8}, r"embedding_size=8 is not supported \(only 12\)"),
        ("deberta-classifier", {"conv_kernel_size": 4}, "conv_kernel_size=4 is not supported: it is even"),
        ("modernbert-words", {"decoder_bias": False}, "decoder_bias=False"),
        ("modernbert-words", {"layer_types": ["full_attention"]}, "layer_types"),
        ("modernbert-words", {"rope_parameters": {"full_attention": {"rope_type": "yarn"}}}, "rope_param"),
        ("nomic", {"head_dim": 8}, "head_dim=8"),
        ("nomic", {"rope_parameters": {"rope_type": "dynamic", "factor": 2}}, "rope_parameters"),
        ("albert", {"net_structure_depth": 2}, "net_structure_depth=2 is not known"),
    ],
)
def test_options_that_are_not_computed_are_refused(folder, name, options, message):
    with pytest.raises(PretrainedError, match=message):
        pretrained.load(folder(name, **options))


def test_what_no_architecture_has_is_not_saved(tmp_path):
    offset = models.Bert.from_preset("tiny", vocabulary_size=30, position_offset=2, embedding_dim=8)
    with pytest.raises(PretrainedError, match="with `"):
        pretrained.save(offset, tmp_path / "folder")
    narrow = models.Albert.from_preset("tiny", vocabulary_size=30)
    with pytest.raises(PretrainedError, match="hidden_activation"):
        pretrained.save(models.MaskedLM(narrow, hidden_activation="relu"), tmp_path / "folder")


def test_older_configurations_name_layers_and_wavelengths_otherwise(folder):
    """As in the published ModernBERT, written before transformers 5."""
    to = folder(
        "modernbert-words", layer_norm_eps=1e-5, layer_types=None, rope_parameters=None,
        global_attn_every_n_layers=2, global_rope_theta=1000.0, local_rope_theta=500.0,
    )  # fmt: skip
    backbone = pretrained.load(to).backbone
    assert backbone.global_layers == [0, 2]
    assert (backbone.global_wavelength, backbone.local_wavelength) == (1000.0, 500.0)


@pytest.mark.parametrize("path", sorted((GOLDEN / "tokenizers").iterdir()), ids=lambda path: path.name)
def test_a_class_builds_its_tokenizer(path, tmp_path):
    tokenizer = pretrained.load_tokenizer(path)
    for text, ids in json.loads((path / "expected.json").read_text(encoding="utf-8")):
        pair = text if isinstance(text, list) else [text]
        assert tokenizer.encode(*pair).ids == ids
    # From tokenizer.json, it takes the vocabulary only: the class' rules are its own.
    tokenizer.pre_tokenizer = tokenizer.normalizer = None
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    shutil.copy(path / "tokenizer_config.json", tmp_path)
    again = pretrained.load_tokenizer(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "GPT2Tokenizer"}')
    if path.name not in ("RobertaTokenizer", "MPNetTokenizer"):
        with pytest.raises(PretrainedError, match="Unigram, that of a GPT2Tokenizer BPE"):
            pretrained.load_tokenizer(tmp_path)
    assert again.encode("a dog").ids == pretrained.load_tokenizer(path).encode("a dog").ids


def test_other_models_and_unknown_options_of_a_class_are_refused(tmp_path):
    for file in (GOLDEN / "tokenizers" / "RobertaTokenizer").iterdir():
        shutil.copy(file, tmp_path)
    config = tmp_path / "tokenizer_config.json"
    config.write_text('{"tokenizer_class": "RobertaTokenizer", "bos": 1}')
    with pytest.raises(PretrainedError, match="option bos=1 is not supported"):
        pretrained.load_tokenizer(tmp_path)
    config.write_text('{"tokenizer_class": "RobertaTokenizer"}')
    pretrained.load_tokenizer(tmp_path).save(str(tmp_path / "tokenizer.json"))
    config.write_text('{"tokenizer_class": "AlbertTokenizerFast"}')
    with pytest.raises(PretrainedError, match=r"its model is BPE, that of a AlbertTokenizer Unigram"):
        pretrained.load_tokenizer(tmp_path)


# Of nomic-embed-text-v1.5, whose sizes are here those of the tiny model.
PUBLISHED = {
    "activation_function": "swiglu", "attn_pdrop": 0.0, "auto_map": {"AutoModel": "modeling.NomicBertModel"},
    "causal": False, "dense_seq_output": True, "embd_pdrop": 0.0, "fused_bias_fc": True,
    "fused_dropout_add_ln": True, "initializer_range": 0.02, "layer_norm_epsilon": 1e-12,
    "max_trained_positions": 2048, "mlp_fc1_bias": False, "mlp_fc2_bias": False,
    "pad_vocab_size_multiple": 64, "parallel_block": False, "parallel_block_tied_norm": False,
    "prenorm": False, "qkv_proj_bias": False, "reorder_and_upcast_attn": False, "resid_pdrop": 0.0,
    "rotary_emb_base": 1000, "rotary_emb_fraction": 1.0, "rotary_emb_interleaved": False,
    "rotary_emb_scale_base": None, "rotary_scaling_factor": None,
    "scale_attn_by_inverse_layer_idx": False, "scale_attn_weights": True, "summary_activation": None,
    "summary_first_dropout": 0.0, "summary_proj_to_labels": True, "summary_type": "cls_index",
    "summary_use_proj": True, "torch_dtype": "float32", "transformers_version": "4.37.2",
    "use_cache": True, "use_flash_attn": True, "use_rms_norm": False, "use_xentropy": True,
}  # fmt: skip


def published(**options):
    """A configuration of the published checkpoints, of the golden model's sizes."""
    ours = json.loads((GOLDEN / "nomic" / "config.json").read_text("utf-8"))
    sizes = {
        "n_embd": ours["hidden_size"], "n_head": ours["num_attention_heads"],
        "n_layer": ours["num_hidden_layers"], "n_inner": ours["intermediate_size"],
        "n_positions": ours["max_position_embeddings"],
        "vocab_size": ours["vocab_size"], "type_vocab_size": ours["type_vocab_size"],
    }  # fmt: skip
    return {"model_type": "nomic_bert", "architectures": ["NomicBertModel"], **PUBLISHED, **sizes, **options}


def nomic(tmp_path, **options):
    to = Path(shutil.copytree(GOLDEN / "nomic", tmp_path / "published"))
    (to / "config.json").write_text(json.dumps(published(**options)), encoding="utf-8")
    return to


def test_nomics_published_options_have_other_names(tmp_path):
    expected, model = np.load(GOLDEN / "nomic" / "expected.npz"), pretrained.load(nomic(tmp_path))
    found, wanted = outputs(model, expected), existing(expected["sequence_output"], expected)
    assert np.abs(found - wanted).max() <= 2e-6 * np.abs(wanted).max()
    assert model.activation == "silu" and model.max_wavelength == 1000


def test_wavelengths_that_depend_on_the_length_are_left_to_texts_of_training(tmp_path):
    model = pretrained.load(nomic(tmp_path, rotary_scaling_factor=2, max_trained_positions=8))
    assert model.max_sequence_length == 8


@pytest.mark.parametrize(
    "option",
    [{"rotary_emb_fraction": 0.5}, {"prenorm": True}, {"qkv_proj_bias": True}, {"use_rms_norm": True}],
)
def test_other_kinds_of_nomics_model_are_refused(tmp_path, option):
    [(name, value)] = option.items()
    with pytest.raises(PretrainedError, match=f"{name}={value} is not supported"):
        pretrained.load(nomic(tmp_path, **option))


def test_what_was_pretrained_beside_words_is_left_out(tmp_path):
    """ALBERT's second head; ELECTRA's discriminator has no words, and is refused by name."""
    from safetensors.numpy import load_file, save_file

    to = Path(shutil.copytree(GOLDEN / "albert-words", tmp_path / "albert"))
    stored = load_file(to / "model.safetensors")
    more = {"sop_classifier.classifier.weight": np.zeros((2, 4), np.float32)}
    save_file({**stored, **more}, to / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((to / "config.json").read_text(encoding="utf-8"))
    (to / "config.json").write_text(
        json.dumps({**config, "architectures": ["AlbertForPreTraining"]}), "utf-8"
    )
    found, plain = pretrained.load(to), pretrained.load(GOLDEN / "albert-words")
    assert type(found) is models.MaskedLM
    for one, other in zip(found.weights, plain.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
    to = Path(shutil.copytree(GOLDEN / "electra-classifier", tmp_path / "electra"))
    config = json.loads((to / "config.json").read_text(encoding="utf-8"))
    (to / "config.json").write_text(
        json.dumps({**config, "architectures": ["ElectraForPreTraining"]}), "utf-8"
    )
    with pytest.raises(
        PretrainedError, match=r"head of ElectraForPreTraining is not known.*without_head=True"
    ):
        pretrained.load(to)
    assert type(pretrained.load(to, without_head=True)) is models.Bert
