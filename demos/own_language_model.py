"""A language model of your own, written with the layers of this package: it learns how people write dates.

python demos/own_language_model.py      it is trained, exported, proven, and continues dates
"""

import os
from typing import Annotated

os.environ.setdefault("KERAS_BACKEND", "tensorflow")  # a script's own class is traced where it is

import keras
import numpy as np
import typer
from keras import layers, ops

import keras_attn
from keras_attn.data.byte_tokenizer import GPT_TOKENS, ids_of, train_byte_tokenizer
from keras_attn.data.corpora.dates import generate
from keras_attn.device import load
from keras_attn.layers import SinePositionEncoding, TransformerDecoder
from keras_attn.models import DecoderOnly


@keras.saving.register_keras_serializable("own")
class OwnLanguageModel(DecoderOnly):
    """Blocks of causal attention, whose keys and values are kept in caches."""

    def __init__(self, vocabulary_size: int, depth: int = 128, heads: int = 4, blocks: int = 2, **kwargs):
        super().__init__(**kwargs)
        self.vocabulary_size, self.depth, self.heads = vocabulary_size, depth, heads
        self.max_sequence_length = 128
        self.embedding, self.positions = layers.Embedding(vocabulary_size, depth), SinePositionEncoding()
        self.blocks = [TransformerDecoder(4 * depth, heads, normalize_first=True) for _ in range(blocks)]
        self.norm = layers.LayerNormalization()
        self.build()

    def embed(self, token_ids, positions=None):
        """Embed (B, T), from position 0 on or at the given ones (B, T): (B, T, D)."""
        x = self.embedding(token_ids) * self.depth**0.5
        return x + self.positions(x, positions=positions)

    def decode(self, token_ids, padding_mask=None, training=None):
        """Read a whole text."""
        x = self.embed(token_ids)
        for block in self.blocks:
            x = block(x, decoder_padding_mask=padding_mask, training=training)
        return self.norm(x)

    @property
    def output_embeddings(self):
        """Score with the table of tokens (V, D), and no bias."""
        return self.embedding.embeddings, None

    @property
    def caches(self):
        """What grows by one row a step, and its axis: keys and values (R, H, T, dh) of each block."""
        return {f"{name}_{i}": 2 for i in range(len(self.blocks)) for name in ("key", "value")}

    def start(self, token_ids, padding_mask, max_length):
        """Read a prompt; its keys and values are the first rows of the caches, and padding is overwritten."""
        batch, length = ops.shape(token_ids)
        empty = ops.zeros((batch, 2, length + max_length, self.heads, self.depth // self.heads))
        x = self.embed(token_ids)
        state = {"position": ops.sum(ops.cast(padding_mask, "int32"), 1)}
        for i, block in enumerate(self.blocks):
            x, cache = block(x, self_attention_cache=empty, self_attention_cache_update_index=0)
            for j, name in enumerate(("key", "value")):
                state[f"{name}_{i}"] = ops.transpose(cache[:, j], (0, 2, 1, 3))  # (B, H, T, dh)
        return {}, state

    def read_token(self, tokens, memory, state):
        """Read one token of each row; of a cache only the new row is returned."""
        position = state["position"]  # (R,)
        x, new = self.embed(tokens[:, None], position[:, None]), {"position": position + 1}
        for i, block in enumerate(self.blocks):
            x, _, present = block.read_token(x, position, state[f"key_{i}"], state[f"value_{i}"])
            for name, row in zip(("key", "value"), present, strict=True):
                new[f"{name}_{i}"] = row[:, :, None]  # (R, H, 1, dh)
        return self.norm(x)[:, 0], None, new

    def get_config(self):
        """Return the constructor's arguments."""
        names = {"vocabulary_size": self.vocabulary_size, "depth": self.depth, "heads": self.heads}
        return {**super().get_config(), **names, "blocks": len(self.blocks)}


def main(
    epochs: Annotated[int, typer.Option(min=1)] = 5,
    train: Annotated[int, typer.Option(min=100, help="Dates to learn from.")] = 20000,
    depth: Annotated[int, typer.Option(min=8, help="A multiple of 8.")] = 128,
    bundle: str = "runs/own-language-model",
) -> None:
    """Train, export, prove and run."""
    keras.utils.set_random_seed(1)
    corpus = generate(train=train)
    lines = [f"{date} is {text}" for text, date in corpus.train]
    tokenizer = train_byte_tokenizer(lines, 600, GPT_TOKENS)
    end = ids_of(tokenizer, GPT_TOKENS, "the tokenizer")["end"]
    ids = keras.utils.pad_sequences(
        [[*each.ids, end] for each in tokenizer.encode_batch(lines)],
        48,
        padding="post",
        truncating="post",
        value=-1,
    )
    inputs = {"token_ids": np.maximum(ids[:, :-1], 0), "padding_mask": ids[:, :-1] >= 0}
    model = OwnLanguageModel(tokenizer.get_vocab_size(), depth)
    model.compile(keras.optimizers.Adam(1e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    weights = (ids[:, 1:] >= 0).astype(np.float32)
    model.fit(
        inputs, np.maximum(ids[:, 1:], 0), sample_weight=weights, batch_size=128, epochs=epochs, verbose=2
    )
    held_out = [f"{date} is {text}" for text, date in corpus.validation[:200]]
    keras_attn.export(model, bundle, "int8", tokenizer=tokenizer, examples=held_out, lengths=[(16, 32)])
    for text, date in corpus.test[:5]:
        written = load(bundle).generate(f"{date} is", temperature=0.7, seed=1, max_length=24)
        print(f"{written}   (people also write {text})")


if __name__ == "__main__":
    typer.run(main)
