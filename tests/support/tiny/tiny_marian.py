"""Tiny MarianMT folders of random weights, over the golden SentencePiece models."""

import json
import shutil
from pathlib import Path

PIECES = Path(__file__).parents[2] / "golden" / "marian-pieces"
END = 0
SENTENCES = [
    "A dog runs.",
    "Two men are watching.",
    "The girl likes cold water so much.",
    "ok, a street (1)",
    "dog",
]


def marian_folder(folder, *, forced=True, end=1.0, padding=0.0, seed=3, **options):
    """Save a model of Marian's layout with its tokenizer."""
    import keras

    from keras_attn import pretrained
    from keras_attn.models import Transformer

    size = len(json.loads((PIECES / "vocab.json").read_text(encoding="utf-8")))
    keras.utils.set_random_seed(seed)
    model = Transformer(
        size,
        hidden_dim=12,
        num_heads=2,
        num_encoder_layers=1,
        num_decoder_layers=1,
        intermediate_dim=16,
        max_sequence_length=32,
        normalize_first=False,
        position_encoding="sine-halves",
        activation="swish",
        output_bias=True,
        pad_id=size - 1,
    )
    rng = keras.random.SeedGenerator(seed)
    for weight in model.trainable_weights:
        # Large enough that a search has something to decide.
        weight.assign(weight + keras.random.normal(weight.shape, stddev=0.4, seed=rng))
    bias = model.final_logits_bias.numpy()
    bias[END] += end
    bias[size - 1] += padding
    model.final_logits_bias.assign(bias)
    search = {"eos_token_id": END, "bad_words_ids": [[size - 1]], "num_beams": 4}
    search |= {"forced_eos_token_id": END} if forced else {}
    pretrained.save(model, folder, {**search, **options})
    for path in PIECES.iterdir():
        shutil.copy(path, folder)
    return folder
