"""Text models that people download most, by the configurations that they were published with.

tests/pretrained/test_popular_checkpoints.py reads every configuration, and the parity tier loads each with
random weights in small sizes; tools/checkpoint_page.py shows them.
"""

from dataclasses import dataclass
from typing import Any

from published_configs import (
    ALBERT,
    BASE,
    ELECTRA,
    GPT2,
    LARGE,
    MPNET,
    SIX,
    TWELVE,
    bert,
    deberta,
    distilbert,
    labels,
    modernbert,
    nomic,
    other,
    roberta,
    t5,
    translator,
    xlm_roberta,
)

WORDPIECE, BYTES, PIECES = "WordPiece", "byte-level BPE", "SentencePiece"
VECTORS, WORDS, CLASSES, ENTITIES = "TextEmbedder", "MaskedLM", "TextClassifier", "TokenClassifier"
ANSWERS, SCORES, TEXT, TRANSLATES = "QuestionAnswerer", "TextScorer", "CausalLM", "Transformer"
BACKBONE = "backbone"


@dataclass(frozen=True)
class Published:
    """A model as it was published.

    Attributes:
        name: on the Hugging Face hub.
        millions: of parameters, about as many megabytes as its int8 file has.
        tokenizer: kind of the tokenizer.
        becomes: class of `keras_attn.models`, or `BACKBONE`; empty if it is refused.
        config: its config.json, without what only records its origin.
        note: what it needs, or why it is refused.
    """

    name: str
    millions: int
    tokenizer: str
    becomes: str
    config: dict[str, Any]
    note: str = ""


_HUGE = "its architecture is not one of those above"
_NER = labels("O", "B-MISC", "I-MISC", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC")
_NLI = labels("entailment", "neutral", "contradiction")
_ONE = labels("LABEL_0")
_SENTIMENT = labels("negative", "neutral", "positive")
XLMR_PIECES = "reads XLM-R's tokenizer"

CHECKPOINTS = (
    Published("sentence-transformers/all-MiniLM-L6-v2", 23, WORDPIECE, VECTORS, bert("Model", SIX)),
    Published("sentence-transformers/all-MiniLM-L12-v2", 33, WORDPIECE, VECTORS, bert("Model", TWELVE)),
    Published("sentence-transformers/all-mpnet-base-v2", 109, WORDPIECE, VECTORS, MPNET),
    Published("sentence-transformers/multi-qa-mpnet-base-dot-v1", 109, WORDPIECE, VECTORS, MPNET),
    Published("sentence-transformers/paraphrase-MiniLM-L6-v2", 23, WORDPIECE, VECTORS, bert("Model", SIX)),
    Published(
        "sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2",
        118,
        PIECES,
        VECTORS,
        bert("Model", TWELVE, 250037),
        XLMR_PIECES,
    ),
    Published(
        "sentence-transformers/paraphrase-multilingual-mpnet-base-v2",
        278,
        PIECES,
        VECTORS,
        xlm_roberta("Model"),
    ),
    Published(
        "sentence-transformers/LaBSE",
        471,
        WORDPIECE,
        VECTORS,
        bert(
            "Model",
            BASE,
            501153,
            directionality="bidi",
            pooler_fc_size=768,
            pooler_num_attention_heads=12,
            pooler_num_fc_layers=3,
            pooler_size_per_head=128,
            pooler_type="first_token_transform",
        ),
        "has a Dense module",
    ),
    Published("BAAI/bge-small-en-v1.5", 33, WORDPIECE, VECTORS, bert("Model", TWELVE)),
    Published("BAAI/bge-base-en-v1.5", 109, WORDPIECE, VECTORS, bert("Model")),
    Published("BAAI/bge-large-en-v1.5", 335, WORDPIECE, VECTORS, bert("Model", LARGE)),
    Published(
        "BAAI/bge-m3",
        568,
        PIECES,
        VECTORS,
        xlm_roberta("Model", LARGE, max_position_embeddings=8194),
        "its dense vectors; its sparse and multi-vector heads are not in the folder's modules",
    ),
    Published(
        "BAAI/bge-reranker-base", 278, PIECES, SCORES, xlm_roberta("ForSequenceClassification", **_ONE)
    ),
    Published(
        "BAAI/bge-reranker-v2-m3",
        568,
        PIECES,
        SCORES,
        xlm_roberta("ForSequenceClassification", LARGE, max_position_embeddings=8194, **_ONE),
    ),
    Published("intfloat/e5-small-v2", 33, WORDPIECE, VECTORS, bert("Model", TWELVE), "write its prompts"),
    Published("intfloat/e5-base-v2", 109, WORDPIECE, VECTORS, bert("Model"), "write its prompts"),
    Published("intfloat/e5-large-v2", 335, WORDPIECE, VECTORS, bert("Model", LARGE), "write its prompts"),
    Published(
        "intfloat/multilingual-e5-small", 118, PIECES, VECTORS, bert("Model", TWELVE, 250037), XLMR_PIECES
    ),
    Published("intfloat/multilingual-e5-base", 278, PIECES, VECTORS, xlm_roberta("Model")),
    Published("intfloat/multilingual-e5-large", 560, PIECES, VECTORS, xlm_roberta("Model", LARGE)),
    Published("thenlper/gte-small", 33, WORDPIECE, VECTORS, bert("Model", TWELVE)),
    Published("thenlper/gte-base", 109, WORDPIECE, VECTORS, bert("Model")),
    Published(
        "mixedbread-ai/mxbai-embed-large-v1",
        335,
        WORDPIECE,
        VECTORS,
        bert("Model", LARGE),
        "vectors may be cut: `dimensions`",
    ),
    Published("Snowflake/snowflake-arctic-embed-xs", 23, WORDPIECE, VECTORS, bert("Model", SIX)),
    Published(
        "nomic-ai/nomic-embed-text-v1",
        137,
        WORDPIECE,
        VECTORS,
        nomic(rotary_scaling_factor=2),
        "up to 2048 tokens",
    ),
    Published(
        "nomic-ai/nomic-embed-text-v1.5",
        137,
        WORDPIECE,
        VECTORS,
        nomic(),
        "write its prompts; vectors may be cut: `dimensions`",
    ),
    Published("Alibaba-NLP/gte-modernbert-base", 149, BYTES, VECTORS, modernbert("Model", 22, 12, 768, 1152)),
    Published(
        "jinaai/jina-embeddings-v2-base-en",
        137,
        WORDPIECE,
        "",
        bert("Model", position_embedding_type="alibi", max_position_embeddings=8192),
        "position_embedding_type='alibi' with gated units",
    ),
    Published("Alibaba-NLP/gte-multilingual-base", 305, PIECES, "", other("new", "NewModel"), _HUGE),
    Published("Qwen/Qwen3-Embedding-0.6B", 596, BYTES, "", other("qwen3", "Qwen3ForCausalLM"), _HUGE),
    Published("google-bert/bert-base-uncased", 110, WORDPIECE, WORDS, bert("ForMaskedLM")),
    Published("google-bert/bert-base-cased", 108, WORDPIECE, WORDS, bert("ForMaskedLM", BASE, 28996)),
    Published("google-bert/bert-large-uncased", 335, WORDPIECE, WORDS, bert("ForMaskedLM", LARGE)),
    Published(
        "google-bert/bert-base-multilingual-cased",
        178,
        WORDPIECE,
        WORDS,
        bert("ForMaskedLM", BASE, 119547, directionality="bidi", pooler_type="first_token_transform"),
    ),
    Published("distilbert/distilbert-base-uncased", 67, WORDPIECE, WORDS, distilbert("ForMaskedLM")),
    Published(
        "distilbert/distilbert-base-multilingual-cased",
        135,
        WORDPIECE,
        WORDS,
        distilbert("ForMaskedLM", 119547, output_past=True),
    ),
    Published("FacebookAI/roberta-base", 125, BYTES, WORDS, roberta("ForMaskedLM")),
    Published("FacebookAI/roberta-large", 355, BYTES, WORDS, roberta("ForMaskedLM", LARGE)),
    Published("distilbert/distilroberta-base", 82, BYTES, WORDS, roberta("ForMaskedLM", (6, 12, 768, 3072))),
    Published("FacebookAI/xlm-roberta-base", 278, PIECES, WORDS, xlm_roberta("ForMaskedLM")),
    Published("FacebookAI/xlm-roberta-large", 560, PIECES, WORDS, xlm_roberta("ForMaskedLM", LARGE)),
    Published(
        "almanach/camembert-base",
        111,
        PIECES,
        WORDS,
        roberta("ForMaskedLM", BASE, 32005, "Camembert", output_past=True),
    ),
    Published("albert/albert-base-v2", 12, PIECES, WORDS, ALBERT),
    Published(
        "google/electra-base-discriminator",
        109,
        WORDPIECE,
        "",
        ELECTRA,
        "its head tells replaced tokens; `--init` and `without_head=True` load the model below it",
    ),
    Published("microsoft/deberta-v3-small", 142, PIECES, BACKBONE, deberta(None, (6, 12, 768, 3072))),
    Published("microsoft/deberta-v3-base", 184, PIECES, BACKBONE, deberta(None)),
    Published("microsoft/deberta-v3-large", 435, PIECES, BACKBONE, deberta(None, LARGE)),
    Published(
        "microsoft/deberta-base", 139, BYTES, "", other("deberta", "DebertaModel"), "DeBERTa of version 1"
    ),
    Published("answerdotai/ModernBERT-base", 149, BYTES, WORDS, modernbert("ForMaskedLM", 22, 12, 768, 1152)),
    Published(
        "answerdotai/ModernBERT-large", 395, BYTES, WORDS, modernbert("ForMaskedLM", 28, 16, 1024, 2624)
    ),
    Published(
        "cross-encoder/ms-marco-MiniLM-L6-v2",
        23,
        WORDPIECE,
        SCORES,
        bert(
            "ForSequenceClassification",
            SIX,
            sbert_ce_default_activation_function="torch.nn.modules.linear.Identity",
            **_ONE,
        ),
    ),
    Published(
        "cross-encoder/ms-marco-MiniLM-L12-v2",
        33,
        WORDPIECE,
        SCORES,
        bert(
            "ForSequenceClassification",
            TWELVE,
            sbert_ce_default_activation_function="torch.nn.modules.linear.Identity",
            **_ONE,
        ),
    ),
    Published(
        "dslim/bert-base-NER", 108, WORDPIECE, ENTITIES, bert("ForTokenClassification", BASE, 28996, **_NER)
    ),
    Published(
        "dbmdz/bert-large-cased-finetuned-conll03-english",
        334,
        WORDPIECE,
        ENTITIES,
        bert("ForTokenClassification", LARGE, 28996, **_NER),
    ),
    Published(
        "deepset/roberta-base-squad2",
        124,
        BYTES,
        ANSWERS,
        roberta("ForQuestionAnswering", language="english"),
    ),
    Published(
        "distilbert/distilbert-base-cased-distilled-squad",
        65,
        WORDPIECE,
        ANSWERS,
        distilbert("ForQuestionAnswering", 28996),
    ),
    Published(
        "distilbert/distilbert-base-uncased-finetuned-sst-2-english",
        67,
        WORDPIECE,
        CLASSES,
        distilbert("ForSequenceClassification", finetuning_task="sst-2", **labels("NEGATIVE", "POSITIVE")),
    ),
    Published(
        "cardiffnlp/twitter-roberta-base-sentiment-latest",
        125,
        BYTES,
        CLASSES,
        roberta("ForSequenceClassification", **_SENTIMENT),
    ),
    Published(
        "nlptown/bert-base-multilingual-uncased-sentiment",
        167,
        WORDPIECE,
        CLASSES,
        bert(
            "ForSequenceClassification",
            BASE,
            105879,
            _num_labels=5,
            finetuning_task="sentiment-analysis",
            **labels("1 star", "2 stars", "3 stars", "4 stars", "5 stars"),
        ),
    ),
    Published(
        "ProsusAI/finbert",
        109,
        WORDPIECE,
        CLASSES,
        bert("ForSequenceClassification", **labels("positive", "negative", "neutral")),
    ),
    Published(
        "SamLowe/roberta-base-go_emotions",
        125,
        BYTES,
        CLASSES,
        roberta(
            "ForSequenceClassification",
            problem_type="multi_label_classification",
            **labels(*(f"emotion {i}" for i in range(28))),
        ),
        "several labels or none",
    ),
    Published(
        "MoritzLaurer/DeBERTa-v3-base-mnli-fever-anli",
        184,
        PIECES,
        CLASSES,
        deberta("ForSequenceClassification", **_NLI),
        "labels of your own: `candidates`",
    ),
    Published(
        "facebook/bart-large-mnli",
        407,
        BYTES,
        "",
        translator(
            "BartForSequenceClassification",
            "bart",
            (12, 16, 1024),
            50265,
            **labels("contradiction", "neutral", "entailment"),
        ),
        "a classifier over a decoder",
    ),
    Published(
        "facebook/bart-large-cnn",
        406,
        BYTES,
        TRANSLATES,
        translator("BartForConditionalGeneration", "bart", (12, 16, 1024), 50264),
        "summarizes",
    ),
    Published(
        "Helsinki-NLP/opus-mt-en-de",
        74,
        PIECES,
        TRANSLATES,
        translator("MarianMTModel", "marian", (6, 8, 512), 58101),
    ),
    Published(
        "facebook/m2m100_418M",
        484,
        PIECES,
        TRANSLATES,
        translator("M2M100ForConditionalGeneration", "m2m_100", (12, 16, 1024), 128112),
    ),
    Published(
        "facebook/nllb-200-distilled-600M",
        615,
        PIECES,
        TRANSLATES,
        translator("M2M100ForConditionalGeneration", "m2m_100", (12, 16, 1024), 256206),
    ),
    Published(
        "facebook/mbart-large-50-many-to-many-mmt",
        611,
        PIECES,
        TRANSLATES,
        translator("MBartForConditionalGeneration", "mbart", (12, 16, 1024), 250054),
    ),
    Published(
        "google/pegasus-xsum",
        570,
        PIECES,
        TRANSLATES,
        translator("PegasusForConditionalGeneration", "pegasus", (16, 16, 1024), 96103),
        "summarizes",
    ),
    Published("openai-community/gpt2", 124, BYTES, TEXT, GPT2),
    Published("distilbert/distilgpt2", 82, BYTES, TEXT, {**GPT2, "n_layer": 6}),
    Published("google-t5/t5-small", 61, PIECES, "T5", t5((6, 8, 512, 2048)), "a task's prefix in the text"),
    Published(
        "google/flan-t5-base",
        248,
        PIECES,
        "T5",
        t5((12, 12, 768, 2048), feed_forward_proj="gated-gelu", tie_word_embeddings=False),
        "a task's prefix in the text",
    ),
    Published("xlnet/xlnet-base-cased", 117, PIECES, "", other("xlnet", "XLNetLMHeadModel"), _HUGE),
    Published(
        "google/mobilebert-uncased", 25, WORDPIECE, "", other("mobilebert", "MobileBertForPreTraining"), _HUGE
    ),
    Published("allenai/longformer-base-4096", 149, BYTES, "", other("longformer", "LongformerModel"), _HUGE),
)
