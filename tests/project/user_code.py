"""User code for test_user_code.py, which is type-checked but not run."""

import numpy as np

import keras_attn
from keras_attn.layers import BahdanauAttention, MultiHeadAttention, TransformerEncoder, dot_product_attention
from keras_attn.models import Bert, TextClassifier, Transformer

x = np.ones((2, 3, 8), "float32")
block = TransformerEncoder(intermediate_dim=16, num_heads=2, dropout=0.1)
y = block(x, padding_mask=np.ones((2, 3), bool))
outputs, weights = MultiHeadAttention(num_heads=2, key_dim=4)(x, x, return_attention_scores=True)
context = BahdanauAttention(8)([x, x])
attended, _ = dot_product_attention(x[:, :, None], x[:, :, None], x[:, :, None])

model = Transformer(vocabulary_size=100, hidden_dim=8, num_heads=2)
small = Transformer.from_preset("tiny", vocabulary_size=100)
logits = model({"encoder_token_ids": np.ones((1, 4), "int32"), "decoder_token_ids": np.ones((1, 4), "int32")})
model.fit({"encoder_token_ids": x}, x, epochs=1)
classifier = TextClassifier(Bert(100, num_layers=1), labels=["good", "bad"])

bundle = keras_attn.export("runs/dates", "dates-int8", recipe="int8")
bundle = keras_attn.export(model, "bundle", tokenizer="tokenizer.json", examples=[("ein Hund", "a dog")])
report = keras_attn.device.verify(bundle.path)
ok: bool = report.ok
text: str = keras_attn.device.load("dates-int8", task="translation").translate("5 juin 2018", beam=5).text
text = keras_attn.device.load("b").translate("...").text
