"""Tiny encoders of every family, and a program that exports them: `python tiny_families.py FOLDER`.

It runs with TensorFlow as the backend, where they are traced without a process for each.
"""

import sys
from pathlib import Path

from tiny_encoders import encoder_tokenizer
from tiny_models import in_process, sentences, stir

OPTIONS = {
    "roberta": ("Bert", {"position_offset": 2, "embedding_dim": 8}),
    "albert": ("Albert", {"embedding_dim": 8}),
    "mpnet": ("MPNet", {}),
    "deberta": ("Deberta", {"num_buckets": 4, "max_distance": 8, "convolution": 3}),
    "modernbert": ("ModernBert", {"num_layers": 4, "local_attention": 4}),
    "nomic": ("NomicBert", {}),
    "t5": ("T5Encoder", {"key_dim": 5, "gated": True, "num_buckets": 8, "max_distance": 6}),
}


def tiny_backbone(name):
    """An encoder with random weights, for the tokenizer of the other tiny encoders."""
    import keras

    from keras_attn import models

    keras.utils.set_random_seed(5)
    kind, options = OPTIONS[name]
    tokenizer = encoder_tokenizer()
    sizes = {
        "vocabulary_size": tokenizer.tokenizer.get_vocab_size(),
        "pad_id": tokenizer.special_ids["pad"],
        **{"num_layers": 2, "num_heads": 2, "hidden_dim": 16, "intermediate_dim": 24},
        "max_sequence_length": 16,
    }
    made = getattr(models, kind)(**{**sizes, **options})
    stir(made)
    for variable in made.variables:
        if variable.path.endswith(("kernel", "embeddings")):
            # T5 does not scale its scores, which would let through one token only.
            variable.assign(
                (1.0 if kind == "T5Encoder" and "query" in variable.path else 8.0) * variable.value
            )
    return made


def main(folder: Path) -> None:
    """Export a sentence encoder of each family in int8."""
    from keras_attn_export import export

    from keras_attn.models import TextEmbedder

    for name in OPTIONS:
        with in_process():
            export(
                TextEmbedder(tiny_backbone(name)), folder / name, "int8", tokenizer=encoder_tokenizer(),
                examples=sentences()[:20], buckets=(16,), proof_sentences=8,
            )  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[1]))
