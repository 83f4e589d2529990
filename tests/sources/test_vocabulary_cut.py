"""A translator of many languages keeps the answers in a few of them with a part of its vocabulary."""

import dataclasses
import json

import pytest
from keras_attn_export import export
from tiny_languages import LANGUAGES, SPECIAL, TEXTS, source_of
from tiny_models import in_process

from keras_attn import device
from keras_attn.data.scripts import is_written_in, letters_of, scripts_of
from keras_attn.device.errors import InputError
from keras_attn.errors import ArgumentError
from keras_attn.generation import keras_translator
from keras_attn.sources.vocabulary_cut import cut_vocabulary


def pairs(codes):
    return [(one, TEXTS[codes[1]][i]) for code in codes for i, one in enumerate(TEXTS[code])]


@pytest.mark.parametrize("kind", ["BPE", "Unigram"])
def test_no_answer_on_the_texts_is_lost_and_most_of_the_table_is_gone(kind):
    codes = ["en", "de", "ja"]
    given = dataclasses.replace(source_of(kind), pairs=pairs(LANGUAGES[:3]))
    found, figures = cut_vocabulary(given, codes, keras_translator)
    assert figures.languages == tuple(LANGUAGES[:3])
    assert figures.answers >= 9 and not figures.lost and figures.example is None
    assert figures.before == given.model.vocabulary_size
    assert figures.after == found.model.vocabulary_size == found.config["vocabulary_size"]
    assert "of the table" in figures.detail or "of a table of" in figures.detail
    assert found.template.languages.keys() == set(LANGUAGES[:3])
    assert found.languages == {"source": "eng_Latn", "target": "deu_Latn"}
    for code in LANGUAGES[:3]:
        whole, cut = (each.tokenizer.between(code, "eng_Latn") for each in (given, found))
        for text in TEXTS[code]:
            names = [[t.tokenizer.id_to_token(i) for i in t.encode(text)] for t in (whole, cut)]
            assert names[0] == names[1]
            assert cut.decode(cut.encode(text)) == whole.decode(whole.encode(text)) == text


def test_without_texts_whole_scripts_are_kept():
    given = source_of("BPE")
    given = dataclasses.replace(given, pairs=())
    found, figures = cut_vocabulary(given, ["ru", "el"], keras_translator)
    assert figures.answers == 0 and figures.after < 0.5 * figures.before
    for code in ("rus_Cyrl", "ell_Grek"):
        for text in TEXTS[code]:
            assert (
                found.tokenizer.tokenizer.encode(text).tokens == given.tokenizer.tokenizer.encode(text).tokens
            )
    kept = found.tokenizer.tokenizer.get_vocab()
    assert not any(
        is_written_in(piece, letters_of({"jpan"})) and len(piece) > 2 and not piece.isascii()
        for piece in kept
        if piece not in SPECIAL and "_" not in piece
    )


def test_what_cannot_be_cut_is_refused():
    given = source_of("BPE")
    with pytest.raises(InputError, match="does not know the language 'xx'"):
        cut_vocabulary(given, ["en", "xx"], keras_translator)
    with pytest.raises(ArgumentError, match="name two or more of the model's, not only eng_Latn"):
        cut_vocabulary(given, ["en", "eng_Latn"], keras_translator)
    with pytest.raises(ArgumentError, match="no languages to choose from"):
        cut_vocabulary(dataclasses.replace(given, template=None), ["en", "de"], keras_translator)


def test_the_bundle_has_only_the_languages_asked_for(monkeypatch, tmp_path):
    given = dataclasses.replace(source_of("BPE"), pairs=pairs(LANGUAGES[:3]))
    monkeypatch.setattr("keras_attn_export.pipeline.find_source", lambda *_, **__: given)
    with in_process():
        asked = {"languages": ["en", "de", "ja"], "buckets": [(24, 16)], "beam": 1}
        bundle = export("any", tmp_path / "cut", "fp32", proof_sentences=2, metric_sentences=2, **asked)
    report = json.loads(bundle.read("report.json"))
    check = next(each for each in report["rungs"] if each["name"] == "vocabulary")
    table = check["figures"]["table_bytes"]
    assert check["ok"] and table["after"] < 0.6 * table["before"]
    translator = device.load(tmp_path / "cut")
    assert translator.languages == tuple(LANGUAGES[:3])
    whole = keras_translator(given.model, given.tokenizer, max_source_tokens=24, max_target_tokens=16)
    for text in TEXTS["jpn_Jpan"]:
        asked = {"source": "ja", "target": "de", "max_length": 16}
        assert translator.translate(text, **asked).text == whole.translate(text, **asked).text
    with pytest.raises(InputError, match="does not know the language"):
        translator.translate("a", source="ru", target="de")


@pytest.mark.parametrize(
    ("code", "scripts"),
    [
        ("eng_Latn", {"latn"}),
        ("ja", {"jpan"}),
        ("zh_CN", {"hans"}),
        ("zho_Hant", {"hant"}),
        ("sr", {"cyrl", "latn"}),
        ("sw", {"latn"}),
    ],
)
def test_a_language_has_its_scripts(code, scripts):
    assert set(scripts_of(code)) == scripts
