# %% [markdown] tags=["en"]
# ## 1. The RNN encoder-decoder and its bottleneck
#
# The RNN encoder-decoder (Cho et al., 2014, [arXiv:1406.1078](https://arxiv.org/abs/1406.1078); Sutskever et al., 2014,
# [arXiv:1409.3215](https://arxiv.org/abs/1409.3215)) has two recurrent networks. The **encoder** reads the source, word
# after word. Its last state $c$, one vector, is all that the **decoder** sees of the source:
#
# $$h_i = \mathrm{GRU}(x_i, h_{i-1}), \qquad c = h_S, \qquad s_t = \mathrm{GRU}(y_{t-1}, c, s_{t-1})$$
#
# First the texts become numbers. The tokenizer learns its vocabulary from the texts; here each word becomes one token.

# %% [markdown] tags=["ja"]
# ## 1. RNN エンコーダ・デコーダとそのボトルネック
#
# RNN エンコーダ・デコーダ（Cho et al., 2014, [arXiv:1406.1078](https://arxiv.org/abs/1406.1078)；Sutskever et al., 2014,
# [arXiv:1409.3215](https://arxiv.org/abs/1409.3215)）は 2 つの再帰型ネットワークからなります。**エンコーダ**は原文を 1 語ずつ読みます。
# その最後の状態 $c$ という 1 本のベクトルだけが、**デコーダ**に渡される原文の情報です。
#
# $$h_i = \mathrm{GRU}(x_i, h_{i-1}), \qquad c = h_S, \qquad s_t = \mathrm{GRU}(y_{t-1}, c, s_{t-1})$$
#
# まず文を数に変換します。トークナイザは語彙を文から学習します。ここでは 1 語が 1 トークンになります。

# %%
import numpy as np

from keras_attn.data import as_tokenizer, encode_pairs, special_ids, train_tokenizer

tokenizer = train_tokenizer([text for pair in pairs for text in pair], vocabulary_size=700)
special = special_ids(tokenizer)
print(tokenizer.encode(pairs[0][0]).tokens)
print(tokenizer.encode(pairs[0][0]).ids)

# %% [markdown] tags=["en"]
# The decoder learns to predict the next word from all words before it, so its input is the target shifted by one: it
# begins with a start token, and the label of its last position is the end token. Padding gets the weight 0.

# %% [markdown] tags=["ja"]
# デコーダは、それまでの語から次の語を予測するように学習します。入力は正解文を 1 つずらしたもので、先頭は開始トークン、最後の位置のラベルは
# 終了トークンです。パディングの重みは 0 にします。


# %%
def padded(rows):
    """Return rows of ids as one array, filled up with padding."""
    length = max(map(len, rows))
    return np.array([[*row, *[special["pad"]] * (length - len(row))] for row in rows], "int32")


ids = encode_pairs(tokenizer, pairs)
source = padded([[*read, special["end"]] for read, _ in ids])  # (N, S)
target = padded([[special["start"], *written, special["end"]] for _, written in ids])  # (N, T + 1)
inputs = {"encoder_token_ids": source, "decoder_token_ids": target[:, :-1]}
labels = target[:, 1:]
exists = (labels != special["pad"]).astype("float32")
print(source.shape, labels.shape)

# %% [markdown] tags=["en"]
# One function trains all translators of this lesson: cross-entropy, Adam, a learning rate that warms up and decays.

# %% [markdown] tags=["ja"]
# この教材の翻訳器は、すべて次の関数で学習します。損失は交差エントロピー、最適化は Adam で、学習率はウォームアップの後に下げていきます。


# %%
def train(model, inputs, labels, weights=None, *, epochs, rate, batch=64):
    """Train by `fit`, and print some of the losses."""
    steps = epochs * -(-len(labels) // batch)
    schedule = keras.optimizers.schedules.CosineDecay(
        rate / 10, steps - steps // 10, warmup_target=rate, warmup_steps=steps // 10
    )
    model.compile(
        keras.optimizers.Adam(schedule, clipnorm=1.0),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=False,
    )
    history = model.fit(
        inputs, labels, sample_weight=weights, batch_size=batch, epochs=epochs, verbose=0
    ).history
    losses = " → ".join(f"{loss:.3f}" for loss in history["loss"][:: max(1, epochs // 5)])
    print(f"{type(model).__name__}, {model.count_params():,} weights, loss by epoch: {losses}")


from keras_attn.models import Seq2SeqRNN

size = {"embedding_dim": 64, "hidden_dim": 64, "maxout_dim": 64}
seq2seq = Seq2SeqRNN(tokenizer.get_vocab_size(), **size)
train(seq2seq, inputs, labels, exists, epochs=4, rate=8e-3)

# %% [markdown] tags=["en"]
# To translate, the decoder reads its own output: greedy search takes the most likely word at each step. How good is a
# translation? **BLEU** (Papineni et al., 2002) counts the words and the sequences of up to four words that it shares with a
# reference: 100 for the reference itself. We score held-out captions of one to four clauses, 19 words at most.

# %% [markdown] tags=["ja"]
# 翻訳するとき、デコーダは自分の出力を読みます。貪欲探索では、各ステップで最も確率の高い語を選びます。翻訳の良さは **BLEU**
# （Papineni et al., 2002）で測ります。参照訳と共通する 1～4 語の並びを数える指標で、参照訳そのものなら 100 です。学習に使っていない
# 1～4 節（最大 19 語）の文で測ります。

# %%
import sacrebleu

from keras_attn import pictures
from keras_attn.generation import keras_translator

held_out = {clauses: caption_pairs(40, seed=100 + clauses, clauses=(clauses,)) for clauses in (1, 2, 3, 4)}


def translator_of(model):
    """Return what translates texts with a model."""
    return keras_translator(
        model, as_tokenizer(tokenizer), max_source_tokens=32, max_target_tokens=32, multiple=32
    )


def bleu(translator, test):
    """Return the BLEU of the translations of (source, reference) pairs."""
    sources, references = zip(*test, strict=True)
    found = [each.text for each in translator.translate(list(sources))]
    return sacrebleu.corpus_bleu(found, [list(references)], tokenize="none", force=True).score


def bleu_curve(translator):
    """Return the lengths in words and the BLEU of held-out captions, by their number of clauses."""
    return [5 * clauses - 1 for clauses in held_out], [bleu(translator, test) for test in held_out.values()]


translators = {"RNN encoder-decoder": translator_of(seq2seq)}
curves = {name: bleu_curve(translator) for name, translator in translators.items()}
pictures.bleu_by_length(curves)

# %% [markdown] tags=["en"]
# The longer the sentence, the worse its translation: the same few numbers have to hold two clauses or ten. That is the
# **bottleneck**. The captions below show what is lost: the words are plausible and the grammar is right, but the content
# of the source is forgotten.

# %% [markdown] tags=["ja"]
# 文が長いほど翻訳は悪くなります。2 節でも 10 節でも、同じ長さのベクトルに収めなければならないからです。これが**ボトルネック**です。
# 次の例を見ると、何が失われるかが分かります。単語も文法ももっともらしいのに、原文の内容を忘れています。

# %%
text, reference = held_out[4][0]
print("source    ", text)
print("reference ", reference)
print("translated", translators["RNN encoder-decoder"].translate(text).text)
