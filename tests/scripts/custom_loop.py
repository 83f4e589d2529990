"""Decode greedily with the step protocol, and get what one forward pass over the same tokens says."""

import keras
import numpy as np

from keras_attn.models import Transformer

keras.utils.set_random_seed(0)
model = Transformer(
    20, hidden_dim=16, intermediate_dim=32, num_heads=2, num_encoder_layers=1, num_decoder_layers=1
)
source, mask = np.array([[5, 6, 7]], "int32"), np.ones((1, 3), bool)
memory, state = model.start(source, mask, max_length=4)
tokens = [1]
for _ in range(4):
    scores, alignment, state = model.step(np.array(tokens[-1:], "int32"), memory, state)
    tokens.append(int(np.argmax(scores)))
logits = model({"encoder_token_ids": source, "decoder_token_ids": np.array([tokens[:-1]], "int32")})
assert np.argmax(logits[0], axis=-1).tolist() == tokens[1:]
