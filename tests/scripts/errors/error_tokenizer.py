"""What cannot become a tokenizer of a bundle is refused by name before anything is converted."""

import keras

import keras_attn

model = keras_attn.models.Transformer.from_preset("tiny", vocabulary_size=300)
words = keras.layers.TextVectorization(standardize=keras.ops.abs, vocabulary=["startseq", "endseq", "hund"])
raw = keras_attn.data.train_tokenizer(["ein hund", "a dog"] * 2, 280)
nameless = type(raw).from_str(raw.to_str().replace("<eos>", "<stop>"))
for tokenizer, named in (
    (None, "`tokenizer`"),
    ({"ein": 1}, "`tokenizer` is a dict"),
    ("nowhere.json", "nowhere.json"),
    (words, "`standardize` is the function"),
    (nameless, "end=..."),
):
    try:
        keras_attn.export(model, "bundle", tokenizer=tokenizer)
    except keras_attn.KerasAttnError as error:
        assert named in str(error), error
    else:
        raise AssertionError(f"{named}: nothing was raised")
