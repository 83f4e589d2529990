"""A translator of your own, written with Keras layers: GRU encoder, Bahdanau attention, GRU decoder.

python demos/own_translator_gru.py      it learns to read dates, is exported, proven, and run
"""

import os
from typing import Annotated

os.environ.setdefault("KERAS_BACKEND", "tensorflow")  # a script's own class is traced where it is

import keras
import typer
from keras import layers, ops

from keras_attn.layers import BahdanauAttention
from keras_attn.models import EncoderDecoder


@keras.saving.register_keras_serializable("own")
class GRUTranslator(EncoderDecoder):
    """The tutorial's model: a decoder that looks at the source before each token."""

    xla_on_tensorflow = False  # of Keras' recurrent layers

    def __init__(self, vocabulary_size: int, depth: int = 128, **kwargs):
        super().__init__(**kwargs)
        self.vocabulary_size, self.depth = vocabulary_size, depth
        self.source_embedding = layers.Embedding(vocabulary_size, depth)
        self.target_embedding = layers.Embedding(vocabulary_size, depth)
        self.encoder = layers.Bidirectional(layers.GRU(depth, return_sequences=True))
        self.first_state = layers.Dense(depth, activation="tanh")
        self.attention = BahdanauAttention(depth)
        self.attention.build([(None, depth), (None, None, 2 * depth)])
        self.cell = layers.GRUCell(depth)
        self.combine = layers.Dense(depth, activation="tanh")
        self.scores = layers.Dense(vocabulary_size)
        self.scores.build((None, depth))
        self.build()

    def encode(self, source_ids, source_mask, training=None):
        """Read the source: what decoding looks at, and the decoder's first state."""
        values = self.encoder(self.source_embedding(source_ids), mask=source_mask)  # (B, S, 2D)
        return {
            "values": values,
            "keys": self.attention.project_keys(values),
            "mask": source_mask,
            "state": self.first_state(values[:, 0, self.depth :]),  # the backward GRU has read it all
        }

    def advance(self, token, memory, state):
        """Look at the source, and read one token (B,): hidden (B, D), weights (B, S), state (B, D)."""
        context, weights = self.attention(
            [state, memory["values"]],
            mask=[None, memory["mask"]],
            projected_keys=memory["keys"],
            return_attention_scores=True,
        )
        state, _ = self.cell(ops.concatenate([self.target_embedding(token), context], -1), state)
        return self.combine(ops.concatenate([state, context], -1)), weights, state

    def decode(self, token_ids, memory, training=None, return_attention_scores=False, padding_mask=None):
        """Read the whole target: `advance` for each token."""
        state, hidden, weights = memory["state"], [], []
        for position in range(token_ids.shape[1]):
            out, seen, state = self.advance(token_ids[:, position], memory, state)
            hidden.append(out)
            weights.append(seen)
        return ops.stack(hidden, 1), ops.stack(weights, 1) if return_attention_scores else None

    @property
    def output_embeddings(self):
        """Score with a matrix (V, D) and a bias (V,)."""
        return ops.transpose(self.scores.kernel), self.scores.bias

    def start(self, source_ids, source_mask, max_length):
        """Begin: what stays the same, and what each step changes."""
        memory = self.encode(source_ids, source_mask)
        return memory, {"state": memory.pop("state")}

    def read_token(self, tokens, memory, state):
        """Decode one token of each row."""
        hidden, weights, new = self.advance(tokens, memory, state["state"])
        return hidden, weights, {"state": new}

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "vocabulary_size": self.vocabulary_size, "depth": self.depth}


def main(
    epochs: Annotated[int, typer.Option(min=1)] = 25,
    train: Annotated[int, typer.Option(min=100, help="Dates to learn from.")] = 20000,
    depth: Annotated[int, typer.Option(min=2)] = 128,
    bundle: str = "runs/own-gru",
) -> None:
    """Train, export, prove and run."""
    from own_translator_training import learn_dates

    learn_dates(lambda size: GRUTranslator(size, depth), bundle, train, epochs, rate=3e-3)


if __name__ == "__main__":
    typer.run(main)
