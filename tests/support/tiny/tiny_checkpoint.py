"""A tiny checkpoint of a translator of several languages, made without any other library's model."""

import json
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from keras_attn import pretrained
from keras_attn.models import Transformer

WORDS = ("one", "two", "three", "four", "five", "six")
NLLB = ("deu_Latn", "eng_Latn", "fra_Latn")


def write_nllb(folder: Path) -> Transformer:
    """Write a checkpoint of NLLB's layout, and return its model with random weights."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    texts = [f"{a} {b} {a.upper()} {b[::-1]}" for a in WORDS for b in WORDS]
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=120, special_tokens=special))
    tokenizer.add_special_tokens([*NLLB, "<mask>"])
    model = Transformer(
        tokenizer.get_vocab_size(),
        hidden_dim=16,
        intermediate_dim=24,
        num_heads=2,
        num_encoder_layers=1,
        num_decoder_layers=1,
        max_sequence_length=48,
        dropout=0.0,
        normalize_first=True,
        position_encoding="sine-fairseq",
        position_offset=2,
        pad_id=1,
    )
    options = {"decoder_start_token_id": 2, "eos_token_id": 2, "bos_token_id": 0, "max_length": 40}
    pretrained.save(model, folder, options)
    tokenizer.save(str(folder / "tokenizer.json"))
    named = {"tokenizer_class": "NllbTokenizer", "src_lang": "eng_Latn", "additional_special_tokens": NLLB}
    (folder / "tokenizer_config.json").write_text(json.dumps(named), "utf-8")
    return model
