"""Initial models of a training: all that can be exported, by the same names."""

import shutil
from pathlib import Path

import pytest

from keras_attn import pretrained
from keras_attn.models import Bert, BigBird, TextEmbedder
from keras_attn.training import ClassificationConfig, TrainingError, load_run, train
from keras_attn.training.initialization import load_initial_model

GOLDEN = Path(__file__).parents[1] / "golden"
SIZES = {"num_layers": 1, "num_heads": 2, "hidden_dim": 8, "intermediate_dim": 8}
WORDS = {"animals": ("cat", "dog", "cow"), "fruit": ("apple", "pear")}


def test_every_exportable_model_can_be_trained(tmp_path):
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "cat", "dog", "apple", "pear", "cow"]
    folder = Path(shutil.copytree(GOLDEN / "bert", tmp_path / "encoder"))
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", "utf-8")
    # Google's file of BERT's options, and nothing else.
    (folder / "config.json").rename(folder / "bert_config.json")
    initial = load_initial_model(str(folder), without_head=True)
    assert initial.special_ids == {"pad": 0, "unknown": 1, "cls": 2, "sep": 3, "mask": 4}
    assert initial.tokenizer.encode("cat [MASK] dog").ids.count(4) == 0
    assert type(initial.model) is Bert and initial.backbone.vocabulary_size == 40
    # A sentence encoder tells how to pool.
    pretrained.save(TextEmbedder(initial.model, pooling="max"), tmp_path / "sentences")
    shutil.copy(folder / "vocab.txt", tmp_path / "sentences")
    assert load_initial_model(str(tmp_path / "sentences"), without_head=True).model.pooling == "max"
    rows = [f"{label},{word}" for label, words in WORDS.items() for word in words for _ in range(3)]
    (tmp_path / "rows.csv").write_text("\n".join(["label,text", *rows]), "utf-8")
    sizes = {"max_tokens": 9, "batch_size": 8, "steps": 2, "warmup": 1, "evaluations": 1, "r_drop": 0}
    config = ClassificationConfig(train=str(tmp_path / "rows.csv"), init=str(folder), **sizes)
    train(config, tmp_path / "run")
    assert load_run(tmp_path / "run").model.backbone.vocabulary_size == 40
    size = pretrained.load_tokenizer(GOLDEN / "bigbird-pieces").get_vocab_size()
    backbone = BigBird(size, **SIZES, max_sequence_length=32)
    pretrained.save(backbone, tmp_path / "big")
    shutil.copy(GOLDEN / "bigbird-pieces" / "spiece.model", tmp_path / "big")
    special = load_initial_model(str(tmp_path / "big")).special_ids
    tokenizer = pretrained.load_tokenizer(tmp_path / "big")
    assert [tokenizer.id_to_token(special[role]) for role in ("pad", "cls", "sep", "mask")] == [
        "<pad>",
        "[CLS]",
        "[SEP]",
        "[MASK]",
    ]


def test_bundle_is_refused_as_initial_model(tmp_path):
    (tmp_path / "manifest.json").write_text("{}", "utf-8")
    with pytest.raises(TrainingError, match="is a bundle, whose weights are fixed: give the run"):
        load_initial_model(str(tmp_path))
