"""Read attention weights out of a layer and draw them."""

import numpy as np

from keras_attn import pictures
from keras_attn.layers import BahdanauAttention, MultiHeadAttention

source, target = np.ones((1, 5, 16), "float32"), np.ones((1, 3, 8), "float32")
context, weights = BahdanauAttention(8)([target, source], return_attention_scores=True)
assert context.shape == (1, 3, 16) and weights.shape == (1, 3, 5)

outputs, heads = MultiHeadAttention(num_heads=2, key_dim=4)(target, source, return_attention_scores=True)
np.testing.assert_allclose(np.asarray(heads).sum(-1), 1, rtol=1e-5)

figure = pictures.alignment_matrix(list("abcde"), list("xyz"), np.asarray(weights[0]), "alignment.png")
assert figure._repr_png_().startswith(b"\x89PNG")
page = pictures.head_view(np.asarray(heads)[None, 0], list("abcde"), list("xyz"))
assert "<iframe" in page._repr_html_()
