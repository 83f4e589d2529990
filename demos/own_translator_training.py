"""What the demos of translators of one's own share: dates to learn from, `fit`, export, and a score."""

from collections.abc import Callable

import keras
import numpy as np

import keras_attn
from keras_attn import device
from keras_attn.data.corpora.dates import generate
from keras_attn.data.tokenizer import encode_pairs, special_ids, train_tokenizer


def arrays(tokenizer, pairs, source_length: int, target_length: int):
    """Return the inputs of `fit`, its labels, and the weight of each label: 0 for padding."""
    ids = special_ids(tokenizer)
    source = np.full((len(pairs), source_length), ids["pad"], np.int32)
    target = np.full((len(pairs), target_length + 1), ids["pad"], np.int32)
    for row, (read, written) in enumerate(encode_pairs(tokenizer, pairs)):
        read = [*read[: source_length - 1], ids["end"]]
        source[row, : len(read)] = read
        line = [ids["start"], *written, ids["end"]][: target_length + 1]
        target[row, : len(line)] = line
    labels = target[:, 1:]
    inputs = {
        "encoder_token_ids": source,
        "encoder_padding_mask": source != ids["pad"],
        "decoder_token_ids": target[:, :-1],
    }
    return inputs, labels, (labels != ids["pad"]).astype(np.float32)


def learn_dates(
    make: Callable[[int], keras.Model], bundle: str, train: int, epochs: int, rate: float
) -> float:
    """Train a translator on dates, export it, and say how many held-out dates its bundle reads right."""
    keras.utils.set_random_seed(1)
    corpus = generate(train=train)
    tokenizer = train_tokenizer([text for pair in corpus.train for text in pair], 700)
    encoded = encode_pairs(tokenizer, corpus.train)
    # A date in a hundred is longer, and is cut: each step costs as much as the longest source.
    source_length = int(np.quantile([len(source) for source, _ in encoded], 0.99)) + 1  # the end token
    target_length = max(len(target) for _, target in encoded) + 1  # and the end token
    inputs, labels, weights = arrays(tokenizer, corpus.train, source_length, target_length)
    model = make(tokenizer.get_vocab_size())
    steps = epochs * -(-train // 128)
    schedule = keras.optimizers.schedules.CosineDecay(
        1e-4, steps - steps // 10, warmup_target=rate, warmup_steps=steps // 10
    )
    model.compile(
        keras.optimizers.Adam(schedule, clipnorm=1.0),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    model.fit(inputs, labels, sample_weight=weights, batch_size=128, epochs=epochs, verbose=2)
    keras_attn.export(
        model, bundle, "int8", tokenizer=tokenizer, examples=corpus.validation[:200], lengths=[32, 64], beam=4
    )
    texts, right = zip(*corpus.test, strict=True)
    found = device.load(bundle).translate(list(texts))
    accuracy = float(np.mean([each.text == wanted for each, wanted in zip(found, right, strict=True)]))
    print(f"{accuracy:.1%} of {len(texts)} held-out dates are right on LiteRT, for example:")
    for each, text in list(zip(found, texts, strict=True))[:5]:
        print(f"  {text} -> {each.text}")
    return accuracy
