"""Random translators of several languages, with a text template such as NLLB's, and texts in five of them."""

import json

import keras
import numpy as np
from tiny_models import stir
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from keras_attn.device.text.text_template import TextTemplate
from keras_attn.device.text.translation_tokenizer import TranslationTokenizer
from keras_attn.models import Transformer
from keras_attn.sources.source import TranslationSource

LANGUAGES = ["eng_Latn", "deu_Latn", "jpn_Jpan", "rus_Cyrl", "ell_Grek"]
TEXTS = {
    "eng_Latn": ["A dog runs over the grass.", "Two children are playing.", "The sky is blue today."],
    "deu_Latn": ["Ein Hund läuft über das Gras.", "Zwei Kinder spielen.", "Der Himmel ist heute blau."],
    "jpn_Jpan": ["犬が草の上を走る。", "二人の子供が遊んでいる。", "今日は空が青い。"],
    "rus_Cyrl": ["Собака бежит по траве.", "Двое детей играют.", "Сегодня небо голубое."],
    "ell_Grek": ["Ένας σκύλος τρέχει στο γρασίδι.", "Δύο παιδιά παίζουν.", "Ο ουρανός είναι μπλε."],
}
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]


def source_of(kind, languages=LANGUAGES, **search):
    """A random translator with pieces of a kind, some of which no text has.

    Args:
        kind: "BPE" or "Unigram".
        languages: their codes.
        **search: fields of the source.
    """
    keras.utils.set_random_seed(5)
    lines = [line for texts in TEXTS.values() for line in texts]
    rng = np.random.default_rng(0)
    made_up = ["".join(chr(0x0531 + each) for each in rng.integers(0, 30, 6)) for _ in range(120)]
    made = Tokenizer(models.BPE(unk_token="<unk>") if kind == "BPE" else models.Unigram())
    made.pre_tokenizer, made.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    options = {"vocab_size": 900, "special_tokens": SPECIAL, "show_progress": False}
    trainer = (
        trainers.BpeTrainer(**options)
        if kind == "BPE"
        else trainers.UnigramTrainer(**options, unk_token="<unk>")
    )
    made.train_from_iterator([*lines, *made_up], trainer)
    made.add_special_tokens([AddedToken(code, special=True) for code in languages])
    size = made.get_vocab_size()
    model = Transformer(
        size, hidden_dim=16, num_heads=2, intermediate_dim=24, num_encoder_layers=1, num_decoder_layers=1,
        max_sequence_length=48, position_encoding="sine-fairseq", position_offset=2, pad_id=1,
    )  # fmt: skip
    stir(model)
    special = {"pad": 1, "end": 2, "unknown": 3, "start": 2}
    numbers = {code: made.token_to_id(code) for code in languages}
    template = TextTemplate(("source",), (2,), 2, "target", numbers, "eng_Latn", "rus_Cyrl")
    tokenizer = TranslationTokenizer(made, special, size, template)
    return TranslationSource(
        model=model, config=json.loads(json.dumps(model.get_config())), tokenizer=tokenizer,
        special_ids=tokenizer.special_ids, longest_trained=None, made_from={}, template=template,
        languages={"source": "eng_Latn", "target": "rus_Cyrl"}, **search,
    )  # fmt: skip
