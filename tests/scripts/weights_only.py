"""Keep only the weights, and put them into a model made anew from the configuration."""

import numpy as np

from keras_attn.models import Bert

model = Bert(30, num_layers=1, num_heads=2, hidden_dim=16, intermediate_dim=32)
inputs = {"token_ids": np.array([[2, 5, 7, 0]], "int32")}
model.save_weights("bert.weights.h5")
again = Bert.from_config(model.get_config())
again.load_weights("bert.weights.h5")
np.testing.assert_allclose(again(inputs)["pooled_output"], model(inputs)["pooled_output"], atol=1e-6)
