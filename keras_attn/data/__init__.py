"""Corpora, tokenizers and batches, from text to what a training step takes."""
# ruff: noqa: I001  (in the order in which the data goes through them)

# Where text comes from. load_corpus finds any of the others by name: dates, multi30k:en-de, a folder, a TSV.
from keras_attn.data.corpora.by_name import load_corpus
from keras_attn.data.corpora.dates import (
    generate as generate_dates,
)  # 57 locales to ISO 8601
from keras_attn.data.corpora.multi30k import load_multi30k  # image captions, downloaded and cached
from keras_attn.data.readers.parallel import (
    Pairs,  # list of (source, target) texts
    ParallelCorpus,  # training, validation and test pairs with their languages
    read_folder,  # train.*, val.*, test*.*
    read_pairs,  # one split: PREFIX.en and PREFIX.de, or a TSV file
    read_parallel,  # one prefix or TSV file per split
)

# How it becomes token ids.
from keras_attn.data.tokenizer import (
    encode_pairs,
    load_tokenizer,
    save_tokenizer,
    special_ids,  # which ids are padding, start, end and unknown
    train_tokenizer,  # lossless BPE with byte fallback
    with_dropout,  # a copy that splits words at random, for training
)

# Tokenizers of other libraries: tokenizers, KerasHub, keras.layers.TextVectorization.
from keras_attn.data.tokenizer_conversion import as_tokenizer

# How ids become batches: few static shapes, and an order that survives a resume.
from keras_attn.data.batching.batches import Batch, BucketedBatches

# Errors of data.
from keras_attn.data.errors import DataError

__all__ = [
    "Batch",
    "BucketedBatches",
    "DataError",
    "Pairs",
    "ParallelCorpus",
    "as_tokenizer",
    "encode_pairs",
    "generate_dates",
    "load_corpus",
    "load_multi30k",
    "load_tokenizer",
    "read_folder",
    "read_pairs",
    "read_parallel",
    "save_tokenizer",
    "special_ids",
    "train_tokenizer",
    "with_dropout",
]


def __dir__() -> list[str]:
    return sorted(__all__)
