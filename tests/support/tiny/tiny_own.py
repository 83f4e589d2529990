"""Tiny translators of the user's own class, those of the demos, and their tokenizer of letters."""

import sys
from pathlib import Path

from tiny_models import stir
from tokenizers import Tokenizer, models, pre_tokenizers

TOKENS = ["<pad>", "<bos>", "<eos>", "<unk>", *"abcdefghijklmnopqrstuvwxyz "]
TEXTS = ["abc def", "hello", "z", "quick brown fox", "the lazy dog", "jumps over", "sixty nine", "wow"]


def letters():
    """A tokenizer whose tokens are letters."""
    raw = Tokenizer(models.WordLevel({token: i for i, token in enumerate(TOKENS)}, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    return raw


def of_demo(module, name, *sizes):
    """A model of a demo's class, with weights that let its source matter."""
    sys.path.insert(0, str(Path(__file__).parents[3] / "demos"))
    model = getattr(__import__(module), name)(len(TOKENS), *sizes)
    for _ in range(2 if name == "GRUTranslator" else 1):
        stir(model)
    return model


BUILDERS = {
    "gru": lambda: of_demo("own_translator_gru", "GRUTranslator", 16),
    "modern": lambda: of_demo("own_translator_modern", "ModernTranslator", 16, 2),
}
