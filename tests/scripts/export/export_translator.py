"""Train one's own Transformer with one's own tokenizer, export it from Python, load the bundle and run it."""

import keras
import numpy as np

import keras_attn

pairs = [(f"tag {n}", f"day {n}") for n in range(10)] * 8
raw = keras_attn.data.train_tokenizer([text for pair in pairs for text in pair], 290)
tokenizer = keras_attn.data.as_tokenizer(raw)
source = np.array([tokenizer.encode(text) for text, _ in pairs], "int32")
target = np.array([tokenizer.encode(text) for _, text in pairs], "int32")
shifted = np.pad(target[:, :-1], ((0, 0), (1, 0)), constant_values=tokenizer.special_ids["start"])

sizes = {
    "hidden_dim": 32,
    "intermediate_dim": 64,
    "num_heads": 2,
    "num_encoder_layers": 1,
    "num_decoder_layers": 1,
}
model = keras_attn.models.Transformer(raw.get_vocab_size(), dropout=0.0, max_sequence_length=32, **sizes)
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(keras.optimizers.Adam(0.01), loss)
model.fit({"encoder_token_ids": source, "decoder_token_ids": shifted}, target, epochs=40, verbose=0)

options = {"recipe": "fp32", "buckets": [8], "beam": 2, "proof_sentences": 4, "metric_sentences": 8}
bundle = keras_attn.export(model, "bundle", tokenizer=raw, examples=pairs[:10], **options)
translator = keras_attn.device.load(bundle.path, task="translation")
translation = translator.translate("tag 7", alignments=True)
assert translation.text == "day 7" and repr(translation).startswith("Translation('day 7'")
assert "<table" in translation._repr_html_()
assert keras_attn.device.verify("bundle").ok
