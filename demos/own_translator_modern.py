"""A translator of your own as they are built today: rotary positions, RMS normalization, gated feed-forward.

python demos/own_translator_modern.py      it learns to read dates, is exported, proven, and run
"""

import os
from typing import Annotated

os.environ.setdefault("KERAS_BACKEND", "tensorflow")  # a script's own class is traced where it is

import keras
import typer
from keras import layers, ops

from keras_attn.layers import RotaryEmbedding, dot_product_attention, filled_slots, step_attention
from keras_attn.models import EncoderDecoder


@keras.saving.register_keras_serializable("own")
class Attention(layers.Layer):
    """Attention after a normalization, added to its input; queries and keys turn with their positions."""

    def __init__(self, depth: int, heads: int, **kwargs):
        super().__init__(**kwargs)
        self.heads, self.size = heads, depth // heads
        self.norm, self.rotary = layers.RMSNormalization(), RotaryEmbedding()
        self.query, self.key, self.value, self.mix = (layers.Dense(depth, use_bias=False) for _ in range(4))

    def split(self, x, positions=None):
        """Split (B, T, D) into heads (B, T, H, dh), and turn them by positions (B, T), if there are any."""
        x = ops.reshape(x, (-1, ops.shape(x)[1], self.heads, self.size))
        return x if positions is None else self.rotary(x, positions=positions)

    def project(self, x, positions=None):
        """Project (B, T, D) to keys and values (B, T, H, dh)."""
        return self.split(self.key(x), positions), self.split(self.value(x))

    def call(self, x, memory=None, positions=None, key_mask=None, causal=False, scores=False):
        """Attend from (B, T, D) to itself, or to a memory (B, S, D): sum (B, T, D), weights (B, H, T, S)."""
        inside = self.norm(x)
        keys, values = self.project(inside if memory is None else memory, positions)
        query = self.split(self.query(inside), positions)
        attended, weights = dot_product_attention(
            query, keys, values, key_mask=key_mask, causal=causal, return_scores=scores
        )
        return x + self.mix(ops.reshape(attended, ops.shape(x))), weights

    def step(self, x, keys, values, mask, positions=None):
        """Attend from a token (R, 1, D) to keys (R, H, T, dh), and with a position (R, 1) to itself."""
        inside = self.norm(x)
        key, value = (each[:, 0] for each in self.project(inside, positions))  # the token's own, (R, H, dh)
        query = self.split(self.query(inside), positions)[:, 0]  # (R, H, dh)
        present = None if positions is None else (key, value)
        attended, weights = step_attention(query, keys, values, mask, present)
        return x + self.mix(ops.reshape(attended, ops.shape(x))), weights, (key, value)


@keras.saving.register_keras_serializable("own")
class GatedFeedForward(layers.Layer):
    """SwiGLU (Shazeer, 2020) after a normalization, added to its input."""

    def __init__(self, depth: int, **kwargs):
        super().__init__(**kwargs)
        self.norm = layers.RMSNormalization()
        self.gate, self.up = (layers.Dense(2 * depth, use_bias=False) for _ in range(2))
        self.down = layers.Dense(depth, use_bias=False)

    def call(self, x):
        """Compute (B, T, D)."""
        inside = self.norm(x)
        return x + self.down(ops.silu(self.gate(inside)) * self.up(inside))


@keras.saving.register_keras_serializable("own")
class ModernTranslator(EncoderDecoder):
    """An encoder-decoder Transformer whose decoder keeps keys and values in caches."""

    def __init__(self, vocabulary_size: int, depth: int = 128, heads: int = 4, blocks: int = 2, **kwargs):
        super().__init__(**kwargs)
        self.vocabulary_size, self.depth, self.heads, self.blocks = vocabulary_size, depth, heads, blocks
        self.embedding = layers.Embedding(vocabulary_size, depth)
        self.encoder = [(Attention(depth, heads), GatedFeedForward(depth)) for _ in range(blocks)]
        self.decoder = [
            (Attention(depth, heads), Attention(depth, heads), GatedFeedForward(depth)) for _ in range(blocks)
        ]
        self.source_norm, self.target_norm = layers.RMSNormalization(), layers.RMSNormalization()
        self.build()

    def encode(self, source_ids, source_mask, training=None):
        """Read the source."""
        x, positions = self.embedding(source_ids), ops.arange(ops.shape(source_ids)[1])
        for attention, feed_forward in self.encoder:
            x = feed_forward(attention(x, positions=positions, key_mask=source_mask)[0])
        return {"source": self.source_norm(x), "mask": source_mask}

    def decode(self, token_ids, memory, training=None, return_attention_scores=False, padding_mask=None):
        """Read the whole target."""
        x, positions, weights = self.embedding(token_ids), ops.arange(ops.shape(token_ids)[1]), None
        for past, source, feed_forward in self.decoder:
            x, _ = past(x, positions=positions, causal=True)
            x, weights = source(x, memory["source"], key_mask=memory["mask"], scores=return_attention_scores)
            x = feed_forward(x)
        return self.target_norm(x), None if weights is None else ops.mean(weights, 1)

    @property
    def output_embeddings(self):
        """Score with the table of tokens (V, D), and no bias."""
        return self.embedding.embeddings, None

    @property
    def caches(self):
        """What grows by one row a step, and its axis: keys and values (R, H, T, dh) of each block."""
        return {f"{name}_{i}": 2 for i in range(self.blocks) for name in ("key", "value")}

    def start(self, source_ids, source_mask, max_length):
        """Begin: the source's keys and values, and caches that are empty."""
        encoded, rows = self.encode(source_ids, source_mask), ops.shape(source_ids)[0]
        memory, state = {"mask": source_mask}, {"position": ops.zeros((rows,), "int32")}
        for i, (_, source, _) in enumerate(self.decoder):
            memory[f"source_{i}"] = [ops.swapaxes(each, 1, 2) for each in source.project(encoded["source"])]
        empty = ops.zeros((rows, self.heads, max_length, self.depth // self.heads))
        return memory, {**state, **dict.fromkeys(self.caches, empty)}

    def read_token(self, tokens, memory, state):
        """Decode one token of each row; of a cache only the new row is returned."""
        x, position = self.embedding(tokens[:, None]), state["position"]  # (R, 1, D), (R,)
        new, weights = {"position": position + 1}, None
        for i, (past, source, feed_forward) in enumerate(self.decoder):
            keys, values = state[f"key_{i}"], state[f"value_{i}"]
            seen = filled_slots(position, keys.shape[2])  # (R, T)
            x, _, (key, value) = past.step(x, keys, values, seen, position[:, None])
            keys, values = memory[f"source_{i}"]
            x, weights, _ = source.step(x, keys, values, memory["mask"])
            x = feed_forward(x)
            new |= {f"key_{i}": key[:, :, None], f"value_{i}": value[:, :, None]}  # (R, H, 1, dh)
        return self.target_norm(x)[:, 0], ops.mean(weights, 1), new

    def get_config(self):
        """Return the constructor's arguments."""
        names = ("vocabulary_size", "depth", "heads", "blocks")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def main(
    epochs: Annotated[int, typer.Option(min=1)] = 16,
    train: Annotated[int, typer.Option(min=100, help="Dates to learn from.")] = 20000,
    depth: Annotated[int, typer.Option(min=8, help="A multiple of 8.")] = 128,
    bundle: str = "runs/own-modern",
) -> None:
    """Train, export, prove and run."""
    from own_translator_training import learn_dates

    learn_dates(lambda size: ModernTranslator(size, depth), bundle, train, epochs, rate=2e-3)


if __name__ == "__main__":
    typer.run(main)
