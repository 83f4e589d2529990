"""Languages are found by a model's own codes and by those of BCP 47, and go where its texts need them."""

import pytest
import tokenizers
from tokenizers import AddedToken, models, pre_tokenizers

from keras_attn.device.errors import BundleError, InputError
from keras_attn.device.search.forbidden_tokens import forbidden_tokens
from keras_attn.device.text.language_codes import find_language
from keras_attn.device.text.text_template import TextTemplate
from keras_attn.device.text.translation_tokenizer import TranslationTokenizer

NLLB = (
    *("eng_Latn", "fra_Latn", "zho_Hans", "zho_Hant", "srp_Cyrl"),
    *("arb_Arab", "ary_Arab", "nob_Latn", "lvs_Latn"),
)
MBART = ("en_XX", "fr_XX", "zh_CN", "pt_XX", "he_IL", "tl_XX")
M2M100 = ("en", "fr", "zh", "no", "sr", "pt")


@pytest.mark.parametrize(
    ("code", "known", "found"),
    [
        ("eng_Latn", NLLB, "eng_Latn"),
        ("en", NLLB, "eng_Latn"),
        ("EN-us", NLLB, "eng_Latn"),
        ("zh", NLLB, "zho_Hans"),
        ("zh-Hant", NLLB, "zho_Hant"),
        ("zh-TW", NLLB, "zho_Hant"),
        ("ar", NLLB, "arb_Arab"),
        ("no", NLLB, "nob_Latn"),
        ("lv", NLLB, "lvs_Latn"),
        ("en", MBART, "en_XX"),
        ("pt-BR", MBART, "pt_XX"),
        ("iw", MBART, "he_IL"),
        ("fil", MBART, "tl_XX"),
        ("zh-Hans", MBART, "zh_CN"),
        ("eng", M2M100, "en"),
        ("nb", M2M100, "no"),
        ("__fr__", M2M100, "fr"),
    ],
)
def test_a_language_is_found_by_any_of_its_codes(code, known, found):
    assert find_language(code, known) == found


@pytest.mark.parametrize(
    ("code", "known", "named"),
    [
        ("eg", NLLB, "are eng_Latn"),
        ("engl", MBART, "are en_XX"),
        ("", M2M100, "nearest of its 6"),
        ("sr-Latn", NLLB, "srp_Cyrl"),
    ],
)
def test_a_wrong_language_names_the_nearest(code, known, named):
    with pytest.raises(InputError, match=named):
        find_language(code, known)


def word_tokenizer():
    words = ["<pad>", "</s>", "<unk>", "a", "dog", "en", "de", "fr"]
    made = tokenizers.Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, "<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.add_special_tokens([AddedToken(word, special=True) for word in ("<pad>", "</s>", "en", "de", "fr")])
    return made


SPECIAL = {"pad": 0, "end": 1, "unknown": 2}
LANGUAGES = {"en": 5, "de": 6, "fr": 7}


def test_languages_go_where_a_template_puts_them():
    prefix = TextTemplate(("source",), (1,), 1, "target", LANGUAGES, "en", "de")
    made = TranslationTokenizer(word_tokenizer(), SPECIAL, 8, prefix)
    assert made.encode("a dog") == [5, 3, 4, 1]
    assert (made.special_ids["start"], made.special_ids["first"]) == (1, 6)
    other = made.between("fra", "en-GB")
    assert (other.encode("a"), other.special_ids["first"]) == ([7, 3, 1], 5)
    assert made.between(None, None) is made
    assert made.decode([6, 3, 4, 1]) == "a dog"
    suffix = TextTemplate((), (1, "source"), "target", None, LANGUAGES, "en", "fr")
    made = TranslationTokenizer(word_tokenizer(), SPECIAL, 8, suffix)
    assert (made.encode("a"), made.special_ids["start"]) == ([3, 1, 5], 7)
    assert "first" not in made.special_ids
    target = TextTemplate(("target",), (1,), 1, None, LANGUAGES)
    made = TranslationTokenizer(word_tokenizer(), SPECIAL, 8, target, None, "de")
    assert (made.encode("a"), made.special_ids["start"]) == ([6, 3, 1], 1)
    with pytest.raises(InputError, match="target: name one of the model's 3 languages"):
        made.between(None, None)
    plain = TextTemplate((5,), (1,), 1, 5)
    with pytest.raises(InputError, match="no languages to choose"):
        TranslationTokenizer(word_tokenizer(), SPECIAL, 8, plain, "en")


@pytest.mark.parametrize(
    "damage",
    [{"before": ["other"]}, {"languages": {}}, {"start": -1}, {"default_source": "es"}, {"mystery": 1}],
)
def test_a_damaged_template_is_refused(damage):
    good = TextTemplate(("source",), (1,), 1, "target", LANGUAGES, "en", "de").to_json()
    assert TextTemplate.from_json(good, "bundle").to_json() == good
    with pytest.raises(BundleError, match="text_template is damaged"):
        TextTemplate.from_json({**good, **damage}, "bundle")


def test_tokens_that_must_not_follow():
    assert forbidden_tokens([], 9, 1, 2, 0) == {1}
    assert forbidden_tokens([4, 5], 9, 1, 2, 0) == set()
    assert forbidden_tokens([4, 5, 4], 9, 1, 0, 2) == {5}
    assert forbidden_tokens([9], 9, 1, 0, 2) == {9}  # the start token counts
    assert forbidden_tokens([4, 5], 9, 1, 0, 1) == {9, 4, 5}
    assert forbidden_tokens([4], 9, 1, 0, 3) == set()
