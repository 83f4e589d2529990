"""A trained `keras_attn` Transformer in CTranslate2's format, with the same weights.

CTranslate2 has no importer for Keras, but its `TransformerSpec` knows all that our model can be configured
to: this file names each weight's place.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ctranslate2  # pyright: ignore[reportMissingImports]  # the `parity` extra
import numpy as np
from ctranslate2.specs import common_spec, transformer_spec  # pyright: ignore[reportMissingImports]

_ACTIVATIONS = {"relu": "RELU", "swish": "SWISH", "silu": "SWISH", "gelu": "GELU"}


class _Weights:
    """The model's arrays by their paths below its name, in CTranslate2's (out, in) order."""

    def __init__(self, arrays: Mapping[str, np.ndarray], units: int):
        self.arrays, self.units = arrays, units

    def linear(self, path: str, inputs: int) -> tuple[np.ndarray, np.ndarray]:
        """Return a dense layer's weights (O, I) and bias (O,), heads joined."""
        kernel, bias = self.arrays[f"{path}/kernel"], self.arrays[f"{path}/bias"]
        return kernel.reshape(inputs, -1).T, bias.reshape(-1)

    def put(self, spec: Any, *layers: tuple[np.ndarray, np.ndarray]) -> None:
        """Set a layer, made of several side by side."""
        spec.weight = np.ascontiguousarray(np.concatenate([weight for weight, _ in layers]))
        spec.bias = np.concatenate([bias for _, bias in layers])

    def norm(self, spec: Any, path: str) -> None:
        """Set a normalization."""
        spec.gamma, spec.beta = self.arrays[f"{path}/gamma"], self.arrays[f"{path}/beta"]

    def attention(self, spec: Any, path: str, norm: str, memory: bool = False) -> None:
        """Set an attention and the normalization beside it; over a memory, keys and values are apart."""
        query, key, value = (self.linear(f"{path}/{name}", self.units) for name in ("query", "key", "value"))
        if memory:
            self.put(spec.linear[0], query)
            self.put(spec.linear[1], key, value)
        else:
            self.put(spec.linear[0], query, key, value)
        output = self.arrays[f"{path}/attention_output/kernel"].reshape(-1, self.units).T
        self.put(spec.linear[-1], (output, self.arrays[f"{path}/attention_output/bias"]))
        self.norm(spec.layer_norm, norm)

    def feed_forward(self, spec: Any, path: str, hidden: int) -> None:
        """Set a feed-forward net and its normalization."""
        self.put(spec.linear_0, self.linear(f"{path}/feedforward_intermediate_dense", self.units))
        self.put(spec.linear_1, self.linear(f"{path}/feedforward_output_dense", hidden))
        self.norm(spec.layer_norm, f"{path}/feedforward_layer_norm")


def write(run: Any, folder: Path, quantization: str) -> None:
    """Write a run's model for CTranslate2.

    Args:
        run: `keras_attn.training.Run` of a Transformer.
        folder: where to.
        quantization: `"int8"`, or `"float32"` for none.
    """
    from keras_attn_export.lowering.transformer import sine_positions

    config = run.model.get_config()
    if not (config["share_embeddings"] and config["tie_output"]) or config["position_encoding"] == "learned":
        raise ValueError("this comparison is written for shared embeddings and sinusoidal positions")
    weights = _Weights(
        # Copies, since CTranslate2 scales arrays in place.
        {v.path.partition("/")[2]: np.array(v.value) for v in run.model.weights if "seed" not in v.path},
        config["hidden_dim"],
    )
    layers = (config["num_encoder_layers"], config["num_decoder_layers"])
    spec: Any = transformer_spec.TransformerSpec.from_config(
        layers,
        config["num_heads"],
        pre_norm=config["normalize_first"],
        activation=common_spec.Activation[_ACTIVATIONS[config["activation"]]],
    )
    table = weights.arrays["token_embedding/embeddings"]
    positions = sine_positions(config["max_sequence_length"], weights.units, config["position_encoding"])
    for name, side in (("encoder", spec.encoder), ("decoder", spec.decoder)):
        embeddings = side.embeddings[0] if name == "encoder" else side.embeddings
        embeddings.weight, side.position_encodings.encodings = table, positions
        side.scale_embeddings = weights.units**0.5 if config["scale_embedding"] else 1.0
        if config["normalize_first"]:
            weights.norm(side.layer_norm, f"{name}_norm")
        own = "self_attention_layer" if name == "encoder" else "self_attention"
        for i, layer in enumerate(side.layer):
            path = f"{name}_layer_{i}"
            weights.attention(layer.self_attention, f"{path}/{own}", f"{path}/self_attention_layer_norm")
            if name == "decoder":
                norm = f"{path}/cross_attention_layer_norm"
                weights.attention(layer.attention, f"{path}/cross_attention", norm, memory=True)
            weights.feed_forward(layer.ffn, path, config["intermediate_dim"])
    spec.decoder.projection.weight = table
    if config["output_bias"]:
        spec.decoder.projection.bias = weights.arrays["final_logits_bias"]
    # Tokens are called by their numbers: both sides read and write text with one tokenizer.
    names = [str(token) for token in range(len(table))]
    for role, field in (("start", "decoder_start_token"), ("end", "eos_token"), ("unknown", "unk_token")):
        setattr(spec.config, field, names[run.special_ids[role]])
    spec.config.bos_token, spec.config.layer_norm_epsilon = (
        spec.config.eos_token,
        config["layer_norm_epsilon"],
    )
    spec.register_source_vocabulary(names)
    spec.register_target_vocabulary(names)
    spec.validate()
    spec.optimize(quantization=None if quantization == "float32" else quantization)
    folder.mkdir(parents=True)
    spec.save(str(folder))


class Translator:
    """CTranslate2 with the bundle's own tokenizer: text in, text out."""

    def __init__(
        self, folder: Path, tokenizer: Any, limit: Any, threads: int, compute_type: str, together: int
    ):
        self.engine = ctranslate2.Translator(
            str(folder), inter_threads=1, intra_threads=threads, compute_type=compute_type
        )
        self.tokenizer, self.limit, self.together = tokenizer, limit, together

    def translate(self, texts: list[str], beam: int) -> list[str]:
        """Translate texts, some of them together at a time."""
        sources = [self.tokenizer.encode(text) for text in texts]
        found = self.engine.translate_batch(
            [[str(token) for token in source] for source in sources],
            beam_size=beam,
            max_batch_size=self.together,
            max_decoding_length=max(self.limit(len(source)) for source in sources),
            disable_unk=True,
        )
        return [self.tokenizer.decode([int(token) for token in each.hypotheses[0]]) for each in found]
