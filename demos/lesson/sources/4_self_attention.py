# %% [markdown] tags=["en"]
# ## 4. Self-attention with several heads
#
# In self-attention the words of *one* text look at each other. Each word has three vectors, all linear in its own: a
# **query** (what it looks for), a **key** (what it can be found by) and a **value** (what it says). The score is a dot
# product, which is one matrix multiplication for all pairs (Vaswani et al., 2017, section 3.2):
#
# $$\mathrm{attention}(Q, K, V) = \mathrm{softmax}\left(\frac{Q K^\top}{\sqrt{d}}\right) V$$
#
# Why divide by $\sqrt d$? The product of two random vectors of size $d$ has the standard deviation $\sqrt d$. Without the
# division, the larger $d$ is, the more a softmax sees only the largest score, and its gradient vanishes:

# %% [markdown] tags=["ja"]
# ## 4. マルチヘッド自己アテンション
#
# 自己アテンションでは、**1 つの**文の単語が互いを見ます。各単語は、自分のベクトルを線形変換した 3 つのベクトルを持ちます。
# **クエリ**（何を探すか）、**キー**（何で見つけてもらうか）、**バリュー**（何を伝えるか）です。スコアは内積なので、すべての組を 1 回の
# 行列積で計算できます（Vaswani et al., 2017、3.2 節）。
#
# $$\mathrm{attention}(Q, K, V) = \mathrm{softmax}\left(\frac{Q K^\top}{\sqrt{d}}\right) V$$
#
# なぜ $\sqrt d$ で割るのでしょうか。大きさ $d$ のランダムなベクトル 2 本の内積は、標準偏差が $\sqrt d$ になります。割らなければ、
# $d$ が大きいほど softmax は最大のスコアしか見なくなり、勾配が消えてしまいます。

# %%
for d in (4, 64, 1024):
    query, keys = random.normal(size=(2000, 1, d)), random.normal(size=(2000, d, 8))
    scores = (query @ keys)[:, 0]  # 8 scores, 2000 times
    raw, scaled = (np.exp(s - s.max(-1, keepdims=True)) for s in (scores, scores / d**0.5))
    raw, scaled = (each / each.sum(-1, keepdims=True) for each in (raw, scaled))
    print(
        f"d = {d:4}: deviation {scores.std():5.1f}, mean largest weight {raw.max(-1).mean():.2f}, "
        f"scaled {scaled.max(-1).mean():.2f}"
    )

# %% [markdown] tags=["en"]
# One softmax makes one choice. With several **heads**, each with queries, keys and values of its own, a word can look at
# several places at once. Their results stand side by side and are mixed by one more matrix. In code, and compared with
# the layer `MultiHeadAttention`:

# %% [markdown] tags=["ja"]
# 1 つの softmax は 1 つの選択しかできません。それぞれが自分のクエリ・キー・バリューを持つ複数の**ヘッド**があれば、単語は同時に複数の
# 場所を見ることができます。結果を横に並べ、もう 1 つの行列で混ぜ合わせます。コードで書き、層 `MultiHeadAttention` と比べます。


# %%
def multi_head_attention(x, Wq, Wk, Wv, Wo):
    """Self-attention of x (T, D); Wq, Wk, Wv (D, H, d), Wo (H, d, D)."""
    q, k, v = (ops.einsum("td,dhe->hte", x, W) for W in (Wq, Wk, Wv))  # (H, T, d)
    scores = ops.einsum("hte,hse->hts", q, k) / q.shape[-1] ** 0.5  # (H, T, T)
    return ops.einsum("hts,hse,hed->td", ops.softmax(scores), v, Wo)


layer = MultiHeadAttention(num_heads=2, key_dim=8, use_bias=False)
expected = layer(words, words)[0]
ours = multi_head_attention(ops.convert_to_tensor(words[0]), *layer.weights)
print("largest difference", float(ops.max(ops.abs(ours - expected))))

# %% [markdown] tags=["en"]
# ### What is "it"?
#
# *The animal didn't cross the street because it was too tired*: here "it" is the animal. With *too wide* it is the street.
# One word at the end decides. We train a model of two layers of attention and nothing else: at the position of "it" it has
# to name what "it" is.

# %% [markdown] tags=["ja"]
# ### 「it」は何を指すか
#
# *The animal didn't cross the street because it was too tired*（疲れていたので渡らなかった）では、it は動物です。*too wide*（広すぎた）なら
# it は道です。最後の 1 語で決まります。アテンション 2 層だけのモデルを学習します。it の位置で、it が指すものを答えさせます。

# %%
from captions import it_sentences

from keras_attn.layers import TokenAndPositionEmbedding

riddles = it_sentences(3200, seed=1)
for text, meant in riddles[:2]:
    print(f"{text}: it = {meant}")
known = sorted({word for text, _ in riddles for word in text.split()})
number = {word: index for index, word in enumerate(known)}


def numbers(texts):
    """Return the ids of texts of one length, (N, T)."""
    return np.array([[number[word] for word in text.split()] for text in texts], "int32")


texts, meanings = zip(*riddles, strict=True)
place_of_it = texts[0].split().index("it")
given = keras.Input((len(texts[0].split()),), dtype="int32")
embedded = TokenAndPositionEmbedding(len(known), given.shape[1], 32)(given)
x, first = MultiHeadAttention(num_heads=2, key_dim=16)(embedded, embedded, return_attention_scores=True)
x = x + embedded
x, second = MultiHeadAttention(num_heads=2, key_dim=16)(x, x, return_attention_scores=True)
reader = keras.Model(given, keras.layers.Dense(len(known))(x[:, place_of_it]))
train(reader, numbers(texts), np.array([number[word] for word in meanings]), epochs=4, rate=5e-3)

# %% [markdown] tags=["en"]
# On new sentences, what is right, and how much weight does "it" give in the second layer to what it means, and to the
# other noun?

# %% [markdown] tags=["ja"]
# 新しい文での正解率はどうでしょうか。また、2 層目で it は、自分が指す名詞ともう一方の名詞に、それぞれどれだけの重みを与えているでしょうか。

# %%
new = it_sentences(200, seed=2)
new_texts, new_meanings = zip(*new, strict=True)
answers = computed(reader, numbers(new_texts)).argmax(-1)
print(f"right: {np.mean([known[a] == m for a, m in zip(answers, new_meanings, strict=True)]):.1%}")
weights = computed(keras.Model(given, second), numbers(new_texts))[:, :, place_of_it]  # (N, H, T)
nouns = np.array([[text.split().index(m), 1 + 6 - text.split().index(m)] for text, m in new])  # at 1 and 6
for head in range(2):
    of_meant, of_other = (weights[np.arange(200), head, nouns[:, which]].mean() for which in (0, 1))
    print(f"head {head + 1}: what it means {of_meant:.2f}, the other noun {of_other:.2f}")

# %% [markdown] tags=["en"]
# One word changes, and "it" looks elsewhere:

# %% [markdown] tags=["ja"]
# 1 語変えるだけで、it が見る先が変わります。

# %%
pair = [f"the dog did not cross the street because it was too {last}" for last in ("tired", "wide")]
seen = computed(keras.Model(given, second), numbers(pair)).mean(1)[:, place_of_it]  # mean of heads
pictures.alignment_matrix([*pair[0].split()[:-1], "tired / wide"], ["it (tired)", "it (wide)"], seen)

# %% [markdown] tags=["en"]
# And all heads of both layers, a row for each word, for the sentence with "tired". Only the row of "it" had to learn
# something in the second layer; nothing depends on the others.

# %% [markdown] tags=["ja"]
# tired の文について、両方の層のすべてのヘッドを見てみましょう。行が「見る側」の単語です。
# 2 層目で学習の対象になったのは it の行だけで、ほかの行は結果に影響しません。

# %%
maps = np.stack(computed(keras.Model(given, [first, second]), numbers(pair[:1])))[:, 0]
pictures.attention_heads(maps, pair[0].split(), pair[0].split())

# %% [markdown] tags=["en"]
# It takes two layers. One alone cannot do it: the query of "it" and the keys of the nouns would be the same in both sentences,
# so that the ratio of the two nouns' weights would be the same, too. The first layer lets words read the last one. How
# much weight does each word of the new sentences give to it there, at most in one head?

# %% [markdown] tags=["ja"]
# この仕組みには 2 つの層が必要です。1 層だけではできません。it のクエリも名詞のキーもどちらの文でも同じなので、2 つの名詞の重みの比も同じに
# なってしまうからです。1 層目では、単語が最後の語を読みます。新しい文の各単語が 1 層目で最後の語に与える重み（ヘッドの最大値）を見てみます。

# %%
to_last = computed(keras.Model(given, first), numbers(new_texts))[..., -1]  # (N, H, T)
for position, word in enumerate(pair[0].split()):
    print(f"{word:8} {to_last[:, :, position].max(1).mean():.2f}")

# %% [markdown] tags=["en"]
# In a large model trained on texts of the world the same is found in single heads: docs/gallery.md shows MiniLM's.

# %% [markdown] tags=["ja"]
# 世の中の文章で学習した大きなモデルでも、同じ働きをするヘッドが見つかります。docs/gallery.md に MiniLM の図があります。
