# %% [markdown] tags=["en"]
# ## 2. Bahdanau's attention and its matrix
#
# Bahdanau, Cho and Bengio (2015, [arXiv:1409.0473](https://arxiv.org/abs/1409.0473)) keep **all** states of the encoder,
# $h_1 \dots h_S$, which they call annotations. Before each word the decoder compares its state with each annotation, turns
# the scores into weights that sum to 1, and reads the weighted mean:
#
# $$e_{ti} = v^\top \tanh(W s_{t-1} + U h_i), \qquad \alpha_{ti} = \frac{\exp e_{ti}}{\sum_j \exp e_{tj}}, \qquad
# c_t = \sum_i \alpha_{ti} h_i$$
#
# $c_t$ is different at every step: the decoder looks at what it needs now. Here are the three formulas in code.

# %% [markdown] tags=["ja"]
# ## 2. Bahdanau のアテンションとアテンション行列
#
# Bahdanau, Cho and Bengio（2015, [arXiv:1409.0473](https://arxiv.org/abs/1409.0473)）は、エンコーダの**すべて**の状態
# $h_1 \dots h_S$（アノテーション）を残しておきます。デコーダは 1 語ごとに、自分の状態を各アノテーションと比べてスコアを計算し、
# 合計が 1 になる重みに変換して、重み付き平均を読みます。
#
# $$e_{ti} = v^\top \tanh(W s_{t-1} + U h_i), \qquad \alpha_{ti} = \frac{\exp e_{ti}}{\sum_j \exp e_{tj}}, \qquad
# c_t = \sum_i \alpha_{ti} h_i$$
#
# $c_t$ はステップごとに変わります。デコーダは、今必要な部分を見るのです。3 つの式をコードで書くと次のようになります。


# %%
def additive_attention(state, annotations, W, U, v):
    """Return the context (D,) and the weights (S,) of one step."""
    scores = ops.matmul(ops.tanh(ops.matmul(state, W) + ops.matmul(annotations, U)), v)  # (S,)
    weights = ops.softmax(scores)
    return ops.matmul(weights, annotations), weights


random = np.random.default_rng(0)
state, annotations = random.normal(size=(8,)), random.normal(size=(5, 6))
W, U, v = random.normal(size=(8, 4)), random.normal(size=(6, 4)), random.normal(size=(4,))
state, annotations, W, U, v = (ops.cast(each, "float32") for each in (state, annotations, W, U, v))
context, weights = additive_attention(state, annotations, W, U, v)
print("weights", np.round(ops.convert_to_numpy(weights), 3), "sum", round(float(ops.sum(weights)), 3))

# %% [markdown] tags=["en"]
# The layer `BahdanauAttention` computes the same for whole batches. With our matrices as its weights:

# %% [markdown] tags=["ja"]
# 層 `BahdanauAttention` は、同じ計算をバッチ全体に対して行います。上の行列を重みとして設定すると、結果は一致します。

# %%
from keras_attn.layers import BahdanauAttention

layer = BahdanauAttention(4)
call = [ops.reshape(state, (1, 1, 8)), ops.reshape(annotations, (1, 5, 6))]
layer(call)
layer.set_weights([W, U, ops.reshape(v, (4, 1))])
context_of_layer, _ = layer(call, return_attention_scores=True)
print("largest difference", float(ops.max(ops.abs(context_of_layer[0, 0] - context))))

# %% [markdown] tags=["en"]
# **RNNsearch** is the translator of chapter 1 with this attention, and with an encoder that reads in both directions. Same
# data, same sizes, three epochs instead of four:

# %% [markdown] tags=["ja"]
# **RNNsearch** は、1 章の翻訳器にこのアテンションを加え、エンコーダを双方向にしたものです。データもサイズも同じで、学習は 4 エポックではなく 3 エポックです。

# %%
from keras_attn.models import RNNSearch

rnnsearch = RNNSearch(tokenizer.get_vocab_size(), attention_dim=64, **size)
train(rnnsearch, inputs, labels, exists, epochs=3, rate=8e-3)
translators["RNNsearch"] = translator_of(rnnsearch)
curves["RNNsearch"] = bleu_curve(translators["RNNsearch"])
pictures.bleu_by_length(curves)

# %% [markdown] tags=["en"]
# This is Figure 2 of the paper in small: with attention, long sentences are no harder than short ones.
#
# The weights $\alpha_{ti}$ of a sentence are its **alignment matrix**: a row for each word that is written, a column for
# each word that is read. It was never told which word belongs to which; it learned that from whole sentences. Look for the
# places where the order changes: *black dog* and *chien noir*.

# %% [markdown] tags=["ja"]
# 論文の図 2 を小さく再現したものです。アテンションがあれば、長い文も短い文と同じように訳せます。
#
# 1 文の重み $\alpha_{ti}$ を並べたものが**アテンション行列（アラインメント）**です。行は出力した語、列は読んだ語です。どの語がどの語に
# 対応するかは教えていません。文全体の対だけから学習しました。語順が入れ替わる所（*black dog* と *chien noir*）に注目してください。

# %%
found = translators["RNNsearch"].translate("the black dog sleeps and the happy queen sings", alignments=True)
alignment = found.to_alignment()
pictures.alignment_page([alignment])

# %% [markdown] tags=["en"]
# The numbers say the same: for each French word, the English word with the largest weight. A weight says where the
# model looked, not what it needed there: most words look at their counterpart, an article often at another word.

# %% [markdown] tags=["ja"]
# 数値でも同じことが分かります。フランス語の各語について、重みが最大の英語の語を表示します。重みが示すのは、モデルがどこを見たかであって、
# そこで何が必要だったかではありません。多くの語は対応する語を見ますが、冠詞はほかの語を見ることがよくあります。

# %%
for piece, row in zip(alignment.target_pieces, alignment.weights, strict=True):
    best = int(row.argmax())
    print(f"{piece:>10} ← {alignment.source_pieces[best]:<10} {row[best]:.2f}")
