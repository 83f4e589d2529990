"""BART's and T5's relatives: transformers' ids, log-probabilities and outputs, for pairs of languages."""

import numpy as np
import pytest
from keras import ops
from keras_attn_export import export
from tiny_models import in_process
from tiny_pieces import ENGLISH, sentences, texts
from tiny_translators import MODELS, PAIRS, translated, write_checkpoint, write_tokenizer

import keras_attn
from keras_attn import device, pretrained
from keras_attn.device.tasks.translator import Translator

pytestmark = pytest.mark.parity


@pytest.fixture(scope="module", params=MODELS)
def case(request, tmp_path_factory):
    """A kind, its folder, and transformers' model and tokenizer."""
    pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp(request.param)
    return request.param, folder, *write_checkpoint(request.param, folder)


@pytest.mark.parametrize("kind", [kind for kind in MODELS if kind != "small100"])
def test_older_and_newer_files_of_a_tokenizer_return_transformers_ids(kind, tmp_path):
    pytest.importorskip("transformers")
    theirs = write_tokenizer(kind, tmp_path, size=300)
    folders = [tmp_path]
    if kind != "m2m100":
        theirs.save_pretrained(str(tmp_path / "saved"))
        folders.append(tmp_path / "saved")
    hard = [*texts(), "  a  b  ", "", " ", "a\nb", "x</s>y", "<s>", "a\u00a0b"]
    hard += [f"{one} {other}" for one, other in zip(hard, hard[300:], strict=False)]
    for folder in folders:
        ours = pretrained.load_tokenizer(folder)
        beyond = len(theirs) + (108 if kind == "m2m100" else 0)
        for text in hard:
            wanted = theirs(text)["input_ids"]
            found = [token if token < beyond else theirs.unk_token_id for token in ours.encode(text).ids]
            assert found == wanted, ascii(text)
            shown = theirs.decode(wanted, skip_special_tokens=True, clean_up_tokenization_spaces=False)
            # Where no list names them, transformers takes M2M100's languages for text.
            if kind == "m2m100":
                shown = shown.removeprefix("__en__").strip()
            assert ours.decode(wanted) == shown


def test_log_probabilities_are_transformers(case, tmp_path):
    torch = pytest.importorskip("torch")
    _, folder, theirs, tokenizer = case
    model = pretrained.load(folder)
    rng = np.random.default_rng(0)
    mask = np.arange(9)[None] < np.array([[9], [5], [1]])
    source = np.where(mask, rng.integers(4, len(tokenizer), (3, 9)), model.pad_id)
    target = rng.integers(4, len(tokenizer), (3, 6))
    given = {"input_ids": source, "attention_mask": mask, "decoder_input_ids": target}
    with torch.no_grad():
        found = theirs(**{name: torch.tensor(each).long() for name, each in given.items()}).logits
    wanted = torch.log_softmax(found, -1).numpy()
    inputs = {
        "encoder_token_ids": source,
        "encoder_padding_mask": mask,
        "decoder_token_ids": target,
    }

    def log_probabilities(model):
        return np.asarray(ops.convert_to_numpy(ops.log_softmax(model(inputs))))

    ours = log_probabilities(model)
    assert np.abs(ours - wanted).max() <= 2e-6 * np.abs(found.numpy()).max()
    pretrained.save(model, tmp_path / "saved", {"eos_token_id": tokenizer.eos_token_id})
    again = type(theirs).from_pretrained(tmp_path / "saved").eval()
    with torch.no_grad():
        logits = again(**{name: torch.tensor(each).long() for name, each in given.items()}).logits
    assert torch.equal(logits, found)
    np.testing.assert_array_equal(log_probabilities(pretrained.load(tmp_path / "saved")), ours)


@pytest.mark.parametrize("rules", [{"no_repeat_ngram_size": 2}, {"min_length": 7}, {"min_new_tokens": 5}])
def test_rules_of_what_may_follow_are_those_of_generate(rules, tmp_path):
    pytest.importorskip("transformers")
    model, tokenizer = write_checkpoint("bart", tmp_path, end=4.0, **rules)
    translator, changed = keras_attn.load(tmp_path), 0
    plain = Translator(translator.step_models, translator.tokenizer, max_source_tokens=48, force_end=True)
    for text in [text for text in sentences(ENGLISH, 30, seed=3) if len(text) < 60][:5]:
        for beam in (1, 4):
            wanted = translated("bart", model, tokenizer, text, (None, None), beam, 10)[1]
            assert translator.translate(text, beam=beam, max_length=10).outputs[0].ids == wanted
        changed += plain.translate(text, max_length=10).outputs[0].ids != wanted
        assert "".join(translator.stream(text)) == translator.translate(text).text
    assert changed


@pytest.mark.parametrize("runtime", ["Keras", "LiteRT"])
def test_translations_are_those_of_generate(case, runtime, tmp_path):
    kind, folder, model, tokenizer = case
    chosen = [*[text for text in sentences(ENGLISH, 30, seed=3) if len(text) < 60][:4], "日本 ß"]
    translator = keras_attn.load(folder)
    if runtime == "LiteRT":
        if kind not in ("bart", "mbart", "m2m100", "t5", "umt5"):
            pytest.skip("its steps are those of others, which are exported")
        with in_process():
            export(folder, tmp_path / "bundle", "fp32", examples=chosen, buckets=[(40, 24)], beam=4,
                   proof_sentences=4)  # fmt: skip
        translator = device.load(tmp_path / "bundle")
    forced = model.generation_config.forced_eos_token_id is not None
    lengths = set()
    for pair in PAIRS[kind]:
        languages = {side: code for side, code in zip(("source", "target"), pair, strict=True) if code}
        for beam in (1, 4):
            for text in chosen:
                source, wanted = translated(kind, model, tokenizer, text, pair, beam, 10)
                found = translator.translate(text, beam=beam, max_length=10, n_best=beam, **languages)
                best = found.outputs[0] if forced else max(found.outputs, key=lambda one: one.score)
                assert (found.source_ids, best.ids) == (source, wanted), ascii(text)
                lengths.add(len(wanted))
    assert max(lengths) > 1
    assert translator.languages == () or len(translator.languages) > 5
