"""Write vocabulary files of tokenizer classes, with the ids that transformers gives texts.

`PYTHONPATH=tests/support:tests/support/tiny:. python tests/golden/make_tokenizers.py` needs the extra
`parity`. The default tier of the tests reads what it wrote.
"""

import contextlib
import json
import tempfile
from pathlib import Path

import transformers
from tiny_pieces import ENGLISH, RULES, sentences, train
from tiny_tokenizers import BRACKETS, DEBERTA, FAIRSEQ, mpnet_files, roberta_files

FOLDER = Path(__file__).parent / "tokenizers"
TEXTS = [
    "A dog runs through the snow.",
    "  Two\u00a0men\tare watching …",
    "",
    "cafe\u0301 Naïve \ufb01nd",
    "``Größe'' <mask> [MASK]. x",
    "日本 red\nwater <s> </s>",
    "a  b , (1) 12.5%",
]
PAIR = ("A dog", "the snow")
CLASSES = {
    "RobertaTokenizer": roberta_files,
    "MPNetTokenizer": mpnet_files,
    "XLMRobertaTokenizer": ("sentencepiece.bpe.model", FAIRSEQ),
    "CamembertTokenizer": ("sentencepiece.bpe.model", FAIRSEQ),
    "AlbertTokenizer": ("spiece.model", BRACKETS),
    "DebertaV2Tokenizer": ("spm.model", DEBERTA),
}


def write(name, files):
    folder = FOLDER / name
    folder.mkdir(parents=True, exist_ok=True)
    if callable(files):
        files(folder)
    else:
        path, special = files
        train(folder / path, sentences(ENGLISH, 300), 120, normalization_rule_tsv="rules.tsv", **special)
    config = {"tokenizer_class": name}
    (folder / "tokenizer_config.json").write_text(json.dumps(config) + "\n", encoding="utf-8")
    theirs = getattr(transformers, name).from_pretrained(str(folder))
    expected = [[text, theirs(text)["input_ids"]] for text in TEXTS] + [[PAIR, theirs(*PAIR)["input_ids"]]]
    text = json.dumps(expected, ensure_ascii=False)
    (folder / "expected.json").write_text(text + "\n", encoding="utf-8")


# A model keeps the path of its rules: one that says nothing.
with tempfile.TemporaryDirectory() as scratch, contextlib.chdir(scratch):
    Path("rules.tsv").write_text(RULES, encoding="utf-8")
    for each, files in CLASSES.items():
        write(each, files)
