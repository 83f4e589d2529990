"""Train in mixed precision: variables in float32, computation in bfloat16, logits in float32."""

import keras
import numpy as np

from keras_attn.models import GPT2, CausalLM

keras.config.set_dtype_policy("mixed_bfloat16")
try:
    backbone = GPT2(30, num_layers=1, num_heads=2, hidden_dim=16, intermediate_dim=32)
    model = CausalLM(backbone)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    ids = np.random.default_rng(0).integers(0, 30, (16, 9)).astype("int32")
    losses = model.fit({"token_ids": ids[:, :-1]}, ids[:, 1:], epochs=2, verbose=0).history["loss"]
    logits = model({"token_ids": ids})
finally:
    keras.config.set_dtype_policy("float32")
assert np.isfinite(losses).all()
assert keras.backend.standardize_dtype(logits.dtype) == "float32"
assert {keras.backend.standardize_dtype(each.dtype) for each in model.trainable_variables} == {"float32"}
