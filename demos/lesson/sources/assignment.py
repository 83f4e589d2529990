# %% [markdown] tags=["en"]
# # Assignment: attention by hand
#
# Five exercises. Where `raise NotImplementedError` stands, write your answer; the cell below each one checks it. Use `ops`
# of Keras, so that the answer runs on every backend. `Solution.ipynb` has one answer to each.

# %% [markdown] tags=["ja"]
# # 演習：アテンションを自分で書く
#
# 課題は 5 つです。`raise NotImplementedError` の所に答えを書いてください。各課題の次のセルが答えを確かめます。Keras の `ops` を使えば、どの
# バックエンドでも動きます。解答例は `Solution.ja.ipynb` にあります。

# %%
import os

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import logging
import tempfile
from pathlib import Path

import keras
import numpy as np
from keras import ops

import keras_attn
from keras_attn import pictures

logging.getLogger("tensorflow").setLevel(logging.ERROR)
keras.utils.set_random_seed(1)
random = np.random.default_rng(1)


def check(what, found, expected):
    """Compare two arrays, and say that they agree."""
    np.testing.assert_allclose(ops.convert_to_numpy(found), ops.convert_to_numpy(expected), atol=1e-5)
    print("right:", what)


# %% [markdown] tags=["en"]
# ## 1. Scaled dot-product attention
#
# $\mathrm{softmax}(Q K^\top / \sqrt d)\,V$, with a mask: where it is `False`, the weight is 0. Add a large negative number to
# those scores before the softmax.

# %% [markdown] tags=["ja"]
# ## 1. スケール付き内積アテンション
#
# マスク付きの $\mathrm{softmax}(Q K^\top / \sqrt d)\,V$ を書いてください。マスクが `False` の所の重みは 0 です。softmax の前に、そのスコアに
# 絶対値の大きな負の数を足します。


# %%
def attention(query, key, value, mask):
    """Attend.

    Args:
        query: (T, d).
        key: (S, d).
        value: (S, d).
        mask: boolean (T, S), True where a query may look.

    Returns:
        (T, d) and the weights (T, S).
    """
    ### BEGIN SOLUTION
    scores = ops.matmul(query, ops.transpose(key)) / query.shape[-1] ** 0.5  # (T, S)
    weights = ops.softmax(ops.where(mask, scores, -1e9))
    return ops.matmul(weights, value), weights
    ### END SOLUTION


# %%
query, key, value = (ops.convert_to_tensor(random.normal(size=(6, 8)).astype("float32")) for _ in range(3))
everything = np.ones((6, 6), bool)
expected = ops.nn.dot_product_attention(query[None, :, None], key[None, :, None], value[None, :, None])
found, weights = attention(query, key, value, everything)
check("the outputs, compared with Keras", found, expected[0, :, 0])
check("weights sum to 1", ops.sum(weights, axis=-1), np.ones(6))

# %% [markdown] tags=["en"]
# ## 2. The causal mask
#
# Position $t$ may look at the positions $0 \dots t$.

# %% [markdown] tags=["ja"]
# ## 2. 因果マスク
#
# 位置 $t$ は、位置 $0 \dots t$ だけを見ることができます。


# %%
def causal_mask(length):
    """Return a boolean array (length, length)."""
    ### BEGIN SOLUTION
    positions = np.arange(length)
    return positions[None, :] <= positions[:, None]
    ### END SOLUTION


# %%
print(causal_mask(4).astype(int))
_, weights = attention(query, key, value, causal_mask(6))
check("nothing right of the diagonal", np.triu(ops.convert_to_numpy(weights), 1), np.zeros((6, 6)))
expected = ops.nn.dot_product_attention(
    query[None, :, None], key[None, :, None], value[None, :, None], is_causal=True
)
check("causal attention", attention(query, key, value, causal_mask(6))[0], expected[0, :, 0])

# %% [markdown] tags=["en"]
# ## 3. Several heads
#
# Cut the depth into heads, attend in each, and put the results side by side again.

# %% [markdown] tags=["ja"]
# ## 3. マルチヘッド
#
# 深さ方向をヘッドの数に分け、それぞれでアテンションを計算し、結果をまた横に並べてください。


# %%
def in_heads(query, key, value, mask, heads):
    """Attend with several heads: (T, D) from (T, D), (S, D), (S, D); `heads` divides D."""
    ### BEGIN SOLUTION
    parts = zip(*(ops.split(each, heads, axis=-1) for each in (query, key, value)), strict=True)
    return ops.concatenate([attention(q, k, v, mask)[0] for q, k, v in parts], axis=-1)
    ### END SOLUTION


# %%
cut = [ops.reshape(each, (1, 6, 2, 4)) for each in (query, key, value)]
expected = ops.reshape(ops.nn.dot_product_attention(*cut), (6, 8))
check("two heads", in_heads(query, key, value, everything, 2), expected)

# %% [markdown] tags=["en"]
# ## 4. Sine positions
#
# $P_{p,2i} = \sin(p / 10000^{2i/D})$ and $P_{p,2i+1} = \cos(p / 10000^{2i/D})$.

# %% [markdown] tags=["ja"]
# ## 4. サインによる位置表現
#
# $P_{p,2i} = \sin(p / 10000^{2i/D})$、$P_{p,2i+1} = \cos(p / 10000^{2i/D})$ です。


# %%
def sine_positions(length, depth):
    """Return a NumPy array (length, depth)."""
    ### BEGIN SOLUTION
    angles = np.arange(length)[:, None] / 10000 ** (np.arange(0, depth, 2) / depth)  # (T, D / 2)
    return np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(length, depth)
    ### END SOLUTION


# %%
from keras_attn.layers import sine_table

check("sine positions", sine_positions(20, 8), sine_table(20, 8))

# %% [markdown] tags=["en"]
# ## 5. Dates: from data to the phone
#
# Dates as they are written in English, French and German, and their ISO form. (`keras_attn.data.generate_dates` knows 57
# languages and countries.) Build a translator that reads them: an `RNNSearch` or a `Transformer` of `keras_attn.models`,
# with at most 300,000 weights. It must read 80 % of the held-out dates, and its export must pass the proof.

# %% [markdown] tags=["ja"]
# ## 5. 日付：データからスマートフォンまで
#
# 英語・フランス語・ドイツ語で書いた日付と、その ISO 形式の対です（`keras_attn.data.generate_dates` なら 57 の言語・地域に対応しています）。
# これを読む翻訳器を作ってください。`keras_attn.models` の `RNNSearch` か `Transformer` で、重みは 30 万個以下とします。評価用の日付の 80 % を正しく読み、書き出しの
# 検証に合格することが条件です。

# %%
from datetime import date, timedelta

from babel.dates import format_date

from keras_attn.data import as_tokenizer, encode_pairs, special_ids, train_tokenizer
from keras_attn.generation import keras_translator

days = [date(2000, 1, 1) + timedelta(days=int(day)) for day in random.permutation(18_000)[:4800]]
styles, languages = random.choice(["long", "full"], 4800), random.choice(["en", "fr", "de"], 4800)
written = [
    (format_date(day, str(style), locale=str(language)), day.isoformat())
    for day, style, language in zip(days, styles, languages, strict=True)
]
learned, held_out = written[:4400], written[4400:]
tokenizer = train_tokenizer([text for pair in learned for text in pair], vocabulary_size=500)
special = special_ids(tokenizer)
for text, iso in learned[:4]:
    print(text, "→", iso)


def padded(rows, length):
    """Return rows of ids as one array, filled up with padding or cut."""
    return np.array([[*row[:length], *[special["pad"]] * (length - len(row))] for row in rows], "int32")


ids = encode_pairs(tokenizer, learned)
source = padded([[*read, special["end"]] for read, _ in ids], 24)
target = padded([[special["start"], *line, special["end"]] for _, line in ids], 13)
inputs = {"encoder_token_ids": source, "decoder_token_ids": target[:, :-1]}
labels = target[:, 1:]


# %%
def trained_translator(vocabulary_size):
    """Return a trained model of at most 300,000 weights."""
    ### BEGIN SOLUTION
    model = keras_attn.models.RNNSearch(
        vocabulary_size, attention_dim=64, embedding_dim=64, hidden_dim=64, maxout_dim=64
    )
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(8e-3, 414), clipnorm=1.0),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=False,
    )
    weights = (labels != special["pad"]).astype("float32")
    model.fit(inputs, labels, sample_weight=weights, batch_size=64, epochs=6, verbose=0)
    return model
    ### END SOLUTION


model = trained_translator(tokenizer.get_vocab_size())
print(f"{model.count_params():,} weights")
assert model.count_params() <= 300_000

# %%
test = held_out[:200]
translator = keras_translator(model, as_tokenizer(tokenizer), max_source_tokens=32, max_target_tokens=16)
found = translator.translate([text for text, _ in test])
right = np.mean([each.text == wanted for each, (_, wanted) in zip(found, test, strict=True)])
print(f"{right:.1%} of the held-out dates are right")
assert right >= 0.8

# %%
folder = Path(tempfile.mkdtemp())
keras_attn.export(
    model,
    folder / "dates-int8",
    "int8",
    tokenizer=tokenizer,
    examples=held_out[200:240],
    lengths=[32],
    beam=2,
)
report = keras_attn.device.verify(folder / "dates-int8")
print("the proof holds" if report.ok else "the proof FAILS")
found = keras_attn.device.load(folder / "dates-int8").translate("5 juin 2018", alignments=True)
print(found.text)
pictures.alignment_page([found.to_alignment()])
