"""Named sizes of the models, by class; free of any import, so that a command line can list them."""

from typing import Any

PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "Transformer": {
        # Wu et al., 2021 (arXiv:2105.14462), "Transformer-Tiny" for Multi30k.
        "tiny": {"hidden_dim": 128, "intermediate_dim": 256, "num_heads": 4, "num_encoder_layers": 4,
                 "num_decoder_layers": 4},
        "small": {"hidden_dim": 256, "intermediate_dim": 1024, "num_heads": 4, "num_encoder_layers": 6,
                  "num_decoder_layers": 4},
        # A deep encoder and a shallow decoder (Kasai et al., 2021, arXiv:2006.10369): as good, and decoding
        # costs half. The second is as wide as the students of Firefox Translations.
        "shallow-tiny": {"hidden_dim": 128, "intermediate_dim": 256, "num_heads": 4, "num_encoder_layers": 6,
                         "num_decoder_layers": 2},
        "shallow": {"hidden_dim": 256, "intermediate_dim": 1536, "num_heads": 8, "num_encoder_layers": 6,
                    "num_decoder_layers": 2},
        # Vaswani et al., 2017, table 3.
        "base": {"hidden_dim": 512, "intermediate_dim": 2048, "num_heads": 8, "num_encoder_layers": 6,
                 "num_decoder_layers": 6},
        "big": {"hidden_dim": 1024, "intermediate_dim": 4096, "num_heads": 16, "num_encoder_layers": 6,
                "num_decoder_layers": 6},
    },
    "T5": {
        "tiny": {"hidden_dim": 128, "intermediate_dim": 256, "num_heads": 4, "num_encoder_layers": 4,
                 "num_decoder_layers": 4},
        # Raffel et al., 2020, section 3.7.
        "small": {"scale_output": True},
        "base": {"hidden_dim": 768, "intermediate_dim": 3072, "num_heads": 12, "num_encoder_layers": 12,
                 "num_decoder_layers": 12, "scale_output": True},
        # Chung et al., 2022 (arXiv:2210.11416), as T5 1.1.
        "flan-small": {"intermediate_dim": 1024, "num_heads": 6, "key_dim": 64, "num_encoder_layers": 8,
                       "num_decoder_layers": 8, "gated": True, "activation": "gelu_approximate",
                       "tie_output": False},
        "flan-base": {"hidden_dim": 768, "intermediate_dim": 2048, "num_heads": 12, "num_encoder_layers": 12,
                      "num_decoder_layers": 12, "gated": True, "activation": "gelu_approximate",
                      "tie_output": False},
    },
    "RNNSearch": {
        "tiny": {"embedding_dim": 128, "hidden_dim": 128, "maxout_dim": 128, "attention_dim": 128},
        # A quarter of the published sizes.
        "small": {"embedding_dim": 160, "hidden_dim": 256, "maxout_dim": 128, "attention_dim": 128},
        # Bahdanau et al., 2015, appendix A.2.
        "base": {"embedding_dim": 620, "hidden_dim": 1000, "maxout_dim": 500, "attention_dim": 1000},
    },
    "Seq2SeqRNN": {
        "tiny": {"embedding_dim": 128, "hidden_dim": 128, "maxout_dim": 128},
        "small": {"embedding_dim": 160, "hidden_dim": 256, "maxout_dim": 128},
        "base": {"embedding_dim": 620, "hidden_dim": 1000, "maxout_dim": 500},
    },
    "Bert": {
        "tiny": {"num_layers": 2, "num_heads": 2, "hidden_dim": 128, "intermediate_dim": 512},
        # Sanh et al., 2019: every other layer of base.
        "distil": {"num_layers": 6, "num_segments": 0, "pooler": False},
        # Wang et al., 2020, as in all-MiniLM-L6-v2.
        "minilm": {"num_layers": 6, "hidden_dim": 384, "intermediate_dim": 1536},
        # Devlin et al., 2019, section 3.
        "base": {},
        "large": {"num_layers": 24, "num_heads": 16, "hidden_dim": 1024, "intermediate_dim": 4096},
    },
    "BigBird": {
        "tiny": {"num_layers": 2, "num_heads": 2, "hidden_dim": 128, "intermediate_dim": 512},
        # Zaheer et al., 2020, table 8 (ITC).
        "base": {},
    },
    "Albert": {
        "tiny": {"num_layers": 2, "num_heads": 2, "hidden_dim": 128, "intermediate_dim": 512},
        # Lan et al., 2020, table 1.
        "base": {"dropout": 0.0},
    },
    "MPNet": {
        "tiny": {"num_layers": 2, "num_heads": 2, "hidden_dim": 128, "intermediate_dim": 512},
        # Song et al., 2020, section 4.1.
        "base": {"max_sequence_length": 512},
    },
    "Deberta": {
        "tiny": {"num_layers": 2, "num_heads": 2, "hidden_dim": 128, "intermediate_dim": 512},
        # He et al., 2023 (arXiv:2111.09543), section 5.1: DeBERTa-v3.
        "base": {},
        "small": {"num_layers": 6},
        "xsmall": {"num_heads": 6, "hidden_dim": 384, "intermediate_dim": 1536},
    },
    "ModernBert": {
        "tiny": {"num_layers": 4, "num_heads": 2, "hidden_dim": 128, "intermediate_dim": 192},
        # Warner et al., 2024, table 4.
        "base": {},
        "large": {"num_layers": 28, "num_heads": 16, "hidden_dim": 1024, "intermediate_dim": 2624},
    },
    "NomicBert": {
        "tiny": {"num_layers": 2, "num_heads": 2, "hidden_dim": 128, "intermediate_dim": 256},
        "base": {},
    },
    "T5Encoder": {
        "tiny": {"num_layers": 2, "num_heads": 2, "hidden_dim": 128, "intermediate_dim": 256},
        # Raffel et al., 2020, section 3.7.
        "base": {},
    },
    "GPT2": {
        "tiny": {"num_layers": 2, "num_heads": 2, "hidden_dim": 128, "intermediate_dim": 512},
        # Radford et al., 2019, table 2; with 50257 tokens, 124 million to 1.5 billion parameters.
        "base": {},
        "medium": {"num_layers": 24, "num_heads": 16, "hidden_dim": 1024, "intermediate_dim": 4096},
        "large": {"num_layers": 36, "num_heads": 20, "hidden_dim": 1280, "intermediate_dim": 5120},
        "xl": {"num_layers": 48, "num_heads": 25, "hidden_dim": 1600, "intermediate_dim": 6400},
        # Brown et al., 2020, table 2.1. How wide the bands are is not published; this is GPT-Neo's width.
        "gpt3-small": {"max_sequence_length": 2048, "local_window": 256},
        "gpt3-medium": {"num_layers": 24, "num_heads": 16, "hidden_dim": 1024, "intermediate_dim": 4096,
                        "max_sequence_length": 2048, "local_window": 256},
    },
}  # fmt: skip
