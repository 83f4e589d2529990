"""Small bundles of every kind of task and every recipe, from untrained models: what the matrix proves.

A proof compares numbers, whatever they mean, so no training is needed; weights are made larger than Keras
begins with, so that every part of the model matters.
"""

from __future__ import annotations

import functools
import json
import os
import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# The references are computed once, so that compiling them well does not pay.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

import keras
import numpy as np
from keras_attn_export import export
from tokenizers import Tokenizer as RawTokenizer
from tokenizers import models as pieces
from tokenizers import normalizers, pre_tokenizers, processors

from keras_attn import pretrained
from keras_attn.data import tokenizer
from keras_attn.data.byte_tokenizer import GPT_TOKENS, ids_of, train_byte_tokenizer
from keras_attn.data.corpora import dates
from keras_attn.device.text.pair_tokenizer import PairTokenizer
from keras_attn.device.text.tokenizer import EncoderTokenizer, PromptTokenizer, Tokenizer
from keras_attn.models import (
    GPT2,
    Bert,
    BigBird,
    CausalLM,
    MaskedLM,
    RNNSearch,
    Seq2SeqRNN,
    TextClassifier,
    TextEmbedder,
    Transformer,
)

# SentencePiece models of English and German as MarianMT has them, of which the tests compare every piece.
PIECES = Path(__file__).parents[2] / "tests" / "golden" / "marian-pieces"
MARIAN: dict[str, Any] = {
    "normalize_first": False,
    "position_encoding": "sine-halves",
    "activation": "swish",
    "output_bias": True,
}
ENCODER: dict[str, Any] = {"num_layers": 2, "num_heads": 4, "hidden_dim": 64, "intermediate_dim": 128}
SEQUENCES: dict[str, Any] = {"num_heads": 4, "num_encoder_layers": 2, "num_decoder_layers": 2}
RECURRENT: dict[str, Any] = {"embedding_dim": 64, "hidden_dim": 64, "maxout_dim": 64}
# So large that LiteRT 2 compiles its int8 file, which it does from 16 MB on.
LARGE: dict[str, Any] = {
    "hidden_dim": 512,
    "intermediate_dim": 2048,
    "num_heads": 8,
    "num_encoder_layers": 2,
    "num_decoder_layers": 3,
}
ROLES = {"pad": "[PAD]", "start": "[CLS]", "end": "[SEP]", "unknown": "[UNK]", "mask": "[MASK]"}


@functools.cache
def pairs() -> list[tuple[str, str]]:
    """Dates as people write them, and in ISO 8601."""
    return list(dates.generate(train=600, validation=0, test=0, end=date(1999, 12, 31)).train)


def texts(longest: int = 10) -> list[str]:
    """The dates in words, some of them put together."""
    draw, found = random.Random(0), [text for text, _ in pairs()]
    return [", ".join(draw.sample(found, draw.randint(1, longest))) for _ in range(60)]


@functools.cache
def pair_tokenizer() -> Tokenizer:
    """A translator's."""
    trained = tokenizer.train_tokenizer([text for pair in pairs() for text in pair], 900)
    return Tokenizer(trained, tokenizer.special_ids(trained))


@functools.cache
def word_pieces(written_specials: bool = False) -> EncoderTokenizer:
    """BERT's kind, of whole words and single characters: what is trained for it is another one each time."""
    words = Counter(word for text, _ in pairs() for word in re.findall(r"\w+|[^\w\s]", text.lower()))
    characters = sorted({character for word in words for character in word})
    known = dict.fromkeys([*ROLES.values(), *characters, *(f"##{each}" for each in characters)])
    known |= dict.fromkeys(word for word, _ in words.most_common(700))
    vocabulary = {token: number for number, token in enumerate(known)}
    tokenizer = RawTokenizer(pieces.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(list(ROLES.values()))
    ids = {role: vocabulary[token] for role, token in ROLES.items()}
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", ids["end"]), ("[CLS]", ids["start"]))
    return EncoderTokenizer(tokenizer, ids, written_specials)


@functools.cache
def prompt_tokenizer() -> PromptTokenizer:
    """GPT-2's kind."""
    trained = train_byte_tokenizer([text for text, _ in pairs()], 900, GPT_TOKENS)
    return PromptTokenizer(trained, ids_of(trained, GPT_TOKENS, "the tokenizer"))


def stirred(model: Any, seed: int = 3) -> Any:
    """Randomize all weights, so that each affects the result: Keras starts biases at 0, scales at 1."""
    draw = np.random.default_rng(seed)
    for variable in model.variables:
        if "seed_generator" in variable.path:
            continue
        value = np.asarray(variable.value)
        if variable.path.endswith(("bias", "beta", "gamma")):
            variable.assign(value + 0.2 * draw.standard_normal(value.shape))
        elif value.ndim > 1:
            # Outputs as large as inputs, whatever the initializer.
            inputs = value.shape[-1 if variable.path.endswith("embeddings") else 0]
            variable.assign(draw.standard_normal(value.shape) / np.sqrt(inputs))
    return model


def _encoder(backbone: Any, task: Any, examples: Sequence[Any], **options: Any) -> dict[str, Any]:
    reader = word_pieces(written_specials=task is MaskedLM)
    size = len(reader.tokenizer.get_vocab())
    model = task(backbone(vocabulary_size=size, **ENCODER, max_sequence_length=64))
    # Untrained models are often undecided about a mask; of these weights 8 bits change no answer.
    made = stirred(model, seed=11) if task is MaskedLM else stirred(model)
    return {"source": made, "tokenizer": reader, "examples": examples, **options}


def _translator(model: Any, **sizes: Any) -> dict[str, Any]:
    size = len(pair_tokenizer().tokenizer.get_vocab())
    made = stirred(model(vocabulary_size=size, **sizes))
    return {
        "source": made,
        "tokenizer": pair_tokenizer(),
        "examples": pairs()[:40],
        "buckets": (24,),
        "beam": 3,
    }


def _marian() -> dict[str, Any]:
    """A Transformer of Marian's kind, with a tokenizer for sources and one for targets."""
    source, target = (pretrained.load_tokenizer(PIECES, target=side) for side in (False, True))
    size = len(json.loads((PIECES / "vocab.json").read_text("utf-8")))
    special_ids = {"pad": size - 1, "start": size - 1, "end": 0, "unknown": 1}
    sizes = {"hidden_dim": 64, "intermediate_dim": 128, "max_sequence_length": 64, **SEQUENCES}
    model = Transformer(vocabulary_size=size, pad_id=size - 1, **sizes, **MARIAN)
    draw, words = random.Random(0), ["a", "dog", "runs", "through", "the", "snow", "two", "men", "watching"]
    examples = [(" ".join(draw.choices(words, k=draw.randint(1, 6))), "") for _ in range(40)]
    return {
        "source": stirred(model),
        "tokenizer": PairTokenizer(source, special_ids, target, size),
        "examples": examples,
        "buckets": (24,),
        "beam": 3,
    }


def _language() -> dict[str, Any]:
    size = len(prompt_tokenizer().tokenizer.get_vocab())
    model = CausalLM(GPT2(vocabulary_size=size, **ENCODER, max_sequence_length=64))
    return {
        "source": stirred(model),
        "tokenizer": prompt_tokenizer(),
        "examples": texts(3),
        "buckets": ((24, 24),),
    }


def _labelled() -> list[tuple[str, str]]:
    return [(text, LABELS[number % 3]) for number, text in enumerate(texts())]


LABELS = ("early", "late", "never")
KINDS: dict[str, Callable[[], dict[str, Any]]] = {
    "translation, Transformer": lambda: _translator(
        Transformer, hidden_dim=64, intermediate_dim=128, max_sequence_length=64, **SEQUENCES
    ),
    "translation, Transformer of 20 million": lambda: _translator(
        Transformer, max_sequence_length=64, **LARGE
    ),
    "translation, MarianMT": _marian,
    "translation, RNNsearch": lambda: _translator(RNNSearch, attention_dim=64, **RECURRENT),
    "translation, no attention": lambda: _translator(Seq2SeqRNN, **RECURRENT),
    "classification, BERT": lambda: _encoder(
        Bert, lambda bert: TextClassifier(bert, list(LABELS)), _labelled(), buckets=(64,)
    ),
    "classification, tokenizer in the graph": lambda: _encoder(
        Bert,
        lambda bert: TextClassifier(bert, list(LABELS)),
        _labelled(),
        buckets=(64,),
        tokenizer_in_graph=True,
    ),
    "embedding, BERT": lambda: _encoder(Bert, TextEmbedder, texts(), buckets=(64,)),
    "embedding, BigBird": lambda: _encoder(
        functools.partial(BigBird, block_size=4, num_random_blocks=1), TextEmbedder, texts(), buckets=(64,)
    ),
    "masked language model, BERT": lambda: _encoder(
        functools.partial(Bert, pooler=False), MaskedLM, texts(), buckets=(32,)
    ),
    "language model, GPT-2": _language,
}


ONLY = {
    # As large as it is for the sake of the interpreter that opens its int8 file.
    "translation, Transformer of 20 million": ("int8",),
    # Untrained, these do not bear 4 bits: the export refuses to write a bundle.
    **dict.fromkeys(
        ("translation, MarianMT", "translation, RNNsearch"), ("fp32", "fp16", "int8", "int8-weights")
    ),
}


@functools.cache
def _given(kind: str) -> dict[str, Any]:
    """Return the arguments of a kind's exports; the model is the same for all recipes."""
    keras.utils.set_random_seed(5)
    return KINDS[kind]()


def make_bundle(kind: str, recipe: str, folder: Path, **more: Any) -> Path:
    """Export a kind of model by a recipe, with more of the export's options, unless it is there already.

    Raises:
        ExportError: the recipe does not suit the model.
    """
    path = folder / f"{kind} {recipe}".replace(",", "").replace(" ", "-")
    if not path.exists():
        options = {"proof_sentences": 12, "metric_sentences": 12, "conversions": folder / "conversions"}
        export(bundle=path, recipe=recipe, **options, **_given(kind), **more)
    return path
