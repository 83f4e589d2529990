"""Wrong keys and bare arrays are named, wherever a model reads them, and no weight is lost."""

import keras
import numpy as np

import keras_attn

ids = np.ones((4, 5), "int32")
model = keras_attn.models.Transformer.from_preset("tiny", vocabulary_size=20)
model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
for wrong, named in (
    (ids, "of shape (4, 5)"),
    ({"token_ids": ids}, "got one with `token_ids`"),
    ({"encoder_token_ids": ids}, "got one with `encoder_token_ids`"),
    ({"encoder_token_ids": ids, "decoder_token_ids": ids[0]}, "`decoder_token_ids` must have the shape"),
):
    for call in (model, lambda x: model.fit(x, ids, verbose=0), lambda x: model.predict(x, verbose=0)):
        try:
            call(wrong)
        except keras_attn.KerasAttnError as error:
            assert (named in str(error) and "`encoder_token_ids`" in str(error)) or "shape" in named, error
        else:
            raise AssertionError(f"{named}: nothing was raised")
model.fit({"encoder_token_ids": ids, "decoder_token_ids": ids}, ids, verbose=0)
