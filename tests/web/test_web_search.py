"""The search and the tokenizers in JavaScript, against those in Python, without a browser."""

import json

import numpy as np
import pytest
from test_device_text import byte_pair_tokenizer
from tiny_encoders import encoder_tokenizer
from tiny_models import sentences
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers
from tokenizers import Tokenizer as RawTokenizer
from toy_bundle import SPECIAL_IDS
from web_browser import drive, require_node

from keras_attn.data import train_tokenizer
from keras_attn.device.proof.tokenizer_proof import HARD_TEXTS
from keras_attn.device.search.search import search
from keras_attn.device.search.token_scores import Scores
from keras_attn.device.text.tokenizer import EncoderTokenizer, Tokenizer

pytestmark = pytest.mark.web
START, END = 1, 2
STATES = 97


@pytest.fixture(scope="module", autouse=True)
def node():
    require_node()


class TableModel:
    """The step model of drive/search.mjs."""

    def __init__(self, table, normalizer, top):
        self.table = np.array(table, np.float32)
        self.normalizer = None if normalizer is None else np.array(normalizer, np.float32)
        self.top = top

    def start(self, source_ids, source_mask):
        return TableState(np.zeros(1, np.int64), 0)

    def step(self, tokens, state):
        state = TableState((31 * state.rows + tokens + 1) % len(self.table), state.steps + 1)
        logits = self.table[state.rows]
        normalizer = None if self.normalizer is None else self.normalizer[state.rows, None]
        if not self.top:
            return Scores(logits, normalizer), state
        tokens = np.argsort(-logits, axis=1, kind="stable")[:, : self.top].astype(np.int32)
        return Scores(logits, normalizer, tokens, np.take_along_axis(logits, tokens, 1)), state


class TableState:
    def __init__(self, rows, steps):
        self.rows, self.steps = rows, steps

    @property
    def alignment(self):
        return np.stack([self.rows, np.full_like(self.rows, self.steps)], 1).astype(np.float32)

    def select(self, rows):
        return TableState(self.rows[rows], self.steps)


def case(seed):
    rng = np.random.default_rng(seed)
    vocabulary = int(rng.choice([5, 12, 300]))
    # Rounded, so that scores are often equal, and unlikely tokens that no search may take.
    table = rng.normal(size=(STATES, vocabulary)).round(1) - 2
    table[:, rng.integers(vocabulary)] = -np.inf
    table[:, END] += rng.choice([0.0, 1.5])
    beam = int(rng.choice([1, 1, 2, 3, 5]))
    return {
        "table": np.maximum(table, -1e30).astype(np.float32).tolist(),
        "normalizer": rng.normal(size=STATES).astype(np.float32).tolist() if rng.integers(2) else None,
        "top": int(rng.choice([0, min(vocabulary, 2 * beam + 2)])),
        "options": {
            "startId": START,
            "endId": END,
            "beam": beam,
            "nBest": int(rng.integers(1, beam + 1)),
            "maxLength": int(rng.integers(1, 14)),
            "lengthPenalty": float(rng.choice([0.0, 0.6, 1.0])),
            "suppress": [0, 1],
            "forceEnd": bool(rng.integers(2)),
            "earlyStopping": bool(rng.integers(2)),
            "firstId": int(rng.integers(vocabulary)) if rng.integers(3) == 0 else None,
            "minLength": int(rng.choice([0, 0, 3])),
            "noRepeatNgram": int(rng.choice([0, 0, 1, 2, 3])),
        },
    }


def in_python(case):
    options = case["options"]
    [found] = search(
        TableModel(case["table"], case["normalizer"], case["top"]),
        np.zeros((1, 2), np.int32),
        np.ones((1, 2), bool),
        start_id=START,
        end_id=END,
        beam=options["beam"],
        n_best=options["nBest"],
        max_length=options["maxLength"],
        length_penalty=options["lengthPenalty"],
        suppress=options["suppress"],
        force_end=options["forceEnd"],
        early_stopping=options["earlyStopping"],
        first_id=options["firstId"],
        min_length=options["minLength"],
        no_repeat_ngram=options["noRepeatNgram"],
        alignments=True,
    )
    return [
        {
            "ids": each.ids,
            "score": pytest.approx(each.score, rel=1e-12),
            "logProb": pytest.approx(each.log_prob, rel=1e-12),
            "finished": each.finished,
            "alignment": each.alignment.tolist(),
        }
        for each in found
    ]


def test_the_search_finds_what_pythons_finds():
    cases = [case(seed) for seed in range(200)]
    found = drive("search", given=cases)
    for seed, (one, hypotheses) in enumerate(zip(cases, found, strict=True)):
        assert hypotheses == in_python(one), f"case {seed}: {one['options']}"
    assert sum(len(hypotheses) > 1 for hypotheses in found) > 20


def whole_words():
    """A tokenizer such as those made of TextVectorization: it knows few words, and no parts of words."""
    raw = RawTokenizer(models.WordLevel({"": 0, "[UNK]": 1, "the": 2, "foxes": 3}, unk_token="[UNK]"))
    raw.normalizer = normalizers.Replace(Regex(r"[!-/:-@\[-`{-~]"), "")
    raw.pre_tokenizer = pre_tokenizers.Split(Regex(r"[ \t\n\x0b\x0c\r]+"), "removed")
    return EncoderTokenizer(raw, {"pad": 0, "start": 0, "end": 0, "unknown": 1})


def single_characters():
    """A tokenizer such as those made of TextVectorization with `split="character"`."""
    raw = RawTokenizer(models.WordLevel({"": 0, "[UNK]": 1, "t": 2, "o": 3, " ": 4}, unk_token="[UNK]"))
    raw.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    raw.decoder = decoders.Fuse()
    return EncoderTokenizer(raw, {"pad": 0, "start": 0, "end": 0, "unknown": 1})


def test_tokenizers_cut_and_join_as_pythons_do():
    trained = train_tokenizer(sentences(), 340)
    special = {role: trained.token_to_id(token) for role, token in zip(
        SPECIAL_IDS, ("<pad>", "<bos>", "<eos>", "<unk>"), strict=True)}  # fmt: skip
    bert = encoder_tokenizer()
    pythons = [
        Tokenizer(trained, special),
        Tokenizer(byte_pair_tokenizer(), SPECIAL_IDS),
        EncoderTokenizer(bert.tokenizer, bert.special_ids),
    ]
    texts = [*HARD_TEXTS[2:-1], *sentences()[:20], "<eos> is text", "日本語の文。そして次。", "5 يونيو 2018"]
    given = [
        {"content": each.tokenizer.to_str(), "special_ids": each.special_ids, "written": False}
        for each in pythons
    ]
    found = drive("tokens", given={"tokenizers": given, "texts": texts})
    different = []
    for python, read in zip(pythons, found, strict=True):
        for text, one in zip(texts, read, strict=True):
            ids = python.tokenizer.encode(text, add_special_tokens=False).ids
            if one.get("ids") != ids or one["enclosed"] != python.tokenizer.encode(text).ids:
                different.append((text[:60], one))
            elif one["decoded"] != python.decode(ids).replace("\ufeff", ""):  # browsers drop this mark
                different.append((text[:60], one["decoded"], python.decode(ids)))
            elif SPECIAL_IDS["unknown"] not in ids and python is not pythons[2]:
                assert "".join(one["words"]) == one["decoded"]
                assert all(word.strip(" \n\t") for word in one["words"]) or not one["decoded"].strip()
    assert not different, json.dumps(different, ensure_ascii=False)[:3000]


def test_tokenizers_of_whole_words_know_what_is_not_in_their_vocabulary():
    pythons, texts = (
        (whole_words(), single_characters()),
        [*HARD_TEXTS, *sentences()[:20], "the foxes' den", "the\x00 the\xa0foxes"],
    )
    given = [
        {"content": python.tokenizer.to_str(), "special_ids": python.special_ids, "written": False}
        for python in pythons
    ]
    read = drive("tokens", given={"tokenizers": given, "texts": texts})
    for python, found in zip(pythons, read, strict=True):
        assert [one["ids"] for one in found] == [python.encode(text) for text in texts]
        decoded = [python.decode(python.encode(text)) for text in texts]
        assert [one["decoded"] for one in found] == decoded
