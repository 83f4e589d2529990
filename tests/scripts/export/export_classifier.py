"""Train on a `TextVectorization` vocabulary, export the classifier, load the bundle and run it."""

import keras
import numpy as np

import keras_attn
from keras_attn.models import Bert, TextClassifier

texts = ["Good, very good!", "A bad film.", "It was good.", "Bad, bad acting"] * 8
labels = np.array([0, 1, 0, 1] * 8)
words = keras.layers.TextVectorization()
words.adapt(texts)
ids = np.asarray(words(texts)).astype("int32")

backbone = Bert(words.vocabulary_size(), 1, 2, 16, 32, max_sequence_length=32, num_segments=0, pooler=False)
model = TextClassifier(backbone, labels=["good", "bad"])
model.compile(keras.optimizers.Adam(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
model.fit({"token_ids": ids}, labels, epochs=10, verbose=0)

names = ["good", "bad"]
examples = [(text, names[label]) for text, label in zip(texts, labels, strict=True)]
options = {"recipe": "fp32", "buckets": [8], "proof_sentences": 4, "metric_sentences": 8}
bundle = keras_attn.export(model, "bundle", tokenizer=words, examples=examples, **options)
classifier = keras_attn.device.load(bundle.path, task="classification")
assert classifier.classify("GOOD good good").label == "good"
