"""How each bundle with a name is made: its data, commands, licence and limits."""

import dataclasses

TORCH = ("--backend", "torch", "--precision", "bfloat16")
TRANSFORMER = (*TORCH, "--model", "transformer", "--preset", "tiny")
TANAKA = (
    *("--train", "data/enja/train", "--validation", "data/enja/dev", "--bleu-tokenize", "none"),
    *("--vocabulary-size", "4000", "--max-tokens", "48", "--batch-tokens", "4096", "--epochs", "32"),
    *("--dropout", "0.2", "--evaluations", "16", "--average", "4", "--checkpoint-every", "400"),
)
MULTI30K = (
    *("--train", "data/multi30k/train.lc.norm.tok", "--validation", "data/multi30k/val.lc.norm.tok"),
    *("--bleu-tokenize", "none", "--source-language", "en", "--target-language", "de"),
    *("--batch-tokens", "4096", "--epochs", "120", "--dropout", "0.3", "--learning-rate", "5e-3"),
    *("--warmup", "1000", "--schedule", "inverse-square-root", "--evaluations", "30", "--average", "10"),
    *("--checkpoint-every", "400"),
)
CAPTIONS = tuple(
    part
    for language, path in (
        *((each, f"data/multi30k/train.{each}.gz") for each in ("en", "de", "fr")),
        ("ja", "data/enja/train.ja.gz"),
    )
    for part in ("--captions", f"{language}={path}")
)
TANAKA_LICENCE = "CC BY 2.0 (Tanaka corpus, as Tatoeba distributes it)"
SMALL = "A model of 128 units: for short, simple sentences like those that it was trained on."


@dataclasses.dataclass(frozen=True)
class Recipe:
    """One bundle.

    Attributes:
        title: what it does.
        data: what it was trained on, as a sentence.
        licence: of the data.
        limits: what not to expect, as sentences.
        example: a text to try.
        train: arguments of `keras-attn train`.
        evaluate: arguments of `keras-attn evaluate`.
        export: further arguments of `keras-attn export`.
        prepare: script and arguments that make the data, if they are made.
    """

    title: str
    data: str
    licence: str
    limits: str
    example: str
    train: tuple[str, ...]
    evaluate: tuple[str, ...]
    export: tuple[str, ...] = ()
    prepare: tuple[str, ...] = ()


RECIPES = {
    "dates": Recipe(
        title="Dates in many languages, to ISO 8601",
        data="Generated dates in the formats of many languages, scripts and calendars.",
        licence="Apache-2.0 (generated)",
        limits="Reads one date and nothing else; whatever it is given, it answers with a date.",
        example="Dienstag, 5. Juni 2018",
        train=(
            *("translation", "--model", "rnnsearch", "--preset", "tiny", "--data", "dates"),
            *("--backend", "jax", "--checkpoint-every", "200"),
        ),
        evaluate=("--data", "dates"),
    ),
    "en-ja": Recipe(
        title="English to Japanese",
        data="50,000 pairs of the Tanaka corpus, English in lower case, tokens with spaces between them.",
        licence=TANAKA_LICENCE,
        limits=SMALL + " Give it lower case, with spaces around punctuation.",
        example="i can not swim .",
        train=("translation", *TRANSFORMER, *TANAKA, "--source-language", "en", "--target-language", "ja"),
        evaluate=("--test", "data/enja/dev", "--beam", "5"),
        export=("--lengths", "12,24,48"),
    ),
    "ja-en": Recipe(
        title="Japanese to English",
        data="50,000 pairs of the Tanaka corpus, English in lower case, tokens with spaces between them.",
        licence=TANAKA_LICENCE,
        limits=SMALL + " Give it words with spaces between them, as MeCab writes them.",
        example="私 は 泳げ ない 。",
        train=("translation", *TRANSFORMER, *TANAKA, "--source-language", "ja", "--target-language", "en"),
        evaluate=("--test", "data/enja/dev", "--beam", "5"),
        export=("--lengths", "12,24,48"),
    ),
    "en-de": Recipe(
        title="English to German, captions of pictures",
        data="Multi30k, 29,000 captions of photographs, in lower case and tokenized.",
        licence="research and education only (Multi30k)",
        limits="For research only. It knows what is seen in photographs; give it lower case, with spaces "
        "around punctuation.",
        example="two dogs play in the snow .",
        train=("translation", *TRANSFORMER, *MULTI30K),
        evaluate=("--test", "data/multi30k/test_2016_flickr.lc.norm.tok", "--beam", "5"),
        export=("--lengths", "16,32,64"),
    ),
    "news": Recipe(
        title="Topics of news: World, Sports, Business, Sci/Tech",
        data="4,993 rows of AG News.",
        licence="non-commercial use (AG's corpus of news articles)",
        limits="News in English of 2004; it answers with one of four topics whatever it reads.",
        example="Stocks fell on Monday after the central bank raised its rates.",
        train=(
            *("classification", "--train", "data/ag_news/train.csv.gz", "--max-tokens", "64"),
            *("--labels", "World,Sports,Business,Sci/Tech", "--model", "bert", "--preset", "tiny"),
            *("--backend", "jax"),
            *("--learning-rate", "1e-3", "--dropout", "0.3", "--epochs", "5", "--pooling", "mean"),
        ),
        evaluate=("--test", "data/ag_news/test.csv.gz"),
        export=("--lengths", "16,32,64"),
    ),
    "entities": Recipe(
        title="Names, places, dates and amounts in English, German, French and Japanese",
        data="96,000 texts of demos/entity_corpus.py: templates with made-up names, and captions of Multi30k "
        "and sentences of the Tanaka corpus around them.",
        licence="research and education only (Multi30k's captions)",
        limits="It was trained on made-up names in templates: a demonstration of the task. Real texts have "
        "entities that it does not find. Put a space before the full stop, as its texts have it.",
        example="Nora met Rose Elnorwick in Farmarleyport on March 26 .",
        prepare=("demos/entity_corpus.py", "data/entities", "--texts", "24000", *CAPTIONS),
        train=(
            "token-classification",
            *("--train", "data/entities/train.jsonl", "--validation", "data/entities/validation.jsonl"),
            *("--test", "data/entities/test.jsonl", "--model", "bert", "--preset", "tiny", *TORCH),
            *("--vocabulary-size", "6000", "--max-tokens", "64", "--batch-size", "128"),
            *("--learning-rate", "1e-3", "--warmup", "100", "--dropout", "0.1", "--epochs", "3"),
            *("--evaluations", "3", "--checkpoint-every", "200"),
        ),
        evaluate=("--test", "data/entities/test.jsonl"),
        export=("--lengths", "16,32,64"),
    ),
}
