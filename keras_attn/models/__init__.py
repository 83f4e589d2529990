"""Models, each with one forward path and one step protocol.

`Seq2SeqRNN`    RNN encoder-decoder without attention, the baseline (Cho et al., 2014)
`RNNSearch`     attention at every output step (Bahdanau et al., 2015)
`Transformer`   encoder-decoder Transformer, MarianMT's layout included (Vaswani et al., 2017)
`T5`            the same with distances instead of positions, mT5, Flan-T5 included (Raffel et al., 2020)
`Bert`          bidirectional encoder, DistilBERT, MiniLM, RoBERTa, ELECTRA included (Devlin et al., 2019)
`Albert`        BERT whose layers share their weights (Lan et al., 2020)
`MPNet`         BERT with a bias of attention for each distance (Song et al., 2020)
`Deberta`       BERT with disentangled attention, DeBERTa-v2 and -v3 (He et al., 2021)
`ModernBert`    rotary positions, local and global attention, no biases (Warner et al., 2024)
`NomicBert`     BERT with rotary positions and gated units (Nussbaum et al., 2024)
`T5Encoder`     the encoder of T5, for sentence-t5 (Ni et al., 2022)
`BigBird`       BERT with block-sparse attention, for long texts (Zaheer et al., 2020)
`GPT2`          decoder only, GPT-3's layer pattern included (Radford et al., 2019; Brown et al., 2020)

Bases of models of your own:
`EncoderDecoder`  a translator
`DecoderOnly`     a causal language model

Tasks over a backbone:
`TextClassifier`  one label per text, or several
`TextScorer`      one number per text or pair of texts
`TokenClassifier`  one label per token: names, places, amounts
`QuestionAnswerer`  the answer to a question, as a span of a text
`MaskedLM`        masked tokens
`NextSentence`    whether one text follows another
`TextEmbedder`    one vector per text (Reimers and Gurevych, 2019)
`CausalLM`        the next token
"""

from keras_attn.models.backbones.albert import Albert
from keras_attn.models.backbones.bert import Bert
from keras_attn.models.backbones.bigbird import BigBird
from keras_attn.models.backbones.deberta import Deberta
from keras_attn.models.backbones.gpt2 import GPT2
from keras_attn.models.backbones.modernbert import ModernBert
from keras_attn.models.backbones.mpnet import MPNet
from keras_attn.models.backbones.nomic_bert import NomicBert
from keras_attn.models.backbones.t5_encoder import T5Encoder
from keras_attn.models.decoder_only import DecoderOnly
from keras_attn.models.presets import PRESETS
from keras_attn.models.tasks.causal_lm import CausalLM
from keras_attn.models.tasks.masked_lm import MaskedLM
from keras_attn.models.tasks.next_sentence import NextSentence
from keras_attn.models.tasks.question_answerer import QuestionAnswerer
from keras_attn.models.tasks.text_classifier import TextClassifier
from keras_attn.models.tasks.text_embedder import TextEmbedder
from keras_attn.models.tasks.text_scorer import TextScorer
from keras_attn.models.tasks.token_classifier import TokenClassifier
from keras_attn.models.translators.encoder_decoder import EncoderDecoder
from keras_attn.models.translators.recurrent import RNNSearch, Seq2SeqRNN
from keras_attn.models.translators.t5 import T5
from keras_attn.models.translators.transformer import Transformer

__all__ = [
    "GPT2",
    "PRESETS",
    "T5",
    "Albert",
    "Bert",
    "BigBird",
    "CausalLM",
    "Deberta",
    "DecoderOnly",
    "EncoderDecoder",
    "MPNet",
    "MaskedLM",
    "ModernBert",
    "NextSentence",
    "NomicBert",
    "QuestionAnswerer",
    "RNNSearch",
    "Seq2SeqRNN",
    "T5Encoder",
    "TextClassifier",
    "TextEmbedder",
    "TextScorer",
    "TokenClassifier",
    "Transformer",
]


def __dir__() -> list[str]:
    return sorted(__all__)
