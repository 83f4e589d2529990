"""Write docs/checkpoints.md, the checkpoints that the tests load: `make docs`."""

import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from popular_checkpoints import BACKBONE, CHECKPOINTS, Published

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "checkpoints.md"
# The end of a Hugging Face class -> what it becomes here, and what its bundle does.
KINDS = {
    "MTModel": ("Transformer", "translates"),
    "LMHeadModel": ("CausalLM", "continues text"),
    "ForSequenceClassification": ("TextClassifier", "classifies"),
    "ForTokenClassification": ("TokenClassifier", "finds entities"),
    "ForQuestionAnswering": ("QuestionAnswerer", "answers questions"),
    "ForMaskedLM": ("MaskedLM", "fills masks"),
    "ForPreTraining": ("MaskedLM", "fills masks"),
    "ForNextSentencePrediction": ("NextSentence", "classifies pairs"),
    "Model": ("{backbone}", "a backbone to fine-tune, or with its pooling a sentence encoder"),
}
FAMILIES = (
    *("Bert", "DistilBert", "BigBird", "Roberta", "XLMRoberta", "Camembert", "Electra", "MPNet", "Albert"),
    *("DebertaV2", "ModernBert", "NomicBert", "GPT2", "Marian", "Bart", "MBart", "M2M100", "Pegasus"),
    *("T5", "MT5", "UMT5"),
)
NAME = re.compile(rf"\b({'|'.join(FAMILIES)})\w*(?:Model|For[A-Z]\w*)\b")
BACKBONES = {
    **dict.fromkeys(("DistilBert", "Roberta", "XLMRoberta", "Camembert", "Electra"), "Bert"),
    "DebertaV2": "Deberta",
}
# BART's and T5's relatives, of which only the class with an output layer is loaded as such.
BART = ("Bart", "MBart", "M2M100", "Pegasus")
TRANSLATORS = {
    **{f"{name}ForConditionalGeneration": "Transformer" for name in BART},
    **{f"{name}ForConditionalGeneration": "T5" for name in ("T5", "MT5", "UMT5")},
}
# The tokenizers of each family's checkpoints.
TOKENIZERS = {
    "bert": "WordPiece, SentencePiece (unigram)",
    "distilbert": "WordPiece",
    "big_bird": "SentencePiece (BPE)",
    "roberta": "byte-level BPE",
    "xlm-roberta": "SentencePiece (unigram)",
    "camembert": "SentencePiece (unigram)",
    "electra": "WordPiece",
    "mpnet": "WordPiece",
    "albert": "SentencePiece (unigram)",
    "deberta-v2": "SentencePiece (unigram)",
    "modernbert": "byte-level BPE",
    "nomic_bert": "WordPiece",
    "gpt2": "byte-level BPE",
    "marian": "SentencePiece (unigram), two of them or one",
    "bart": "byte-level BPE",
    "mbart": "SentencePiece (unigram)",
    "m2m_100": "SentencePiece (BPE)",
    "pegasus": "SentencePiece (unigram)",
    "t5": "SentencePiece (unigram)",
    "mt5": "SentencePiece (unigram)",
    "umt5": "SentencePiece (unigram)",
}
DECODERS = {
    "gpt2": "language model, classifier",
    "marian": "translator",
    "bart": "translator or summarizer",
    "mbart": "translator or summarizer",
    "m2m_100": "translator",
    "pegasus": "summarizer",
    "t5": "translator or summarizer",
    "mt5": "translator or summarizer",
    "umt5": "translator or summarizer",
}
REFUSED = """What is refused, each by name with the reason:

- architectures that are not in the table above, among them XLNet, Longformer, MobileBERT, DeBERTa of
  version 1, GTE's and Jina's own variants of BERT, and the large language models;
- heads that answer no task here: `ElectraForPreTraining`, which tells replaced tokens, and
  `...ForMultipleChoice`. `without_head=True`, and `--init`, load the model below them; and classifiers over
  BART's decoder, `BartForSequenceClassification`;
- weights that are not in safetensors, that are quantized, or LoRA adapters without their model;
- options that change what is computed and are not known, such as `position_embedding_type="alibi"`; sentence
  encoders whose pooling leaves out their prompt (`include_prompt=False`); modules other than Transformer,
  Pooling, Dense and Normalize.
"""
POPULAR = """## Models that people download most

Read from their published configurations: tests read each of them, and load a folder with its options, random
weights and small sizes that transformers wrote. An int8 file has about as many megabytes as the model has
millions of parameters: all-MiniLM-L6-v2 has 23.2 MB.
*backbone* means that its folder has no head of a task: `--init` fine-tunes it. Where a folder has only
pickled weights (`pytorch_model.bin`), `save_pretrained` of transformers writes them as safetensors.
"""
HEAD = """# Supported checkpoints

`keras_attn.load`, `keras_attn.export` and `pretrained.load` take a folder or a name on the Hugging Face hub;
`--init` takes all but translators. Without a head of a task, only `--init` and `pretrained.load` take them.
Weights of Hugging Face folders are read from safetensors only. Every option of a folder is computed, known to
change nothing, or refused by name; see [Encoders](encoders.md#options-of-others-checkpoints).
The tables list what the tests load; `make docs` writes this page.
Logits differ from Hugging Face's by at most 2e-6 of the largest. Other architectures are refused by name
([how to add one](../CONTRIBUTING.md#adding-a-checkpoint-architecture)).
"""


def tested() -> list[str]:
    """Return the Hugging Face classes that tests load and that have a kind here."""
    texts = [path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py")]
    found = {match[0] for text in texts for match in NAME.finditer(text)}
    for path in (ROOT / "tests" / "golden").glob("*/config.json"):
        found.update(json.loads(path.read_text("utf-8"))["architectures"])
    return sorted(name for name in found if kind_of(name))


def kind_of(name: str) -> tuple[str, str] | None:
    """Return what a class becomes and what its bundle does; None where it is not loaded."""
    if name in TRANSLATORS:
        return TRANSLATORS[name], "translates, or summarizes"
    if name.endswith("EncoderModel"):
        return "T5Encoder", KINDS["Model"][1]
    for ending, (made, does) in KINDS.items():
        match = NAME.fullmatch(name)
        if match and match[1] not in BART and name == match[1] + ending:
            return made.format(backbone=BACKBONES.get(match[1], match[1])), does
    return None


def refusal(config: Mapping[str, Any]) -> str | None:
    """Return why a configuration is refused; `None` where it is read."""
    from keras_attn.pretrained.architectures.bart import FAMILIES
    from keras_attn.pretrained.architectures.encoders import ARCHITECTURES
    from keras_attn.pretrained.architectures.heads import head_classes
    from keras_attn.pretrained.load_save import LOADERS
    from keras_attn.pretrained.options import read_options

    kind = config["model_type"]
    if kind not in LOADERS:
        return f"the architecture {kind!r} is not known"
    if kind in FAMILIES and config["architectures"] != [FAMILIES[kind].with_head]:
        return f"the head of {config['architectures'][0]}"
    if kind not in ARCHITECTURES:
        return None
    found = ARCHITECTURES[kind]
    arguments, problems = read_options(config, found.options)
    arguments |= found.fixed
    problems += found.read(found.options.completed(config)[0], arguments)
    known = {found.class_name, *head_classes((), found)}
    problems += [f"the head of {each}" for each in config.get("architectures") or [] if each not in known]
    return "; ".join(problems) or None


def families() -> list[tuple[str, ...]]:
    """Return each family with its heads, tokenizers and largest difference."""
    from keras_attn.pretrained.architectures.encoders import ARCHITECTURES
    from keras_attn.pretrained.architectures.heads import head_classes

    rows = []
    for name, tokenizer in TOKENIZERS.items():
        if name in DECODERS:
            heads = DECODERS[name]
        else:
            found = ARCHITECTURES[name]
            stem = found.class_name.removesuffix("Model")
            heads = ", ".join(f"`{each.removeprefix(stem)}`" for each in head_classes((), found))
        rows.append((f"`{name}`", heads, tokenizer, "2e-6"))
    return rows


def popular(each: Published) -> tuple[str, ...]:
    """Return the row of a model that people download."""
    becomes = each.becomes if each.becomes in ("", BACKBONE) else f"`{each.becomes}`"
    reason = each.note if each.becomes else f"refused: {each.note}"
    return f"`{each.name}`", f"{each.millions} M", each.tokenizer, becomes or "—", reason


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Return a Markdown table."""
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ("---",) * len(head), *rows)) + "\n"


def page() -> str:
    """Return the page's text."""
    from real_models import MODELS, PACKAGES  # pyright: ignore[reportMissingImports]  # of the tests

    from keras_attn.pretrained.architectures import kerashub

    kinds = ((name, kind_of(name)) for name in tested())
    classes = [(f"`{name}`", f"`{kind[0]}`", kind[1]) for name, kind in kinds if kind]
    hub = [(f"`{name}`", f"`{each.make.__name__}`") for name, each in kerashub.BACKBONES.items()]
    hub += [(f"`{name}`", f"`{each.make.__name__}`") for name, each in kerashub.TASKS.items()]
    trained = [(name, package, PACKAGES[package][0]) for name, (package, _) in MODELS.items()]
    parts = [
        *(HEAD, "## Families\n"),
        table(
            ("`model_type`", "heads", "tokenizers", "largest difference, of the largest logit"), families()
        ),
        REFUSED,
        POPULAR,
        table(
            ("model", "parameters", "tokenizer", "becomes", "note"), [popular(each) for each in CHECKPOINTS]
        ),
        "## Hugging Face folders\n",
        table(("class", "`keras_attn.models.`", "its bundle"), classes),
        "A `...ForSequenceClassification` with one output becomes a `TextScorer`, which scores texts.\n",
        "NLLB-200 and SMaLL-100 are `M2M100ForConditionalGeneration`, mBART-50 is\n"
        "`MBartForConditionalGeneration`. Of several languages, `translate(text, source=..., target=...)`\n"
        "and `--from`, `--to` choose two, by the model's codes or those of BCP 47.\n",
        "Sentence encoders of sentence-transformers are folders of one of the backbones with pooling and\n"
        "normalization (`modules.json`); they become `TextEmbedder`.\n",
        *("## KerasHub presets\n", table(("class", "`keras_attn.models.`"), hub)),
        "## Trained models\n",
        "The `real` tier exports these by several recipes and requires every proof to hold.\n",
        table(("model", "package", "version"), trained),
    ]
    return "\n".join(parts)


def main() -> None:
    """Write the page."""
    sys.path.insert(0, str(ROOT / "tests" / "support"))
    os.environ.setdefault("KERAS_BACKEND", "jax")
    from keras_attn.device.files.atomic_write import write_text

    write_text(PAGE, page())
    print(PAGE, file=sys.stderr)


if __name__ == "__main__":
    main()
