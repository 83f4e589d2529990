# %% [markdown] tags=["en"]
# ## 3. Positions, learned and fixed
#
# A recurrent network knows the order of words, because it reads them one after the other. Attention does not: it is a
# weighted mean, and a mean has no order. Without positions, shuffling the words shuffles the outputs, and that is all:

# %% [markdown] tags=["ja"]
# ## 3. 位置の表現：学習するものと固定のもの
#
# 再帰型ネットワークは単語を順に読むので、語順を知っています。アテンションは重み付き平均であり、平均に順番はありません。位置の情報が
# なければ、単語を並べ替えても、出力が同じように並べ替わるだけです。

# %%
from keras_attn.layers import MultiHeadAttention

random = np.random.default_rng(0)
words = random.normal(size=(1, 6, 16)).astype("float32")
shuffle = random.permutation(6)
attention = MultiHeadAttention(num_heads=2, key_dim=8)
before = ops.convert_to_numpy(attention(words, words))
after = ops.convert_to_numpy(attention(words[:, shuffle], words[:, shuffle]))
print("difference after undoing the shuffle:", np.abs(before[:, shuffle] - after).max())

# %% [markdown] tags=["en"]
# So each word's vector gets the vector of its position added. The **fixed** ones of the Transformer (Vaswani et al., 2017,
# [arXiv:1706.03762](https://arxiv.org/abs/1706.03762), section 3.5) are sines and cosines, slower from pair to pair:
#
# $$P_{p,2i} = \sin(p / 10000^{2i/D}), \qquad P_{p,2i+1} = \cos(p / 10000^{2i/D})$$

# %% [markdown] tags=["ja"]
# そこで、各単語のベクトルに位置のベクトルを足します。Transformer（Vaswani et al., 2017,
# [arXiv:1706.03762](https://arxiv.org/abs/1706.03762)、3.5 節）の**固定**の位置表現はサインとコサインで、次元の組ごとに周期が
# 長くなります。
#
# $$P_{p,2i} = \sin(p / 10000^{2i/D}), \qquad P_{p,2i+1} = \cos(p / 10000^{2i/D})$$

# %%
from keras_attn.layers import sine_table

table = np.asarray(sine_table(64, 64))
pictures.position_encoding(table)

# %% [markdown] tags=["en"]
# Left: 64 positions, 64 dimensions. Right: the dot product of two positions falls with their distance, in ripples, so
# that near positions resemble each other. It depends *only* on the distance, since
# $\sin a \sin b + \cos a \cos b = \cos(a - b)$: along each diagonal of the products all values are equal.

# %% [markdown] tags=["ja"]
# 左は 64 個の位置の 64 次元のベクトルです。右のように、2 つの位置の内積は、波打ちながらも距離とともに小さくなります。近い位置ほど似ているのです。
# $\sin a \sin b + \cos a \cos b = \cos(a - b)$ なので、内積は距離**だけ**で決まります。内積の行列の各対角線上では、値がすべて等しく
# なります。

# %%
products = table @ table.T
spread = max(np.ptp(np.diagonal(products, distance)) for distance in range(64))
print(f"largest difference on a diagonal: {spread:.1e}, of products up to {products.max():.0f}")

# %% [markdown] tags=["en"]
# **Learned** positions (Gehring et al., 2017, [arXiv:1705.03122](https://arxiv.org/abs/1705.03122); BERT and GPT) are a
# table of weights, random at first. Let both kinds learn a task that cannot be done without positions: in a row of random
# letters, name the letter *before* each one (before the first: the last).

# %% [markdown] tags=["ja"]
# **学習する**位置表現（Gehring et al., 2017, [arXiv:1705.03122](https://arxiv.org/abs/1705.03122)；BERT や GPT）は、乱数で初期化した
# 重みの表です。位置が分からなければ解けない課題を、両方に学習させてみます。ランダムな文字列の各文字について、1 つ**前**の文字（先頭なら最後の文字）を
# 答える課題です。

# %%
from keras_attn.layers import PositionEmbedding, SinePositionEncoding

letters = random.integers(1, 20, size=(3200, 16)).astype("int32")
previous = np.roll(letters, 1, axis=1)  # before the first letter: the last one


def computed(model, inputs):
    """Return what a model computes, as NumPy arrays."""
    return keras.tree.map_structure(ops.convert_to_numpy, model(inputs))


def name_previous(positions):
    """Return a model of one attention, what it looks at, and train it."""
    given = keras.Input((16,), dtype="int32")
    x = keras.layers.Embedding(20, 32)(given)
    x = x if positions is None else x + positions(x)
    x, weights = MultiHeadAttention(num_heads=1, key_dim=32)(x, x, return_attention_scores=True)
    model = keras.Model(given, keras.layers.Dense(20)(x))
    train(model, letters, previous, epochs=3, rate=1e-2)
    right = computed(model, letters[:200]).argmax(-1) == previous[:200]
    print(f"  {right.mean():.1%} right")
    return keras.Model(given, weights)


learned = PositionEmbedding(16)
views = {
    "no positions": name_previous(None),
    "sine": name_previous(SinePositionEncoding()),
    "learned": name_previous(learned),
}

# %% [markdown] tags=["en"]
# Without positions the task cannot be learned; with either kind it can. The mean of the attention weights shows how: each
# position looks one to the left, which is the line below the diagonal. (The first one looks at the last, as asked.)

# %% [markdown] tags=["ja"]
# 位置がなければこの課題は学習できず、どちらかの位置表現があれば学習できます。アテンションの重みの平均を見ると、その仕組みが分かります。
# どの位置も 1 つ左を見ていて、対角線のすぐ下の線に
# なります（先頭の文字は、課題のとおり最後の文字を見ます）。

# %%
import matplotlib.pyplot as plt

figure, panels = plt.subplots(1, 3, figsize=(9, 3))
for panel, (name, view) in zip(panels, views.items(), strict=True):
    panel.imshow(computed(view, letters[:200])[:, 0].mean(0), cmap="Blues", vmin=0, vmax=1)
    panel.set_title(name)
    panel.set_xlabel("attended position")
panels[0].set_ylabel("position")
plt.show()

# %% [markdown] tags=["en"]
# The difference: the learned table ends. The sines go on for ever, though a model need not be good where it was not
# trained.

# %% [markdown] tags=["ja"]
# 違いもあります。学習した表には終わりがあります。サインはどこまでも計算できますが、学習していない長さでモデルがうまく働くとは限りません。

# %%
print("sines for 40 positions:", SinePositionEncoding()(np.zeros((1, 40, 32), "float32")).shape[1])
print("rows of the learned table:", learned.weights[0].shape[0])
