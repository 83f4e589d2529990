"""`--keep-tokens`: a trained model with the tokens of the training texts computes what it computed."""

import numpy as np
import pytest
from keras import ops
from tiny_models import stir
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

from keras_attn.models import Bert, MaskedLM
from keras_attn.training import ClassificationConfig, TrainingError
from keras_attn.training.initial_vocabulary import keep_tokens
from keras_attn.training.initialization import InitialModel

ALL = [
    *("the cat sat on the mat", "the dog ran away from the cat", "cats and dogs", "a map of the town"),
    *("birds sing every morning", "morning birds", "we sing every evening", "evening in the town"),
]
SOME = ALL[:2]
TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def word_pieces():
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.train_from_iterator(8 * ALL, trainers.WordPieceTrainer(vocab_size=90, special_tokens=TOKENS))
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return tokenizer


def byte_pairs():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=320, special_tokens=TOKENS, initial_alphabet=alphabet)
    tokenizer.train_from_iterator(8 * ALL, trainer)
    tokenizer.post_processor = processors.Sequence([processors.RobertaProcessing(("[SEP]", 3), ("[CLS]", 2))])
    return tokenizer


def unigram():
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=60, special_tokens=TOKENS, unk_token="[UNK]")
    tokenizer.train_from_iterator(8 * ALL, trainer)
    ids = [(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", "[CLS] $A [SEP] $B [SEP]", ids)
    return tokenizer


def initial(tokenizer):
    sizes = {"num_layers": 1, "num_heads": 2, "hidden_dim": 8, "intermediate_dim": 12}
    model = MaskedLM(Bert(tokenizer.get_vocab_size(), max_sequence_length=32, num_segments=0, **sizes))
    stir(model)
    special = {"pad": 0, "unknown": 1, "cls": 2, "sep": 3, "mask": 4}
    return InitialModel(model, tokenizer, special)


def logits(given, text):
    ids = np.array([given.tokenizer.encode(text).ids])
    return np.asarray(ops.convert_to_numpy(given.model({"token_ids": ids})))[0]


@pytest.mark.parametrize("make", [word_pieces, byte_pairs, unigram])
def test_texts_of_kept_tokens_are_read_and_computed_as_before(make):
    whole = initial(make())
    fewer = keep_tokens(whole, SOME, 1000)
    assert fewer.backbone.vocabulary_size == fewer.tokenizer.get_vocab_size() < whole.backbone.vocabulary_size
    names = fewer.tokenizer.get_vocab()
    kept = [whole.tokenizer.token_to_id(piece) for piece in sorted(names, key=names.get)]
    for text in SOME:
        assert fewer.tokenizer.encode(text).tokens == whole.tokenizer.encode(text).tokens
        np.testing.assert_allclose(logits(fewer, text), logits(whole, text)[:, kept], atol=1e-6)
    pair = fewer.tokenizer.encode(*SOME)
    assert pair.tokens == whole.tokenizer.encode(*SOME).tokens


@pytest.mark.parametrize("make", [word_pieces, byte_pairs, unigram])
def test_other_texts_are_read_in_smaller_pieces(make):
    whole = initial(make())
    fewer = keep_tokens(whole, SOME, 5)
    for text in ALL:
        encoding = fewer.tokenizer.encode(text, add_special_tokens=False)
        assert len(encoding.ids) >= len(whole.tokenizer.encode(text, add_special_tokens=False).ids)
        assert fewer.special_ids["unknown"] not in encoding.ids


def test_tokens_are_kept_only_of_a_trained_model():
    with pytest.raises(TrainingError, match="`keep_tokens` needs `init`"):
        ClassificationConfig(train="a.csv", keep_tokens=100)
