"""Write tiny SentencePiece models with Hugging Face's ids.

`PYTHONPATH=tests:. python tests/golden/make_pieces.py` needs the `parity` extra. The default tier of
the tests reads what it wrote.
"""

import contextlib
import json
import tempfile
from pathlib import Path

import transformers
from tiny_pieces import ENGLISH, GERMAN, RULES, sentences, train, write_folder

FOLDER = Path(__file__).parent
TEXTS = """
A dog runs through the snow.
Ein Hund läuft durch den Schnee!
  Two\u00a0men\tare watching …
cafe\u0301 \ufb01nd

ßü Größe
ü x üü
>>deu<< A dog
>>xyz<<A dog
>>deu<<
a >>deu<< b
日本 Größe 日
▁x▁
""".splitlines()


def write(folder, encoded):
    text = json.dumps(encoded, ensure_ascii=False, indent=0)
    (folder / "expected.json").write_text(text + "\n", encoding="utf-8")


def marian(name, **options):
    folder = FOLDER / name
    folder.mkdir(exist_ok=True)
    for file, words in (("source.spm", ENGLISH), ("target.spm", GERMAN)):
        train(folder / file, sentences(words, 300), 120, normalization_rule_tsv="rules.tsv", **options)
    write_folder(folder, drop=4, codes=(">>deu<<",))
    theirs = transformers.MarianTokenizer.from_pretrained(str(folder))
    sources, targets = (
        [theirs(**{side: text})["input_ids"] for text in TEXTS] for side in ("text", "text_target")
    )
    decoded = [theirs.decode(ids, skip_special_tokens=True) for ids in targets]
    write(folder, [list(row) for row in zip(TEXTS, sources, targets, decoded, strict=True)])


def big_bird():
    folder = FOLDER / "bigbird-pieces"
    folder.mkdir(exist_ok=True)
    numbers = {"pad_id": 0, "eos_id": 1, "bos_id": 2, "unk_id": 100}
    symbols = ["[CLS]", "[SEP]", "[MASK]"]
    train(
        folder / "spiece.model", sentences(ENGLISH, 300), 120, normalization_rule_name="identity",
        user_defined_symbols=symbols, **numbers,
    )  # fmt: skip
    theirs = transformers.BigBirdTokenizer.from_pretrained(str(folder))
    write(folder, [[text, theirs(text)["input_ids"]] for text in [*TEXTS, "a [MASK] b"]])


# A model keeps the path of its rules: one that says nothing.
with tempfile.TemporaryDirectory() as scratch, contextlib.chdir(scratch):
    Path("rules.tsv").write_text(RULES, encoding="utf-8")
    marian("marian-pieces")
    marian("marian-pairs", model_type="bpe")
    big_bird()
