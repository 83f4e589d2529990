"""Tiny encoders with random weights and a WordPiece tokenizer, shared by the tests of their export."""

import functools

from tiny_models import sentences, stir
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LABELS = ["animals", "plants", "houses"]
LENGTHS = (8, 16)
CAUSAL = ("last", "causal")
LETTERS = "acdeghiklnorstu"
PIECES = (
    "##ee ##ree do dog li th ##es ##kes likes the tree un ##de unde under ol old re red gree is green ca ne "
    "##ar cat near ho see ##us hous sees house"
)


@functools.cache
def encoder_tokenizer(written_specials: bool = False):
    """BERT's kind of tokenizer, for the sentences of the tests.

    Its pieces are listed: a trainer of WordPiece draws other ones, and other ids, in every process.
    """
    from keras_attn.device.text.tokenizer import EncoderTokenizer

    pieces = [*SPECIAL, *LETTERS, *(f"##{letter}" for letter in LETTERS if letter != "c"), *PIECES.split()]
    ids = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", ids["[SEP]"]), ("[CLS]", ids["[CLS]"]))
    roles = {"pad": "[PAD]", "start": "[CLS]", "end": "[SEP]", "unknown": "[UNK]", "mask": "[MASK]"}
    return EncoderTokenizer(tokenizer, {role: ids[token] for role, token in roles.items()}, written_specials)


@functools.cache
def bare_tokenizer():
    """GPT-2's kind of tokenizer, which encloses nothing, for an encoder."""
    from keras_attn.data.byte_tokenizer import GPT_TOKENS, ids_of, train_byte_tokenizer
    from keras_attn.device.text.tokenizer import EncoderTokenizer

    trained = train_byte_tokenizer(sentences(), 290, GPT_TOKENS)
    return EncoderTokenizer(trained, ids_of(trained, GPT_TOKENS, "the tokenizer"))


def tokenizer_of(name: str):
    """The tokenizer of a model."""
    return bare_tokenizer() if name in CAUSAL else encoder_tokenizer(written_specials=name == "masked")


@functools.cache
def tiny_encoder(name: str):
    """A model: `pooled`, `cls`, `mean`, `last` and `follows` classify, `masked` fills masks, others embed.

    `last` and `causal` are over GPT-2.
    """
    import keras

    from keras_attn.models import GPT2, Bert, BigBird, MaskedLM, NextSentence, TextClassifier, TextEmbedder

    keras.utils.set_random_seed(5)
    sizes = {
        "vocabulary_size": tokenizer_of(name).tokenizer.get_vocab_size(),
        "num_layers": 2,
        "num_heads": 2,
        "hidden_dim": 16,
        "intermediate_dim": 24,
        "max_sequence_length": 16,
    }
    match name:
        case "pooled":
            model = TextClassifier(Bert(**sizes), LABELS)
        case "cls":
            distil = Bert(**{**sizes, "num_heads": 4}, num_segments=0, pooler=False, activation="relu")
            model = TextClassifier(distil, LABELS, pooling="cls", hidden_activation="relu")
        case "mean":
            model = TextClassifier(Bert(**sizes, activation="gelu_approximate"), LABELS, pooling="mean")
        case "last":
            model = TextClassifier(GPT2(**sizes), LABELS)
        case "follows":
            model = NextSentence(Bert(**sizes), ["next", "random"])
        case "causal":
            model = TextEmbedder(GPT2(**sizes, local_window=3), pooling="mean")
        case "embedder":
            model = TextEmbedder(Bert(**sizes))
        case "longest":
            model = TextEmbedder(BigBird(**sizes, scale_embedding=True), pooling="max", normalize=False)
        case "masked":
            model = MaskedLM(Bert(**sizes, pooler=False))
        case _:
            raise ValueError(name)
    stir(model)
    for variable in model.variables:
        if variable.path.endswith(("kernel", "embeddings")):
            variable.assign(8.0 * variable.value)  # BERT starts so small that the words' order hardly matters
    return model
