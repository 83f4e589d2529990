# %% [markdown] tags=["en", "tensorflow"]
# # Attention, from the bottleneck to the phone
#
# Seven chapters on attention for readers who know Keras and nothing of attention. This notebook runs Keras on TensorFlow;
# `TransformersPyTorch.ipynb` is the same lesson on PyTorch. All models are trained here, on texts that a small
# grammar writes: nothing is downloaded, and the whole takes some minutes on two cores.
#
# 1. The RNN encoder-decoder and its bottleneck
# 2. Bahdanau's attention and its matrix
# 3. Positions, learned and fixed
# 4. Self-attention with several heads
# 5. The Transformer
# 6. BERT, and what DistilBERT, BigBird and GPT change
# 7. Onto the phone
#
# Then it is your turn: `Assignment.ipynb`, with answers in `Solution.ipynb`.

# %% [markdown] tags=["en", "torch"]
# # Attention, from the bottleneck to the phone
#
# Seven chapters on attention for readers who know Keras and nothing of attention. This notebook runs Keras on PyTorch;
# `TransformersTF.ipynb` is the same lesson on TensorFlow. All models are trained here, on texts that a small grammar
# writes: nothing is downloaded, and the whole takes some minutes on two cores.
#
# 1. The RNN encoder-decoder and its bottleneck
# 2. Bahdanau's attention and its matrix
# 3. Positions, learned and fixed
# 4. Self-attention with several heads
# 5. The Transformer
# 6. BERT, and what DistilBERT, BigBird and GPT change
# 7. Onto the phone (the converter needs TensorFlow as well, in a process of its own)
#
# Then it is your turn: `Assignment.ipynb`, with answers in `Solution.ipynb`.

# %% [markdown] tags=["ja", "tensorflow"]
# # アテンション：ボトルネックからスマートフォンまで
#
# Keras は使えるがアテンションは初めて、という方のための全 7 章です。このノートブックは TensorFlow 上の Keras で動きます。
# 同じ内容の PyTorch 版は `TransformersPyTorch.ja.ipynb` です。モデルはすべてここで学習します。教材の文は小さな文法が作るので、
# ダウンロードは不要です。全体は 2 コアの CPU で数分かかります。
#
# 1. RNN エンコーダ・デコーダとそのボトルネック
# 2. Bahdanau のアテンションとアテンション行列
# 3. 位置の表現：学習するものと固定のもの
# 4. マルチヘッド自己アテンション
# 5. Transformer
# 6. BERT と、DistilBERT・BigBird・GPT の違い
# 7. スマートフォンへ
#
# 最後は演習です。課題は `Assignment.ja.ipynb`、解答は `Solution.ja.ipynb` にあります。

# %% [markdown] tags=["ja", "torch"]
# # アテンション：ボトルネックからスマートフォンまで
#
# Keras は使えるがアテンションは初めて、という方のための全 7 章です。このノートブックは PyTorch 上の Keras で動きます。
# 同じ内容の TensorFlow 版は `TransformersTF.ja.ipynb` です。モデルはすべてここで学習します。教材の文は小さな文法が作るので、
# ダウンロードは不要です。全体は 2 コアの CPU で数分かかります。
#
# 1. RNN エンコーダ・デコーダとそのボトルネック
# 2. Bahdanau のアテンションとアテンション行列
# 3. 位置の表現：学習するものと固定のもの
# 4. マルチヘッド自己アテンション
# 5. Transformer
# 6. BERT と、DistilBERT・BigBird・GPT の違い
# 7. スマートフォンへ（変換器は別プロセスで TensorFlow を使います）
#
# 最後は演習です。課題は `Assignment.ja.ipynb`、解答は `Solution.ja.ipynb` にあります。

# %%
import os

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import logging

import keras
from captions import caption_pairs
from keras import ops

logging.getLogger("tensorflow").setLevel(logging.ERROR)
keras.utils.set_random_seed(1)
print("Keras", keras.__version__, "on", keras.backend.backend(), "-", type(ops.ones(1)).__module__)

# %% [markdown] tags=["en"]
# `captions.py`, beside this notebook, is the grammar. It writes captions in English and in French. In French the adjective
# stands *behind* the noun and agrees with it (*chien noir*, *vache noire*), so a translator has to reorder words and to
# remember a gender.

# %% [markdown] tags=["ja"]
# ノートブックの隣にある `captions.py` がその文法で、英語とフランス語の短い文を作ります。フランス語では形容詞が名詞の**後ろ**に置かれ、
# 名詞の性に一致します（*chien noir*、*vache noire*）。翻訳器は語順を入れ替え、性を覚えておく必要があります。

# %%
pairs = caption_pairs(4800, seed=1)
for english, french in pairs[:3]:
    print(english, "→", french)
