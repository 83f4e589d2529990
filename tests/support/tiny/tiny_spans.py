"""Tiny checkpoints that label tokens or find answers, as Hugging Face writes them, with their tokenizers."""

import json
import shutil
from pathlib import Path

PIECES = Path(__file__).parents[2] / "golden" / "bigbird-pieces" / "spiece.model"
LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
SIZES = {"max_position_embeddings": 64, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3}
BERT = {**SIZES, "intermediate_size": 20}
DISTIL = {"max_position_embeddings": 64, "dim": 24, "n_layers": 2, "n_heads": 3, "hidden_dim": 20}
BIGBIRD = {**BERT, "block_size": 1, "num_random_blocks": 1, "attention_type": "original_full"}
LETTERS = "abcdefghijklmnopqrstuvwxyzäöüéñß0123456789.,;:!?'-()%€日本中語한국어привет"
WORDS = (
    "[PAD] [UNK] [CLS] [SEP] [MASK] the a in and of to anna bob berlin paris new york met went likes lives "
    "was bad don stop hello word ##s ##ing ##ed ##er ##t ##land"
)


def vocabulary():
    """The pieces of a BERT's vocab.txt."""
    letters = list(dict.fromkeys(LETTERS))
    return list(dict.fromkeys([*WORDS.split(), *letters, *(f"##{letter}" for letter in letters)]))


def options(family, words, **more):
    """The options of a configuration."""
    return {**{"bert": BERT, "distilbert": DISTIL, "big_bird": BIGBIRD}[family], "vocab_size": words, **more}


CLASSES = {"bert": "Bert", "distilbert": "DistilBert", "big_bird": "BigBird"}


def write_tokenizer(folder, family, longest=64):
    """Write a family's tokenizer; return its number of tokens."""
    import transformers

    folder.mkdir(parents=True, exist_ok=True)
    if family == "big_bird":
        shutil.copy(PIECES, folder / "spiece.model")
        made = transformers.BigBirdTokenizer.from_pretrained(folder)
    else:
        (folder / "vocab.txt").write_text("\n".join(vocabulary()) + "\n", encoding="utf-8")
        name = f"{CLASSES[family]}Tokenizer"
        made = getattr(transformers, name).from_pretrained(folder, do_lower_case=True)
    made.model_max_length = longest
    made.save_pretrained(folder)
    return len(made)


def write_checkpoint(folder, family, head, seed=0, **more):
    """Write a checkpoint of random weights, large enough to tell mistakes; return Hugging Face's model."""
    import torch
    import transformers

    words = write_tokenizer(folder, family)
    torch.manual_seed(seed)
    make = getattr(transformers, f"{CLASSES[family]}{head}")
    model = make(make.config_class(**options(family, words, **more)))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    model.eval().save_pretrained(folder)
    return model


def labels(names=LABELS):
    """The options for labels of these names."""
    return {"id2label": dict(enumerate(names)), "label2id": {name: i for i, name in enumerate(names)}}


def config_of(folder):
    """The content of config.json."""
    return json.loads((folder / "config.json").read_text(encoding="utf-8"))
