"""Translators of the user's own class with other decoders: convolutions, and grouped queries with ALiBi."""

import keras
from keras import layers, ops

from keras_attn.layers import dot_product_attention, filled_slots, step_attention
from keras_attn.layers.positions.alibi_bias import alibi_slopes
from keras_attn.models import EncoderDecoder

KERNEL = 3


class OwnDecoder(EncoderDecoder):
    """What both have: an embedding that scores too, and its size and depth."""

    def __init__(self, vocabulary_size, depth=16, blocks=2, **kwargs):
        super().__init__(**kwargs)
        self.vocabulary_size, self.depth, self.blocks = vocabulary_size, depth, blocks
        self.embedding = layers.Embedding(vocabulary_size, depth)
        self.scores = layers.Dense(vocabulary_size)
        self.scores.build((None, depth))

    @property
    def output_embeddings(self):
        return ops.transpose(self.scores.kernel), self.scores.bias

    def get_config(self):
        names = ("vocabulary_size", "depth", "blocks")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable("tests")
class Convolutional(OwnDecoder):
    """Gated convolutions that read the last tokens, and attention after each (Gehring et al., 2017)."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.reader = [layers.Conv1D(2 * self.depth, KERNEL, padding="same") for _ in range(self.blocks)]
        self.writer = [layers.Conv1D(2 * self.depth, KERNEL) for _ in range(self.blocks)]
        self.query = [layers.Dense(self.depth) for _ in range(self.blocks)]
        self.build()

    def encode(self, source_ids, source_mask, training=None):
        seen = ops.cast(source_mask, "float32")[..., None]
        x = self.embedding(source_ids) * seen
        for convolution in self.reader:
            x = (x + _gated(convolution(x))) * seen
        return {"values": x, "mask": source_mask}

    def decode(self, token_ids, memory, training=None, return_attention_scores=False, padding_mask=None):
        x = self.embedding(token_ids)
        for convolution, query in zip(self.writer, self.query, strict=True):
            before = ops.pad(x, [[0, 0], [KERNEL - 1, 0], [0, 0]])
            x, weights = self.looked(x, before, convolution, query, memory)
        return x, weights

    def looked(self, x, before, convolution, query, memory):
        """Convolve (B, T + K - 1, D), and add what that asks of the source to (B, T, D)."""
        inside = _gated(convolution(before))
        scores = ops.matmul(query(inside), ops.transpose(memory["values"], (0, 2, 1)))  # (B, T, S)
        scores = ops.where(memory["mask"][:, None], scores, -1e9)
        weights = ops.softmax(scores)
        return x + inside + ops.matmul(weights, memory["values"]), weights

    def start(self, source_ids, source_mask, max_length):
        empty = ops.zeros((ops.shape(source_ids)[0], KERNEL - 1, self.depth))
        return self.encode(source_ids, source_mask), {f"last_{i}": empty for i in range(self.blocks)}

    def read_token(self, tokens, memory, state):
        x, new = self.embedding(tokens)[:, None], {}  # (R, 1, D)
        for i, (convolution, query) in enumerate(zip(self.writer, self.query, strict=True)):
            before = ops.concatenate([state[f"last_{i}"], x], axis=1)  # (R, K, D)
            new[f"last_{i}"] = before[:, 1:]
            x, weights = self.looked(x, before, convolution, query, memory)
        return x[:, 0], weights[:, 0], new


@keras.saving.register_keras_serializable("tests")
class GroupedAlibi(OwnDecoder):
    """Four heads of queries share two of keys, and distance counts in place of positions."""

    heads, groups = 4, 2

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        size = self.depth // self.heads
        self.norms = [layers.LayerNormalization() for _ in range(2 * self.blocks)]
        self.inward = [
            [
                layers.EinsumDense("abc,cde->abde", (None, heads, size))
                for heads in (self.heads, self.groups, self.groups)
            ]
            for _ in range(2 * self.blocks)
        ]
        self.outward = [
            layers.EinsumDense("abcd,cde->abe", (None, self.depth)) for _ in range(2 * self.blocks)
        ]
        self.feed_forward = [
            keras.Sequential([layers.Dense(2 * self.depth, activation="gelu"), layers.Dense(self.depth)])
            for _ in range(self.blocks)
        ]
        self.reader = layers.Bidirectional(layers.GRU(self.depth // 2, return_sequences=True))
        self.build()

    def encode(self, source_ids, source_mask, training=None):
        return {"values": self.reader(self.embedding(source_ids), mask=source_mask), "mask": source_mask}

    def decode(self, token_ids, memory, training=None, return_attention_scores=False, padding_mask=None):
        x = self.embedding(token_ids)
        for i in range(self.blocks):
            length = ops.shape(x)[1]
            query, key, value = self.projected(2 * i, x)
            distance = ops.cast(ops.arange(length)[None] - ops.arange(length)[:, None], "float32")
            bias = self.slopes()[:, None, None] * distance
            past, _ = dot_product_attention(query, key, value, causal=True, bias=bias[None])
            x = x + self.outward[2 * i](past)
            query, key, value = self.projected(2 * i + 1, x, memory["values"])
            source, weights = dot_product_attention(
                query, key, value, key_mask=memory["mask"], return_scores=return_attention_scores
            )
            x = x + self.outward[2 * i + 1](source)
            x = x + self.feed_forward[i](x)
        return x, None if weights is None else ops.mean(weights, 1)

    def slopes(self):
        return ops.convert_to_tensor(alibi_slopes(self.heads), "float32")

    def projected(self, number, x, memory=None):
        """Project (B, T, D) to queries (B, T, H, dh), and it or a memory to keys and values (B, S, K, dh)."""
        x = self.norms[number](x)
        query, key, value = self.inward[number]
        memory = x if memory is None else memory
        return query(x), key(memory), value(memory)

    @property
    def caches(self):
        return {f"{name}_{i}": 2 for i in range(self.blocks) for name in ("key", "value")}

    def start(self, source_ids, source_mask, max_length):
        encoded, rows = self.encode(source_ids, source_mask), ops.shape(source_ids)[0]
        memory = {"mask": source_mask}
        for i in range(self.blocks):
            _, key, value = self.inward[2 * i + 1]
            for name, project in (("key", key), ("value", value)):
                memory[f"{name}_{i}"] = ops.transpose(project(encoded["values"]), (0, 2, 1, 3))
        empty = ops.zeros((rows, self.groups, max_length, self.depth // self.heads))
        return memory, {"position": ops.zeros((rows,), "int32"), **dict.fromkeys(self.caches, empty)}

    def read_token(self, tokens, memory, state):
        x, position = self.embedding(tokens[:, None]), state["position"]  # (R, 1, D), (R,)
        new = {"position": position + 1}
        for i in range(self.blocks):
            query, key, value = (each[:, 0] for each in self.projected(2 * i, x))
            slots = state[f"key_{i}"].shape[2]
            numbers = ops.cast(ops.arange(slots)[None] - position[:, None], "float32")  # (R, T)
            bias = ops.pad(self.slopes()[None, :, None] * numbers[:, None], [[0, 0], [0, 0], [0, 1]])
            past, _ = step_attention(
                query, state[f"key_{i}"], state[f"value_{i}"], filled_slots(position, slots), (key, value),
                bias=bias,
            )  # fmt: skip
            new |= {f"key_{i}": key[:, :, None], f"value_{i}": value[:, :, None]}
            x = x + self.outward[2 * i](past[:, None])
            query = self.inward[2 * i + 1][0](self.norms[2 * i + 1](x))[:, 0]
            source, weights = step_attention(query, memory[f"key_{i}"], memory[f"value_{i}"], memory["mask"])
            x = x + self.outward[2 * i + 1](source[:, None])
            x = x + self.feed_forward[i](x)
        return x[:, 0], ops.mean(weights, 1), new


def _gated(x):
    """Halve the last axis: one half opens and closes the other."""
    value, gate = ops.split(x, 2, axis=-1)
    return value * ops.sigmoid(gate)
