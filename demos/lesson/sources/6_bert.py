# %% [markdown] tags=["en"]
# ## 6. BERT: masked words, pretraining, transfer learning
#
# A translator needs pairs, a classifier needs labels; both are dear. Plain text is free. BERT (Devlin et al., 2019,
# [arXiv:1810.04805](https://arxiv.org/abs/1810.04805)) is the Transformer's encoder, trained on plain text: some words are
# hidden, and it learns to name them from both sides. 15 % of the words are chosen; of these 80 % become `[mask]`, 10 % a
# random word, 10 % stay. (Our captions have four words, so we choose one in three.)

# %% [markdown] tags=["ja"]
# ## 6. BERT：単語の穴埋め、事前学習、転移学習
#
# 翻訳器には対訳が、分類器にはラベルが必要で、どちらも高価です。ただの文章なら、いくらでもあります。BERT（Devlin et al., 2019,
# [arXiv:1810.04805](https://arxiv.org/abs/1810.04805)）は Transformer のエンコーダで、ただの文章で学習します。いくつかの単語を隠し、前後の
# 単語から当てさせるのです。15 % の単語を選び、その 80 % を `[mask]` に、10 % をランダムな単語に置き換え、10 % はそのままにします。
# （ここの文は 4 語なので、3 語に 1 語を選びます。）

# %%
from captions import captions

from keras_attn.layers import MaskedLMMaskGenerator
from keras_attn.models import Bert, MaskedLM

plain = captions(4000, seed=3)
vocabulary = ["[pad]", "[cls]", "[mask]", *sorted({word for text in plain for word in text.split()})]
index_of = {word: index for index, word in enumerate(vocabulary)}


def encoded(texts):
    """Return the ids of captions, each behind a [cls], (N, 5)."""
    return np.array([[index_of[word] for word in ["[cls]", *text.split()]] for text in texts], "int32")


mask = MaskedLMMaskGenerator(
    len(vocabulary), 0.3, index_of["[mask]"], 2, unselectable_token_ids=[0, 1, 2], seed=1
)
print(plain[0], "→", " ".join(vocabulary[i] for i in mask(encoded(plain[:1]))["token_ids"][0]))

# %% [markdown] tags=["en"]
# The captions have a structure that nobody tells the model: *grazes*, *bites*, *sniffs*, *scratches* are what animals
# do, *sings*, *reads*, *talks*, *writes* are what people do, and some verbs belong to both. Ten times over, with other words
# hidden each time:

# %% [markdown] tags=["ja"]
# これらの文には、モデルに教えていない構造があります。*grazes*、*bites*、*sniffs*、*scratches* は動物の動作、*sings*、*reads*、*talks*、
# *writes* は人の動作で、両方に使う動詞もあります。隠す単語を変えながら 10 回繰り返して学習します。

# %%
SIZE = {"hidden_dim": 32, "num_heads": 2, "intermediate_dim": 64, "max_sequence_length": 8, "dropout": 0.0}


def masked_examples(repeats):
    """Return inputs, labels and weights of the masked captions."""
    found = mask(np.concatenate([encoded(plain)] * repeats))
    inputs = {"token_ids": found["token_ids"], "mask_positions": found["mask_positions"]}
    return inputs, found["mask_ids"], found["mask_weights"]


keras.utils.set_random_seed(2)
bert = MaskedLM(Bert(len(vocabulary), num_layers=2, **SIZE))
masked, hidden_words, counted = masked_examples(10)
train(bert, masked, hidden_words, counted, epochs=1, rate=5e-3)


def fill(model, text, top=6):
    """Return the most likely words for [mask], with their probabilities."""
    ids = encoded([text])
    place = int(np.argwhere(ids[0] == index_of["[mask]"])[0, 0])
    logits = model({"token_ids": ids, "mask_positions": np.array([[place]], "int32")})
    chances = ops.convert_to_numpy(ops.softmax(logits))[0, 0]
    return " ".join(f"{vocabulary[i]} {chances[i]:.2f}" for i in np.argsort(-chances)[:top])


for text in ("the black dog [mask]", "the black queen [mask]", "the gentle [mask] writes"):
    print(f"{text:26}{fill(bert, text)}")

# %% [markdown] tags=["en"]
# A dog may do what animals do, a queen what people do: the model has found the two kinds of nouns, without a label.
#
# ### Transfer
#
# Now a task with few labels: is the caption about an animal or about a person? There are **16** labelled captions, and only
# about *dog*, *horse*, *boy* and *girl*. The test is about all other nouns, with verbs that both kinds do: it cannot be
# passed by remembering words. One classifier begins with BERT's weights, one with random ones; all else is equal.

# %% [markdown] tags=["ja"]
# 犬なら動物の動作、女王なら人の動作が並びます。ラベルがなくても、モデルは 2 種類の名詞があることを見つけました。
#
# ### 転移学習
#
# 次はラベルが少ない課題です。その文は動物についてか、人についてか。ラベル付きの文は **16** 個だけで、*dog*、*horse*、*boy*、*girl* しか
# 出てきません。テストはそれ以外の名詞だけで、動詞は両方に使うものだけです。単語を覚えるだけでは解けません。一方の分類器は BERT の重みから、
# もう一方は乱数から始めます。ほかの条件は同じです。

# %%
from captions import ANIMALS, BOTH, PEOPLE

from keras_attn.models import TextClassifier

seen_nouns = ("dog", "horse", "boy", "girl")
unseen = tuple(noun for noun in ANIMALS + PEOPLE if noun not in seen_nouns)
few = [text for noun in seen_nouns for text in captions(4, seed=4, nouns=(noun,))]
test = [text for text in captions(1200, seed=5, nouns=unseen) if text.split()[-1] in BOTH]


def kinds(texts):
    """Return 0 for animals, 1 for people."""
    return np.array([int(text.split()[2] in PEOPLE) for text in texts])


def classifier_from(pretrained):
    """Train on the few captions, and return the accuracy on them and on the test."""
    keras.utils.set_random_seed(3)
    backbone = Bert(len(vocabulary), num_layers=2, **SIZE)
    if pretrained is not None:
        backbone.set_weights(pretrained.backbone.get_weights())
    model = TextClassifier(backbone, labels=["animal", "person"], pooling="mean", dropout=0.0)
    train(model, {"token_ids": encoded(few)}, kinds(few), epochs=30, rate=3e-3, batch=16)
    found = [
        computed(model, {"token_ids": encoded(texts)}).argmax(-1) == kinds(texts) for texts in (few, test)
    ]
    return found[0].mean(), found[1].mean()


print(len(few), "labels,", len(test), "captions in the test")
for name, pretrained in (("random weights", None), ("BERT's weights", bert)):
    learned_right, right = classifier_from(pretrained)
    print(f"{name}: {right:.1%} right, of the labelled ones {learned_right:.0%}")

# %% [markdown] tags=["en"]
# Both have learned the 16 captions. Only the pretrained one knows that a *goat* is like a *dog*: it carried over
# from plain text what four nouns cannot teach.

# %% [markdown] tags=["ja"]
# どちらも 16 個の文は覚えました。しかし、*goat* が *dog* の仲間だと知っているのは事前学習したほうだけです。4 つの名詞からは
# 学べないことを、ただの文章から学んで持ち越したのです。

# %% [markdown] tags=["en"]
# ### DistilBERT: half the layers, taught by the whole
#
# DistilBERT (Sanh et al., 2019, [arXiv:1910.01108](https://arxiv.org/abs/1910.01108)) is BERT with every second layer, and
# without segments and pooler. What differs is how it learns: the label is not the hidden word, but the **distribution** of
# the teacher, who also says which other words would have been nearly as good. The student starts from the teacher's
# weights. Here: one layer, taught by the two of above, with a fifth of its training.

# %% [markdown] tags=["ja"]
# ### DistilBERT：層を半分にし、元のモデルに教わる
#
# DistilBERT（Sanh et al., 2019, [arXiv:1910.01108](https://arxiv.org/abs/1910.01108)）は、BERT の層を 1 つおきに取り、セグメントと
# プーラーを除いたものです。違うのは学び方です。正解ラベルは隠した単語ではなく、教師モデルの**確率分布**です。そこには、ほかのどの単語がほぼ
# 同じくらい良かったかも含まれています。生徒は教師の重みから始めます。ここでは、上の 2 層のモデルが 1 層の生徒に、5 分の 1 の学習量で教えます。

# %%
student = MaskedLM(Bert(len(vocabulary), num_layers=1, num_segments=0, pooler=False, **SIZE))
taught = {weight.path.split("/", 1)[-1]: weight for weight in bert.weights}
for weight in student.weights:
    same = taught.get(weight.path.split("/", 1)[-1])
    if same is not None and same.shape == weight.shape:
        weight.assign(same)

masked, hidden_words, counted = masked_examples(1)
soft = ops.convert_to_numpy(ops.softmax(bert(masked)))  # (N, 2, V)
student.compile(
    keras.optimizers.Adam(3e-3), keras.losses.CategoricalCrossentropy(from_logits=True), jit_compile=False
)
losses = student.fit(masked, soft, sample_weight=counted, epochs=2, batch_size=64, verbose=0).history["loss"]
print(f"loss {losses[0]:.3f} → {losses[-1]:.3f}")
for name, model in (("teacher", bert), ("student", student)):
    print(
        f"{name}: {model.count_params():,} weights; the black dog [mask] → {fill(model, 'the black dog [mask]')}"
    )

# %% [markdown] tags=["en"]
# ### BigBird: not everybody looks at everybody
#
# Full attention compares all pairs: twice the text, four times the work. BigBird (Zaheer et al., 2020,
# [arXiv:2007.14062](https://arxiv.org/abs/2007.14062)) lets a block of words look at its neighbours, at the first and the last
# block, and at a few random ones, so that the work grows with the length only. Which pairs are compared:

# %% [markdown] tags=["ja"]
# ### BigBird：全員が全員を見るわけではない
#
# 通常のアテンションはすべての組を比べます。文が 2 倍になれば、計算は 4 倍です。BigBird（Zaheer et al., 2020,
# [arXiv:2007.14062](https://arxiv.org/abs/2007.14062)）では、単語のブロックは、隣のブロック、最初と最後のブロック、そしていくつかのランダムな
# ブロックだけを見ます。計算量は長さに比例します。比べる組は次のとおりです。

# %%
from keras_attn.layers import BigBirdAttention

sparse = BigBirdAttention(num_heads=1, key_dim=8, block_size=4, num_random_blocks=1, seed=1)
compared = {}
for length in (64, 128, 256):
    texts = random.normal(size=(1, length, 8)).astype("float32")
    _, weights = sparse(texts, return_attention_scores=True)
    compared[length] = ops.convert_to_numpy(weights)[0, 0] > 0
    print(f"{length} words: {compared[length].sum():,} of {length**2:,} pairs, {compared[length].mean():.0%}")
figure, panel = plt.subplots(figsize=(3.6, 3.6))
panel.imshow(compared[64], cmap="Blues")
panel.set(xlabel="attended position", ylabel="position", title="BigBird, 64 words in blocks of 4")
plt.show()

# %% [markdown] tags=["en"]
# ### GPT: only backwards, and then it writes
#
# GPT (Radford et al., 2018; GPT-2, 2019) is the Transformer's decoder without a source. Its attention is causal, and its task is
# to predict the next word, at every position at once. So it can write: sample a word, append it, repeat. BERT cannot, as
# it expects to see both sides.

# %% [markdown] tags=["ja"]
# ### GPT：後ろだけを見て、続きを書く
#
# GPT（Radford et al., 2018；GPT-2, 2019）は、原文のない Transformer デコーダです。アテンションは因果的で、課題はすべての位置で次の単語を予測する
# ことです。だから文章を書けます。単語を 1 つ選び、付け足し、繰り返すのです。両側を見る前提の BERT にはできません。

# %%
from keras_attn.models import GPT2, CausalLM

gpt = CausalLM(GPT2(len(vocabulary), num_layers=2, **SIZE))
ids = encoded(plain)
train(gpt, {"token_ids": ids[:, :-1]}, ids[:, 1:], epochs=4, rate=5e-3)


def next_word(ids):
    """Return the probabilities of the word that follows, (V,)."""
    logits = gpt({"token_ids": np.array([ids], "int32")})
    return ops.convert_to_numpy(ops.softmax(logits))[0, -1].astype("float64")


text = [index_of["[cls]"]]
for _ in range(4):
    chances = next_word(text)
    likely = np.argsort(-chances)[:4]
    text.append(int(random.choice(len(vocabulary), p=chances / chances.sum())))
    print(
        f"{vocabulary[text[-1]]:10} of", ", ".join(f"{vocabulary[i]} {chances[i]:.2f}" for i in likely), "..."
    )

# %% [markdown] tags=["en"]
# Whether it has learned the two kinds shows in what it gives to the verbs of the other kind:

# %% [markdown] tags=["ja"]
# 2 種類の区別を学んだかどうかは、もう一方の動詞に与える確率で分かります。

# %%
from captions import ANIMAL_VERBS, PERSON_VERBS

for text in ("the black dog", "the black queen"):
    chances = next_word(encoded([text])[0])
    of = [sum(chances[index_of[verb]] for verb in verbs) for verbs in (ANIMAL_VERBS, PERSON_VERBS)]
    print(f"{text:16} verbs of animals {of[0]:.3f}, verbs of people {of[1]:.3f}")
