# %% [markdown] tags=["en"]
# ## 5. The Transformer
#
# *Attention is all you need* (Vaswani et al., 2017): no recurrence at all. A **block** is attention and then a small
# feed-forward network for each word, each with a residual connection and layer normalization. There are three
# attentions:
#
# | where | queries | keys and values | who may see whom |
# |---|---|---|---|
# | encoder | source | source | all see all |
# | decoder, self | target | target | only what is already written |
# | decoder, cross | target | source | all see all: this is Bahdanau's attention |
#
# A recurrent network needs a step for each word. Here all positions of a sentence are computed at once, in training also
# those of the decoder, provided that none sees what follows. That is the **causal mask**.

# %% [markdown] tags=["ja"]
# ## 5. Transformer
#
# *Attention is all you need*（Vaswani et al., 2017）：再帰はまったく使いません。1 つの**ブロック**は、アテンションと、単語ごとの小さな
# フィードフォワードネットワークからなり、それぞれに残差接続とレイヤー正規化が付きます。アテンションは 3 種類あります。
#
# | 場所 | クエリ | キーとバリュー | 見える範囲 |
# |---|---|---|---|
# | エンコーダ | 原文 | 原文 | すべて |
# | デコーダ（自己） | 訳文 | 訳文 | すでに書いた部分だけ |
# | デコーダ（交差） | 訳文 | 原文 | すべて：Bahdanau のアテンションと同じ役割 |
#
# 再帰型ネットワークは 1 語ごとに 1 ステップかかります。Transformer は文のすべての位置を一度に計算します。学習時にはデコーダもそうです。
# ただし、後ろの語が見えてはいけません。そのためのマスクが**因果マスク**です。

# %%
from keras_attn.models import Transformer

transformer = Transformer(
    tokenizer.get_vocab_size(),
    hidden_dim=64,
    intermediate_dim=128,
    num_heads=4,
    num_encoder_layers=2,
    num_decoder_layers=2,
    max_sequence_length=32,
)
train(transformer, inputs, labels, exists, epochs=6, rate=4e-3)

# %% [markdown] tags=["en"]
# Change the last word that the decoder reads: no earlier position may notice.

# %% [markdown] tags=["ja"]
# デコーダが読む最後の語を変えてみます。それより前の位置の出力は変わらないはずです。

# %%
one = {name: array[:1].copy() for name, array in inputs.items()}
length = int(exists[0].sum())
logits = ops.convert_to_numpy(transformer(one))[0, :length]
one["decoder_token_ids"][0, length - 1] = special["unknown"]
changed = ops.convert_to_numpy(transformer(one))[0, :length]
print("largest change at each position:", np.abs(changed - logits).max(-1).round(3))

# %% [markdown] tags=["en"]
# The three translators, on the held-out captions of chapter 1. Where two are equally good, one line hides the other.

# %% [markdown] tags=["ja"]
# 3 つの翻訳器を、1 章の評価用の文で比べます。成績が同じ場合は、線が重なります。

# %%
translators["Transformer"] = translator_of(transformer)
curves["Transformer"] = bleu_curve(translators["Transformer"])
for name, (_, scores) in curves.items():
    print(f"{name:26}", "  ".join(f"{score:5.1f}" for score in scores))
pictures.bleu_by_length(curves)

# %% [markdown] tags=["en"]
# Beyond its training each of them loses. Captions of five clauses are longer than anything they read; the sines of
# chapter 3 can be computed for any position, but a model must have learned to use them. BLEU there:

# %% [markdown] tags=["ja"]
# 学習した範囲を超えると、どれもうまく訳せません。5 節の文は、学習データのどの文よりも長いのです。3 章のサインはどの位置でも計算できますが、
# その使い方はモデルが学習していなければなりません。5 節での BLEU は次のとおりです。

# %%
longer = caption_pairs(40, seed=105, clauses=(5,))
print({name: round(bleu(translator, longer), 1) for name, translator in translators.items()})

# %% [markdown] tags=["en"]
# ### What each attention looks at
#
# `attention_scores` returns the weights of all heads of all layers. First the decoder's self-attention, which is causal:
# nothing is right of the diagonal.

# %% [markdown] tags=["ja"]
# ### 各アテンションが見ているもの
#
# `attention_scores` は、すべての層のすべてのヘッドの重みを返します。まずデコーダの自己アテンションです。因果マスクがあるので、対角線の
# 右側は 0 です。

# %%
text, wanted = (
    "the black dog sleeps and the happy queen sings",
    "le chien noir dort et la reine contente chante",
)
read, written = encode_pairs(tokenizer, [(text, wanted)])[0]
sentence = {
    "encoder_token_ids": np.array([[*read, special["end"]]], "int32"),
    "decoder_token_ids": np.array([[special["start"], *written]], "int32"),
}
scores = {
    name: ops.convert_to_numpy(found)[:, 0] for name, found in transformer.attention_scores(sentence).items()
}
print({name: found.shape for name, found in scores.items()}, "(layers, heads, target, source)")
source_words, target_words = [*text.split(), "[end]"], ["[start]", *wanted.split()]
pictures.attention_heads(scores["decoder"], target_words, target_words)

# %% [markdown] tags=["en"]
# And the cross-attention, as the mean of the last layer's heads. A row is named by the word that is written there. Compare
# it with RNNsearch's matrix of chapter 2.

# %% [markdown] tags=["ja"]
# 次は交差アテンションで、最後の層のヘッドの平均です。行の名前は、そこで書く語です。2 章の RNNsearch の行列と比べてください。

# %%
pictures.alignment_matrix(source_words, [*wanted.split(), "[end]"], scores["cross"][-1].mean(0))

# %% [markdown] tags=["en"]
# The source word with the largest weight, for each word that is written. With several heads and layers a single row may
# stray: what it needs may have come through another head, or from the layer below.

# %% [markdown] tags=["ja"]
# 書く語ごとに、重みが最大の原文の語を表示します。ヘッドと層がいくつもあるので、一行だけ別の語を指すこともあります。必要な情報は、ほかのヘッドや
# 下の層から届いているのかもしれません。

# %%
for word, row in zip([*wanted.split(), "[end]"], scores["cross"][-1].mean(0), strict=True):
    print(f"{word:>10} ← {source_words[int(row.argmax())]:<8} {row.max():.2f}")
