"""A mistyped argument is named with the class that lacks it and the nearest one that it has."""

from keras_attn import KerasAttnError, layers, models


class Mine(models.Transformer):
    """One's own class, without a constructor of its own."""


calls = {
    "Transformer has no argument `num_head`. Did you mean `num_heads`?": lambda: models.Transformer(
        num_head=8
    ),
    "Mine has no argument `num_head`": lambda: Mine(20, num_head=8),
    "Bert has no argument `hidden_size`": lambda: models.Bert(20, hidden_size=8),
    "RNNSearch has no argument `maxout`": lambda: models.RNNSearch(20, maxout=8),
    "Did you mean `dropout`?": lambda: layers.TransformerEncoder(16, 2, drop_out=0.1),
    "MultiHeadAttention has no argument `num_kv_heads`": lambda: layers.MultiHeadAttention(
        2, 4, num_kv_heads=1
    ),
}
for named, call in calls.items():
    try:
        call()
    except KerasAttnError as error:
        assert isinstance(error, TypeError) and named in str(error), error
    else:
        raise AssertionError(f"{named}: nothing was raised")
layers.TransformerEncoder(16, 2, name="block", dtype="float16", trainable=False)
