"""T5-shaped models of random weights for `ctranslate2_decode.py`."""

from pathlib import Path
from typing import Any

GATED = ("flan-t5-base",)
"""Shapes with gated feed-forward networks and an output matrix of their own."""


def is_t5(shape: str) -> bool:
    """Return whether a shape is one of T5's."""
    return "t5" in shape


def write_checkpoint(shape: str, sizes: tuple[int, ...], folder: Path) -> None:
    """Write a checkpoint whose attention and outputs are neither flat nor certain."""
    import torch  # pyright: ignore[reportMissingImports]  # the `parity` extra
    from transformers import (  # pyright: ignore[reportMissingImports]
        T5Config,
        T5ForConditionalGeneration,
    )

    units, encoders, decoders, heads, hidden, vocabulary = sizes
    torch.manual_seed(0)
    gated = {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False} if shape in GATED else {}
    options: dict[str, Any] = {
        "vocab_size": vocabulary, "d_model": units, "d_kv": units // heads, "d_ff": hidden,
        "num_layers": encoders, "num_decoder_layers": decoders, "num_heads": heads, "eos_token_id": 0,
        "pad_token_id": vocabulary - 1, "decoder_start_token_id": vocabulary - 1, **gated,
    }  # fmt: skip
    config = T5Config(**options)
    model = T5ForConditionalGeneration(config).eval()
    gains = {"wi": 4.0, "wo": 4.0, "EncDecAttention.o": 0.35}
    with torch.no_grad():
        if gated:
            model.lm_head.weight = torch.nn.Parameter(torch.empty(vocabulary, units))
        for name, weights in model.named_parameters():
            noise = torch.randn_like(weights)
            if "norm" in name:
                weights.copy_(1 + 0.1 * noise)
            elif "relative_attention_bias" in name:
                weights.copy_(noise)
            elif weights.shape[0] == vocabulary:
                # T5's outputs are scaled, those of its successors are not.
                weights.copy_(noise * (units**-0.5 if gated else 1.0) * 3)
                # Neither the end nor padding comes, so that every output has the wanted length.
                weights[[0, -1]] = 0
            elif name.endswith("Attention.q.weight"):
                weights.copy_(noise * 3 / units)
            else:
                gain = next((value for part, value in gains.items() if part in name), 1.0)
                weights.copy_(noise * (gain / weights.shape[1]) ** 0.5)
    model.save_pretrained(folder)


def ctranslate2_spec(checkpoint: Path) -> Any:
    """Return CTranslate2's model of a checkpoint, without its vocabulary."""
    from ctranslate2.converters.transformers import T5Loader  # pyright: ignore[reportMissingImports]
    from transformers import T5ForConditionalGeneration  # pyright: ignore[reportMissingImports]

    model = T5ForConditionalGeneration.from_pretrained(checkpoint)
    # By this its converter decides whether outputs are scaled, and transformers 5 always sets it.
    model.config.tie_word_embeddings = model.config.scale_decoder_outputs
    return T5Loader().get_model_spec(model)
