"""Language models on the device: the Keras model's texts, from a bundle that proves them."""

import json

import numpy as np
import pytest
from keras_attn_export import ExportError, export
from sharing import check_shared, side_by_side
from tiny_language import WINDOWS, language_bundle, prompt_tokenizer, tiny_language_model
from tiny_models import in_process, sentences

from keras_attn import cli, device
from keras_attn.device.errors import BundleError, InputError, TextTooLong
from keras_attn.device.files.bundle import Bundle
from keras_attn.device.proof.verify import verify
from keras_attn.generation import keras_generator

NAMES = ("gpt2", "window")
PROMPTS = ["the red cat", "a", "", "old dog"]
DRAWS = [{}, {"temperature": 1.3, "seed": 3}, {"temperature": 0.9, "top_k": 5, "top_p": 0.8, "seed": 4}]


def bundle_of(name):
    """The model's fp32 bundle; `window`'s gives heads as well, beside steps that are the same."""
    return language_bundle(name, heads=name == "window")


def keras_side(name):
    return keras_generator(
        tiny_language_model(name), prompt_tokenizer(), max_source_tokens=9, max_target_tokens=7
    )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("options", DRAWS, ids=["greedy", "drawn", "narrow"])
def test_device_continues_texts_as_keras_does(name, options):
    generator = device.load(bundle_of(name))
    for length in (7, 3):  # the longer and the shorter bucket
        found = generator.generate(PROMPTS, max_length=length, **options)
        wanted = keras_side(name).generate(PROMPTS, max_length=length, **options)
        assert [each.outputs[0].ids for each in found] == [each.outputs[0].ids for each in wanted]
        np.testing.assert_allclose([f.score for f in found], [w.score for w in wanted], atol=1e-4)
        assert all(len(each.outputs[0].ids) <= length for each in found)


@pytest.mark.parametrize("name", NAMES)
def test_every_step_is_the_uncached_model(name):
    """Scores of the bundle, step by step to the last slot, against one pass over the whole text."""
    model = tiny_language_model(name)
    generator = device.load(bundle_of(name))
    special = prompt_tokenizer().special_ids
    rng = np.random.default_rng(0)
    for prompt, room in WINDOWS:
        ids = rng.integers(1, 280, prompt + room)
        logits = np.asarray(model({"token_ids": ids[None]}))[0].astype(np.float64)
        wanted = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        steps = generator.step_models(room)
        state = steps.start(ids[None, :prompt], np.ones((1, prompt), bool))
        token = special["start"]
        for step in range(room):
            scores, state = steps.step(np.array([token], np.int32), state)
            np.testing.assert_allclose(scores[0], wanted[prompt - 1 + step], atol=2e-5)
            token = ids[prompt + step]


def test_a_stream_is_the_text_in_parts():
    generator = device.load(language_bundle("gpt2"))
    options = {"max_length": 7, "temperature": 2.0, "seed": 5}
    parts = list(generator.stream("the cat", **options))
    whole = generator.generate("the cat", **options)
    assert "".join(parts) == whole.text and str(whole) == "the cat" + whole.text
    assert len(parts) > 1
    again = [generator.generate("the cat", max_length=7, temperature=2.0).text for _ in range(8)]
    assert len(set(again)) > 1  # without a seed


def test_int8_is_smaller_close_and_proven():
    path = language_bundle("gpt2", "int8")
    report = verify(path)
    assert report.ok, str(report)
    names = ["files", "signatures", "scores", "tokens", "shuffled", "texts"]
    assert [r.name for r in report.checks] == names
    found = json.loads((path / "report.json").read_text("utf-8"))
    names = [check["name"] for check in found["rungs"]]
    assert found["ok"] and "fp32 search 1" in names and names[-1] == "metric"
    assert found["bytes"]["model.tflite"] < found["bytes"]["model as fp32"]
    manifest = Bundle.open(path).manifest
    assert manifest["task"] == "generation" and manifest["max_source_tokens"] == 9


@pytest.mark.parametrize("name", NAMES)
def test_heads_are_keras_attention(name):
    path = language_bundle(name, heads=True)
    generator, keras = device.load(path), keras_side(name)
    model = tiny_language_model(name)
    for text in ("a", "the red cat"):  # the shorter bucket and the longer one
        pieces, found = generator.heads(text)
        ids = np.array([generator.tokenizer.encode(text)])
        scores = model.backbone({"token_ids": ids}, return_attention_scores=True)["attention_scores"]
        np.testing.assert_allclose(found, np.asarray(scores)[:, 0], atol=1e-5)
        assert len(pieces) == ids.shape[1]
        assert keras.heads(text)[0] == pieces
        np.testing.assert_allclose(keras.heads(text)[1], found, atol=1e-5)
    checks = {
        check["name"]: check for check in json.loads((path / "report.json").read_text("utf-8"))["rungs"]
    }
    assert checks["fp32 heads"]["ok"] and verify(path).ok
    with pytest.raises(BundleError, match="--heads"):
        device.load(language_bundle("gpt2")).heads("the cat")
    with pytest.raises(InputError, match="empty"):
        generator.heads("")
    long = " ".join(sentences()[:8])
    pieces, found = generator.heads(long, truncate=True)
    assert len(pieces) == found.shape[-1] == 9


@pytest.mark.parametrize("ending", ["png", "html"])
def test_the_attention_command_draws_them(tmp_path, capsys, ending):
    picture = tmp_path / f"heads.{ending}"
    path = language_bundle("gpt2", heads=True)
    assert call("attention", path, "the red cat", "--words", "--output", picture) == 0
    content = picture.read_bytes()
    assert content.startswith(b"\x89PNG") or b'"targets": [["the", false]' in content
    for options, message in ((["a", "--beam", "2"], "for translators"), ([" " * 40], "is empty")):
        assert call("attention", path, *options, "--output", tmp_path / "no.png") == 2
        assert message in capsys.readouterr().err


def test_limits_are_reported():
    generator = device.load(language_bundle("gpt2"))
    long = " ".join(sentences()[:8])
    with pytest.raises(TextTooLong, match="at most 9"):
        generator.generate(long)
    cut = generator.generate(long, truncate=True)
    assert cut.source_ids == prompt_tokenizer().encode(long)[-9:]  # the end is what goes on
    with pytest.raises(ValueError, match="adds at most 7"):
        generator.generate("a", max_length=8)
    drawn = {"temperature": 1.0}
    for wrong in ({**drawn, "top_k": 0}, {**drawn, "top_p": 0.0}, {**drawn, "top_p": 1.5}, {"top_k": 3}):
        with pytest.raises(ValueError, match=r"top_k|top_p"):
            generator.generate("a", **wrong)
    with pytest.raises(ValueError, match="temperature"):
        generator.generate("a", temperature=-1)
    with pytest.raises(InputError, match="Unicode"):
        generator.generate("\ud800")
    with pytest.raises(TypeError, match="string"):
        generator.generate(5)


def test_invalid_arguments_are_refused(tmp_path):
    model, tokenizer = tiny_language_model("gpt2"), prompt_tokenizer()
    for options, match in (
        ({"beam": 3}, "beam"),
        ({"buckets": [(10, 7)]}, "16 positions"),
        ({"buckets": [4, 4]}, "same source"),
    ):
        with pytest.raises(ValueError, match=match):
            export(model, tmp_path / "bundle", tokenizer=tokenizer, **options)
    assert list(tmp_path.iterdir()) == []


def test_a_lowering_that_forgets_the_prompt_leaves_no_bundle(tmp_path):
    with in_process(), pytest.raises(ExportError) as caught:
        export(
            tiny_language_model("gpt2"),
            tmp_path / "bundle",
            "fp32",
            tokenizer=prompt_tokenizer(),
            buckets=[(4, 3)],
            lowering="sabotaged_lowerings:language_without_prompt",
        )
    assert caught.value.check == "fp32 scores" and list(tmp_path.iterdir()) == []


def call(*arguments):
    return cli.run_program([str(argument) for argument in arguments])


def test_the_command_line(tmp_path, capsys):
    path, drawn = language_bundle("gpt2"), ("--temperature", "1.5", "--seed", "2", "--max-length", "6")
    assert call("run", path, "the cat", "--stream", *drawn) == 0
    streamed = capsys.readouterr().out
    assert call("run", path, "the cat", "--json", *drawn) == 0
    (output,) = json.loads(capsys.readouterr().out)["outputs"]
    assert streamed == "the cat" + output["text"] + "\n"
    for wrong in (("--beam", 2), ("--stream", "--json"), ("--top-k", 3), ("--max-length", 8)):
        assert call("run", path, "the cat", *wrong) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1
    test = tmp_path / "test.txt"
    test.write_text("\n".join(sentences()[40:50]), encoding="utf-8")
    assert call("evaluate", path, "--test", test, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["sentences"] == 10 and found["targets"] > 30
    assert found["perplexity"] == pytest.approx(np.exp(found["loss"]), rel=1e-3)


def test_threads_may_share_one():
    """Whole texts, streams that wait for each other, and the attention of heads."""
    calls = []
    for text in sentences()[:8]:
        for options in DRAWS:
            calls += [
                lambda made, text=text, options=options: made.generate(text, **options).to_json(),
                lambda made, text=text, options=options: side_by_side(
                    made.stream(text, **options), made.stream("a", **options)
                ),
            ]
        calls.append(lambda made, text=text: made.heads(text)[1].tolist())
    check_shared(calls, lambda: device.load(bundle_of("window")))
