"""Save a model, and load it in a new process that imports nothing but `keras` and `keras_attn`."""

import subprocess
import sys

import numpy as np

from keras_attn.models import RNNSearch

model = RNNSearch(20, embedding_dim=8, hidden_dim=8, maxout_dim=8, attention_dim=8)
ids = np.arange(10, dtype="int32").reshape(2, 5)
np.save("expected.npy", model({"encoder_token_ids": ids, "decoder_token_ids": ids}))
model.save("model.keras")

loading = """
import keras, keras_attn, numpy as np
model = keras.saving.load_model("model.keras")
ids = np.arange(10, dtype="int32").reshape(2, 5)
logits = model({"encoder_token_ids": ids, "decoder_token_ids": ids})
np.testing.assert_allclose(logits, np.load("expected.npy"), atol=1e-5)
"""
subprocess.run([sys.executable, "-c", loading], check=True)
