"""The messages that docs/faq.md quotes are those of the code."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
QUOTES = re.findall(r"^> (.*)$", (ROOT / "docs" / "faq.md").read_text("utf-8"), re.MULTILINE)
# What stands for a value in a message: names, versions, numbers.
VALUES = re.compile(
    r"\.\.\.|'roberta'|export\]'|\b(?:ai-edge-litert>=1\.4|tflite-runtime 2\.14\.0|tensorflow|int8)\b|\d+"
)


def code() -> str:
    """All messages of the code, with the strings that are joined put together and values left out."""
    files = [*(ROOT / "keras_attn").rglob("*.py"), *(ROOT / "export").rglob("*.py")]
    text = "\n".join(path.read_text("utf-8") for path in files)
    text = re.sub(r"\"\s*\n\s*f?\"", "", text)
    return re.sub(r"\{[^{}]*\}", "", text)


@pytest.mark.parametrize("quote", QUOTES)
def test_a_quoted_message_is_in_the_code(quote):
    parts = [part.strip(" ,.'[]") for part in VALUES.split(quote)]
    lacking = [part for part in parts if len(part) > 3 and part not in code()]
    assert not lacking, f"no message says {lacking}"


def test_outdated_message_is_found():
    assert "the export failed, for reasons unknown" not in code()
    assert "the export failed at" in code()
