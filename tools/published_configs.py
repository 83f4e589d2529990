"""Configurations of Hugging Face's models as they were published, by architecture."""

from typing import Any


def sizes(layers: int, heads: int, hidden: int, intermediate: int, vocabulary: int) -> dict[str, int]:
    """Return the sizes of an encoder."""
    return {
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "hidden_size": hidden,
        "intermediate_size": intermediate,
        "vocab_size": vocabulary,
    }


def labels(*names: str) -> dict[str, Any]:
    """Return the labels of a classifier."""
    return {
        "id2label": {str(i): name for i, name in enumerate(names)},
        "label2id": {name: i for i, name in enumerate(names)},
    }


BASE, LARGE = (12, 12, 768, 3072), (24, 16, 1024, 4096)
SIX, TWELVE = (6, 12, 384, 1536), (12, 12, 384, 1536)
_USUAL = {
    "attention_probs_dropout_prob": 0.1,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "initializer_range": 0.02,
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": 512,
    "pad_token_id": 0,
    "position_embedding_type": "absolute",
    "type_vocab_size": 2,
    "use_cache": True,
}
_LATER = ("position_embedding_type", "use_cache")


def bert(
    head: str, size: tuple[int, int, int, int] = BASE, vocabulary: int = 30522, **more: Any
) -> dict[str, Any]:
    """Return a configuration of BERT."""
    named = {"architectures": [f"Bert{head}"], "model_type": "bert"}
    return {**named, **_USUAL, **sizes(*size, vocabulary), **more}


def roberta(
    head: str,
    size: tuple[int, int, int, int] = BASE,
    vocabulary: int = 50265,
    kind: str = "Roberta",
    **more: Any,
) -> dict[str, Any]:
    """Return a configuration of RoBERTa, or of another that counts its positions."""
    types = {"Roberta": "roberta", "XLMRoberta": "xlm-roberta", "Camembert": "camembert"}
    ids = {"bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1}
    own = {"layer_norm_eps": 1e-5, "max_position_embeddings": 514, "type_vocab_size": 1, **ids}
    named = {"architectures": [kind + head], "model_type": types[kind]}
    return {**named, **_USUAL, **own, **sizes(*size, vocabulary), **more}


def xlm_roberta(head: str, size: tuple[int, int, int, int] = BASE, **more: Any) -> dict[str, Any]:
    """Return a configuration of XLM-RoBERTa."""
    return roberta(head, size, 250002, "XLMRoberta", output_past=True, **more)


def distilbert(head: str, vocabulary: int = 30522, **more: Any) -> dict[str, Any]:
    """Return a configuration of DistilBERT."""
    return {
        "activation": "gelu", "architectures": [f"DistilBert{head}"], "attention_dropout": 0.1, "dim": 768,
        "dropout": 0.1, "hidden_dim": 3072, "initializer_range": 0.02, "max_position_embeddings": 512,
        "model_type": "distilbert", "n_heads": 12, "n_layers": 6, "pad_token_id": 0, "qa_dropout": 0.1,
        "seq_classif_dropout": 0.2, "sinusoidal_pos_embds": False, "tie_weights_": True,
        "vocab_size": vocabulary, **more,
    }  # fmt: skip


def deberta(head: str | None, size: tuple[int, int, int, int] = BASE, **more: Any) -> dict[str, Any]:
    """Return a configuration of DeBERTa-v3."""
    named = {} if head is None else {"architectures": [f"DebertaV2{head}"]}
    usual = {name: value for name, value in _USUAL.items() if name not in _LATER}
    return {
        **named, **usual, "layer_norm_eps": 1e-7, "max_relative_positions": -1, "model_type": "deberta-v2",
        "norm_rel_ebd": "layer_norm", "pos_att_type": "p2c|c2p", "position_biased_input": False,
        "position_buckets": 256, "relative_attention": True, "share_att_key": True, "type_vocab_size": 0,
        **sizes(*size, 128100), **more,
    }  # fmt: skip


def modernbert(head: str, layers: int, heads: int, hidden: int, intermediate: int) -> dict[str, Any]:
    """Return a configuration of ModernBERT."""
    return {
        "architectures": [f"ModernBert{head}"], "attention_bias": False, "attention_dropout": 0.0,
        "bos_token_id": 50281, "classifier_activation": "gelu", "classifier_bias": False,
        "classifier_dropout": 0.0, "classifier_pooling": "mean", "cls_token_id": 50281, "decoder_bias": True,
        "deterministic_flash_attn": False, "embedding_dropout": 0.0, "eos_token_id": 50282,
        "global_attn_every_n_layers": 3, "global_rope_theta": 160000.0, "gradient_checkpointing": False,
        "hidden_activation": "gelu", "initializer_cutoff_factor": 2.0, "initializer_range": 0.02,
        "layer_norm_eps": 1e-5, "local_attention": 128, "local_rope_theta": 10000.0,
        "max_position_embeddings": 8192, "mlp_bias": False, "mlp_dropout": 0.0, "model_type": "modernbert",
        "norm_bias": False, "norm_eps": 1e-5, "pad_token_id": 50283, "position_embedding_type": "absolute",
        "sep_token_id": 50282, "sparse_pred_ignore_index": -100, "sparse_prediction": False,
        **sizes(layers, heads, hidden, intermediate, 50368),
    }  # fmt: skip


def nomic(**more: Any) -> dict[str, Any]:
    """Return a configuration of NomicBERT, with the names of its first publication."""
    return {
        "activation_function": "swiglu", "architectures": ["NomicBertModel"], "attn_pdrop": 0.0,
        "auto_map": {"AutoModel": "nomic-ai/nomic-bert-2048--modeling_hf_nomic_bert.NomicBertModel"},
        "causal": False, "dense_seq_output": True, "embd_pdrop": 0.0, "fused_bias_fc": True,
        "fused_dropout_add_ln": True, "initializer_range": 0.02, "layer_norm_epsilon": 1e-12,
        "max_trained_positions": 2048, "mlp_fc1_bias": False, "mlp_fc2_bias": False,
        "model_type": "nomic_bert", "n_embd": 768, "n_head": 12, "n_inner": 3072, "n_layer": 12,
        "n_positions": 8192, "pad_vocab_size_multiple": 64, "parallel_block": False,
        "parallel_block_tied_norm": False, "prenorm": False, "qkv_proj_bias": False,
        "reorder_and_upcast_attn": False, "resid_pdrop": 0.0, "rotary_emb_base": 1000,
        "rotary_emb_fraction": 1.0, "rotary_emb_interleaved": False, "rotary_emb_scale_base": None,
        "rotary_scaling_factor": None, "scale_attn_by_inverse_layer_idx": False, "scale_attn_weights": True,
        "summary_activation": None, "summary_first_dropout": 0.0, "summary_proj_to_labels": True,
        "summary_type": "cls_index", "summary_use_proj": True, "type_vocab_size": 2, "use_cache": True,
        "use_flash_attn": True, "use_rms_norm": False, "use_xentropy": True, "vocab_size": 30528, **more,
    }  # fmt: skip


MPNET = {
    **{name: value for name, value in _USUAL.items() if name not in _LATER},
    "architectures": ["MPNetForMaskedLM"], "bos_token_id": 0, "eos_token_id": 2, "layer_norm_eps": 1e-5,
    "max_position_embeddings": 514, "model_type": "mpnet", "pad_token_id": 1,
    "relative_attention_num_buckets": 32, **sizes(*BASE, 30527),
}  # fmt: skip
ALBERT = {
    "architectures": ["AlbertForMaskedLM"], "attention_probs_dropout_prob": 0, "bos_token_id": 2,
    "classifier_dropout_prob": 0.1, "down_scale_factor": 1, "embedding_size": 128, "eos_token_id": 3,
    "gap_size": 0, "hidden_act": "gelu_new", "hidden_dropout_prob": 0, "initializer_range": 0.02,
    "inner_group_num": 1, "layer_norm_eps": 1e-12, "max_position_embeddings": 512, "model_type": "albert",
    "net_structure_type": 0, "num_hidden_groups": 1, "num_memory_blocks": 0, "pad_token_id": 0,
    "type_vocab_size": 2, **sizes(*BASE, 30000),
}  # fmt: skip
ELECTRA = {
    **_USUAL, "architectures": ["ElectraForPreTraining"], "embedding_size": 768, "model_type": "electra",
    "summary_activation": "gelu", "summary_last_dropout": 0.1, "summary_type": "first",
    "summary_use_proj": True, **sizes(*BASE, 30522),
}  # fmt: skip
GPT2 = {
    "activation_function": "gelu_new", "architectures": ["GPT2LMHeadModel"], "attn_pdrop": 0.1,
    "bos_token_id": 50256, "embd_pdrop": 0.1, "eos_token_id": 50256, "initializer_range": 0.02,
    "layer_norm_epsilon": 1e-5, "model_type": "gpt2", "n_ctx": 1024, "n_embd": 768, "n_head": 12,
    "n_layer": 12, "n_positions": 1024, "resid_pdrop": 0.1, "summary_activation": None,
    "summary_first_dropout": 0.1, "summary_proj_to_labels": True, "summary_type": "cls_index",
    "summary_use_proj": True, "vocab_size": 50257,
}  # fmt: skip


def translator(
    kind: str, model_type: str, size: tuple[int, int, int], vocabulary: int, **more: Any
) -> dict[str, Any]:
    """Return the sizes of a translator."""
    layers, heads, width = size
    both = {
        f"{side}_{name}": value
        for side in ("encoder", "decoder")
        for name, value in (("layers", layers), ("attention_heads", heads), ("ffn_dim", 4 * width))
    }
    named = {"architectures": [kind], "model_type": model_type}
    return {**named, **both, "d_model": width, "vocab_size": vocabulary, "is_encoder_decoder": True, **more}


def t5(size: tuple[int, int, int, int], vocabulary: int = 32128, **more: Any) -> dict[str, Any]:
    """Return a configuration of T5: layers, heads, and both widths."""
    layers, heads, width, inner = size
    named = {"architectures": ["T5ForConditionalGeneration"], "model_type": "t5", "is_encoder_decoder": True}
    sizes = {"num_layers": layers, "num_heads": heads, "d_model": width, "d_ff": inner, "d_kv": 64}
    ids = {"decoder_start_token_id": 0, "eos_token_id": 1, "pad_token_id": 0}
    usual = {"dropout_rate": 0.1, "layer_norm_epsilon": 1e-6, "relative_attention_num_buckets": 32}
    return {**named, **sizes, **ids, **usual, "vocab_size": vocabulary, **more}


def other(model_type: str, *architectures: str, **more: Any) -> dict[str, Any]:
    """Return what is enough of a configuration to refuse it."""
    return {"architectures": list(architectures), "model_type": model_type, **more}
