"""Write docs/checkpoints.md, the checkpoints that the tests load: `make docs`."""

import json
import os
import re
import sys
from pathlib import Path

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
TRANSLATORS = {
    **{f"{name}ForConditionalGeneration": "Transformer" for name in ("Bart", "MBart", "M2M100", "Pegasus")},
    **{f"{name}ForConditionalGeneration": "T5" for name in ("T5", "MT5", "UMT5")},
}
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
        if match and name == match[1] + ending:
            return made.format(backbone=BACKBONES.get(match[1], match[1])), does
    return None


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
        *(HEAD, "## Hugging Face folders\n"),
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
