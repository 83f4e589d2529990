"""The models that people download most: configurations are read, or refused for the reason that is shown."""

import json

import pytest
from checkpoint_page import refusal
from popular_checkpoints import BACKBONE, CHECKPOINTS, VECTORS

from keras_attn import models, pretrained
from keras_attn.pretrained import PretrainedError

SMALL = {
    "num_hidden_layers": 2, "n_layers": 2, "n_layer": 2, "encoder_layers": 2, "decoder_layers": 2,
    "num_attention_heads": 2, "n_heads": 2, "n_head": 2, "encoder_attention_heads": 2,
    "decoder_attention_heads": 2, "hidden_size": 24, "dim": 24, "n_embd": 24, "d_model": 24,
    "embedding_size": 24, "intermediate_size": 32, "hidden_dim": 32, "n_inner": 32, "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32, "vocab_size": 64, "n_positions": 64, "n_ctx": 64, "max_position_embeddings": 66,
    "position_buckets": 8, "local_attention": 8, "num_layers": 2, "num_heads": 2, "d_kv": 12, "d_ff": 32,
}  # fmt: skip
LOADED = [each for each in CHECKPOINTS if each.becomes]
# transformers knows this one by other names only.
NAMES = {
    "n_embd": "hidden_size", "n_head": "num_attention_heads", "n_layer": "num_hidden_layers",
    "n_inner": "intermediate_size", "n_positions": "max_position_embeddings", "rotary_emb_base": "rope_theta",
}  # fmt: skip

# Of translators, whose published ids are beyond the small vocabulary.
IDS = {
    "bos_token_id": 0,
    "pad_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 2,
    "forced_eos_token_id": 2,
}


def small(config):
    """A configuration with small sizes; ids of special tokens that do not fit are moved."""
    found = {name: SMALL.get(name, value) for name, value in config.items()}
    return {name: 3 if name.endswith("token_id") and value >= 64 else value for name, value in found.items()}


def test_sixty_and_more_are_listed_once():
    names = [each.name for each in CHECKPOINTS]
    assert len(names) == len(set(names)) >= 60
    assert all("/" in name for name in names)


@pytest.mark.parametrize("checkpoint", CHECKPOINTS, ids=lambda each: each.name)
def test_a_configuration_is_read_or_refused_as_the_page_says(checkpoint):
    reason = refusal(checkpoint.config)
    assert (reason is None) == bool(checkpoint.becomes), reason
    assert bool(checkpoint.becomes) or checkpoint.note
    assert checkpoint.becomes in ("", BACKBONE) or hasattr(models, checkpoint.becomes)


@pytest.mark.parity
@pytest.mark.parametrize("checkpoint", LOADED, ids=lambda each: each.name)
def test_its_folder_is_loaded(checkpoint, tmp_path):
    transformers = pytest.importorskip("transformers")
    config = small(checkpoint.config)
    kind, named = config["model_type"], (config.get("architectures") or ["DebertaV2Model"])[0]
    theirs = {NAMES[name]: value for name, value in config.items() if name in NAMES}
    published = kind not in ("t5", "bart", "mbart", "marian", "m2m_100", "pegasus")
    given = {**theirs, "vocab_size": 64} if kind == "nomic_bert" else config
    given = given if published else {**given, **IDS}
    made = transformers.AutoConfig.for_model(**{**given, "model_type": kind})
    getattr(transformers, named)(made).save_pretrained(tmp_path)
    if published:
        (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    model = pretrained.load(tmp_path)
    backbone = checkpoint.becomes in (VECTORS, BACKBONE)
    assert backbone or type(model).__name__ == checkpoint.becomes
    assert not published or pretrained.load(tmp_path, without_head=True).count_params() > 0


def test_a_refused_folder_is_told_why(tmp_path):
    [electra] = [each for each in CHECKPOINTS if "electra" in each.name]
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "xlnet"}), encoding="utf-8")
    with pytest.raises(PretrainedError):
        pretrained.load(tmp_path)
    assert "ElectraForPreTraining" in str(refusal(electra.config))
    assert "alibi" in str(refusal(next(each for each in CHECKPOINTS if "jina" in each.name).config))
