"""The tokenizer inside a graph, compared with tokenizer.json on texts where tokenizers differ."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_attn.device.errors import BundleError
from keras_attn.device.files.bundle import MODEL, PROOF, Bundle
from keras_attn.device.files.bundle_tokenizer import read_encoder_tokenizer
from keras_attn.device.proof.encoder_proof import EncoderProof
from keras_attn.device.proof.tolerance import counted_errors
from keras_attn.device.runtime.encoder import LiteRTEncoder
from keras_attn.device.runtime.interpreter import Model
from keras_attn.device.text.tokenizer import EncoderTokenizer

# Seconds; on a slow machine importing TensorFlow takes most of them.
_TIMEOUT = 300

HARD_TEXTS = (
    "",
    " \t\n\u3000",
    'don\'t stop: e.g. 3.14$, <b>x_1</b> & "a\\b" [MASK] [UNK] [SEP] `~^|{}',
    "Crème brûlée, naïve façade, Zürich, ĳsland, Łódź, smørrebrød, Đặng, façade",
    "cafe\u0301 a\u0323\u0302 n\u0303 \u0301x i\u0307 o\u0338",  # marks of their own
    "İstanbul DİYARBAKIR ISPARTA straße STRASSE ẞ ΟΔΥΣΣΕΥΣ ς ŉ ǅ",
    "ﬁnd ﬂow ½ x² H₂O ™ № ℃ Å Ω ｆｕｌｌ　ｗｉｄｔｈ Ⅷ ⓐ 𝒳 𝟘",
    "我喜欢吃苹果abc。東京タワーに行った！㐀𠀀 﨑 한국어 각 \u1112\u1161\u11ab",
    "привет мир, йод ёлка; Ελληνικά άνθρωπος; עברית שָׁלוֹם; العربية مُحَمَّد، ١٢٣",
    "हिन्दी में क्षत्रिय भाषा ภาษาไทย ที่นี่ বাংলা தமிழ் አማርኛ ქართული հայերեն ᏣᎳᎩ",
    "I ❤️ it 😀🥰🫠 👩\u200d👩\u200d👧 🇩🇪 1\ufe0f\u20e3 ♥ ☺ → ≤ ∑ █ ☃",
    "soft\u00adhyphen zero\u200bwidth join\u200der non\u200cjoiner word\u2060joiner \ufeffmark",
    "nul\x00bell\x07 tab\there line\nend\r\nvertical\x0bform\x0cescape\x1b delete\x7f next\x85line",
    "no\u00a0break em\u2003space line\u2028paragraph\u2029 ogham\u1680 mongolian\u180e \u200fright\u200e",
    "“quotes” ‘single’ «guillemets» – — … • · ¿ ¡ § ¶ † € £ ¥ ¢ ¤ © ® ° ± × ÷ ‰ ′ ″ ⁄ ※ 〜 ・",
    "private\ue000\uf0b7 odd\ufffd \uffff\ufdd0 unassigned\u0378 \U000e0041tag \U0010fffd plane\U00040000",
    "a" * 100 + " " + "a" * 101 + " " + "б" * 100 + " " + "б" * 101 + " " + "中a" * 60 + " x" + "é" * 100,
    "https://example.org/a-b_c?d=e&f=%20#g user.name+tag@mail.example.com C:\\Temp\\x.txt --flag=1e-5",
    "def f(x): return {'a': [x**2 for x in range(10)]}  # 0xFF != 1_000 <= 2**8",
    "ab,cd;ef!gh?ij-kl_mn/op(qr)st...uv''wx\"\"yz",
    " ".join(f"word{number}, слово {number}; 語 {number}." for number in range(400)),
)
"""Accents, cases, ligatures, scripts, emoji, invisible characters, and words and texts that are too long."""


@dataclass
class TokenizerFigures:
    """How a graph's tokenizer and its results compare with tokenizer.json's.

    Attributes:
        texts: texts compared.
        equal: texts with equal ids, in every signature tried.
        max_error: largest difference between the results from the text and those from its ids.
        different: the first text with other ids: `text`, the `length` of its signature, the `ids` of the
            graph, those `expected`, and the number of ids that are the `same` before the first difference.
    """

    texts: int
    equal: int
    max_error: float
    different: dict[str, Any] | None

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain values."""
        return dict(self.__dict__)


def measure_tokenizer(
    encoder: LiteRTEncoder, tokenizer: EncoderTokenizer, texts: Sequence[str]
) -> TokenizerFigures:
    """Run each text in the smallest signature that holds it, and in the smallest of all, which truncates it.

    Raises:
        BundleError: the bundle has no signatures for texts, or they do not run here.
    """
    equal, largest, different = 0, 0.0, None
    for text in texts:
        ids, same = tokenizer.encode(text), True
        for length in sorted({encoder.lengths[0], encoder.length_for(len(ids))}):
            expected = tokenizer.cut(ids, length)
            found, result = encoder.run_text(text, length)
            if found == expected:
                largest = max(largest, float(counted_errors(result, encoder.run(expected)).max()))
                continue
            same = False
            different = different or {
                "text": text,
                "length": length,
                "ids": found,
                "expected": expected,
                "same": _same(found, expected),
            }
        equal += same
    return TokenizerFigures(len(texts), equal, largest, different)


def measure_tokenizer_apart(bundle: str | os.PathLike[str]) -> TokenizerFigures:
    """Measure the tokenizer in a bundle's graph on hard texts and on its proof's, in a separate process.

    tensorflow-text trusts the tables that a model file has for it: damaged ones crash the process.

    Raises:
        BundleError: it does not run, or crashes the process.
    """
    folder = Path(__file__).parents[3]  # or the single file, from which Python imports as well
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([os.fspath(folder), *filter(None, sys.path)])}
    command = [sys.executable, "-c", f"import {__name__} as it; it.main()", os.fspath(bundle)]
    try:
        done = subprocess.run(command, capture_output=True, env=environment, timeout=_TIMEOUT)
    except subprocess.TimeoutExpired:
        raise BundleError(f"the tokenizer in the graph did not end within {_TIMEOUT} s") from None
    if done.returncode < 0:
        raise BundleError(f"the tokenizer in the graph crashed with signal {-done.returncode}")
    found: dict[str, Any] = {"error": "it printed nothing"}
    if done.stdout:
        found = json.loads(done.stdout.splitlines()[-1])
    if "error" in found:
        raise BundleError(f"the tokenizer in the graph does not run: {found['error']}")
    return TokenizerFigures(**found)


def main() -> None:
    """Print the figures of the bundle named on the command line as JSON."""
    try:
        bundle = Bundle.open(sys.argv[1])
        manifest, tokenizer = bundle.manifest, read_encoder_tokenizer(bundle)
        model = Model(bundle.model(), name=f"{bundle.path}/{MODEL}", described=manifest["signatures"])
        special_ids, proof = manifest["special_ids"], EncoderProof.load(bundle.read(PROOF))
        encoder = LiteRTEncoder(model, manifest["buckets"], special_ids["pad"], special_ids["end"])
        texts = [*HARD_TEXTS, *(tokenizer.decode(proof.source(i).tolist()) for i in range(len(proof)))]
        found: dict[str, Any] = measure_tokenizer(encoder, tokenizer, texts).to_json()
    except (ValueError, ImportError) as error:
        found = {"error": str(error)}
    print(json.dumps(found))


def _same(ids: Sequence[int], others: Sequence[int]) -> int:
    """Return the number of ids that two lists have in common at their beginning."""
    pairs = zip(ids, others, strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
