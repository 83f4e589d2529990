"""Run cells one after the other in one namespace, as a notebook's kernel does; the first fit fails."""

cells = [
    "import numpy as np, keras, keras_attn",
    "'Transformer' in dir(keras_attn.models) or 1 / 0",
    "model = keras_attn.models.Transformer.from_preset('tiny', vocabulary_size=20)",
    "model.compile('adam', keras.losses.SparseCategoricalCrossentropy(from_logits=True))",
    "ids = np.ones((4, 5), 'int32')",
    "model.fit(ids, ids, verbose=0)",
    "data = {'encoder_token_ids': ids, 'decoder_token_ids': ids}",
    "loss = model.fit(data, ids, verbose=0).history['loss'][0]",
]
kernel, failed = {}, []
for number, cell in enumerate(cells):
    try:
        exec(cell, kernel)
    except kernel["keras_attn"].KerasAttnError as error:
        failed.append((number, str(error)))
assert [number for number, _ in failed] == [5]
assert "encoder_token_ids" in failed[0][1]
assert kernel["loss"] > 0
