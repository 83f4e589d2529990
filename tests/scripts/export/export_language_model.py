"""Export a causal language model with a raw byte-level tokenizer, and let the bundle continue a text."""

import numpy as np

import keras_attn
from keras_attn.data.byte_tokenizer import GPT_TOKENS, train_byte_tokenizer
from keras_attn.models import GPT2, CausalLM

texts = ["one two three four", "two three four five"] * 8
raw = train_byte_tokenizer(texts, 270, GPT_TOKENS)
sizes = {"num_layers": 1, "num_heads": 2, "hidden_dim": 16, "intermediate_dim": 32, "max_sequence_length": 32}
model = CausalLM(GPT2(raw.get_vocab_size(), **sizes))
options = {"recipe": "fp32", "buckets": [16], "proof_sentences": 4, "metric_sentences": 8}
bundle = keras_attn.export(model, "bundle", tokenizer=raw, examples=texts, **options)
generator = keras_attn.device.load(bundle.path, task="generation")
generated = generator.generate("one two", max_length=4)
assert generated.ids if hasattr(generated, "ids") else generated.outputs[0].ids
assert np.isfinite(generated.score)
