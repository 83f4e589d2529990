"""The web app in Chromium, as a phone: its answers, against Python's, and what it says when things break."""

import contextlib
import dataclasses
import hashlib
import json

import numpy as np
import pytest
import tiny_encoders
from keras_attn_export import export
from test_device_text import byte_pair_tokenizer
from tiny_models import in_process, sentences
from toy_bundle import make_bundle, weights
from web_browser import drive, require_browser

from keras_attn import device
from keras_attn.cli import run_program
from keras_attn.commands.web.site import samples
from keras_attn.device.files.bundle import Bundle, write_bundle
from keras_attn.device.proof.decoder_proof import Proof
from keras_attn.device.proof.verify import verify

pytestmark = pytest.mark.web
KINDS = ("recurrent", "cached")
TEXTS = [
    "a text",
    "the little house",
    "a b c d e f g",
    "5 يونيو 2018",
    "日本。語",
    "a b. c d! e f? g h; i j. k",
    "ends\nand begins",
    *sentences()[:13],
]


def copied(bundle, path, files=None, **changes):
    """A copy of a bundle with some files, or fields of its manifest, changed."""
    opened = Bundle.open(bundle)
    manifest = {key: value for key, value in opened.manifest.items() if key != "files"} | changes
    contents = {name: opened.read(name) for name in opened.manifest["files"]} | (files or {})
    return write_bundle(path, manifest, contents).path


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    require_browser()
    folder, tokenizer = tmp_path_factory.mktemp("bundles"), byte_pair_tokenizer()
    made = {kind: make_bundle(folder / kind, kind, tokenizer) for kind in KINDS}
    made["ended"] = copied(made["cached"], folder / "ended.zip", search={"force_end": True})
    made["no-model"] = copied(made["cached"], folder / "no-model")
    larger = byte_pair_tokenizer()
    larger.add_tokens([f"word{number}" for number in range(500)])
    made["strange"] = copied(made["cached"], folder / "strange", {"tokenizer.json": larger.to_str().encode()})
    broken = bytearray(made["cached"].joinpath("model.tflite").read_bytes())
    start = broken.find(np.float32(toy_weight()).tobytes())
    broken[start : start + 4] = np.float32(9.0).tobytes()
    made["wrong"] = copied(made["cached"], folder / "wrong", {"model.tflite": bytes(broken)})
    swapped = json.loads(tokenizer.to_str())
    vocabulary = swapped["model"]["vocab"]
    vocabulary["l"], vocabulary["o"] = vocabulary["o"], vocabulary["l"]
    files = {"tokenizer.json": json.dumps(swapped).encode()}
    made["swapped"] = copied(made["cached"], folder / "swapped", files)
    made["old"] = copied(made["cached"], folder / "old", runtimes=["tflite-runtime>=2.14"])
    return made


def toy_weight():
    """A weight of the toy models."""
    return weights(byte_pair_tokenizer().get_vocab_size())["qkv"][0, 0, 0]


@pytest.fixture(scope="module")
def site(bundles, tmp_path_factory):
    site = tmp_path_factory.mktemp("site") / "site"
    given = [f"{name.title()}={path}" for name, path in bundles.items()]
    assert run_program(["web", *given, "--output", str(site)]) == 0
    exchange_model(site, "bundles/no-model", b"not a model " * 999)
    return site


def exchange_model(site, folder, content):
    """Put another model file into a site, where nothing looks at it before the page does."""
    path, listed = site / folder / "manifest.json", site / "bundles.json"
    (path.parent / "model.tflite").write_bytes(content)
    manifest, entries = json.loads(path.read_bytes()), json.loads(listed.read_bytes())
    manifest["files"]["model.tflite"] = {
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
    }
    path.write_text(json.dumps(manifest))
    entry = next(entry for entry in entries if entry["folder"] == folder)
    entry["digest"] = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    listed.write_text(json.dumps(entries))


def test_the_browser_translates_as_python_does(bundles, site):
    jobs = [*((kind, beam) for kind in KINDS for beam in (1, 3)), ("ended", 3)]
    translators = {name: device.load(bundles[name]) for name, _ in jobs}
    texts = [text for text in TEXTS if translators["cached"].fits(text)]
    assert len(texts) > 12
    asked = [{"bundle": name, "beam": beam, "texts": texts} for name, beam in jobs]
    answers = drive("translate", site, given=asked)
    for (name, beam), found in zip(jobs, answers, strict=True):
        expected = translators[name].translate(texts, beam=beam)
        for one, other in zip(found["outputs"], expected, strict=True):
            assert one["ids"] == other.outputs[0].ids
            assert one["text"] == other.text or "\ufffd" in other.text  # bytes that are no characters
            assert one["score"] == pytest.approx(other.score, abs=1e-4)


def test_the_proof_is_repeated_in_the_browser(bundles, site):
    for name in KINDS:
        found, here = drive("verify", site, name), verify(bundles[name])
        assert found["ok"] and found["runtime"].startswith("@litertjs/core ")
        assert [check["name"] for check in found["rungs"]] == [check.name for check in here.checks[1:]]
        assert found["rungs"][1]["figures"]["by_rows"]["3"]["max_error"] < 1e-4


def test_a_model_that_computes_something_else_fails_its_proof(site):
    found = drive("verify", site, "wrong", fails=True)
    assert not found["ok"]
    assert next(check["name"] for check in found["rungs"] if not check["ok"]) == "scores"


def test_another_tokenizer_fails_its_proof(bundles, site):
    found, here = drive("verify", site, "swapped", fails=True), verify(bundles["swapped"])
    for checks in (found["rungs"], here.to_json()["rungs"]):
        assert [check["name"] for check in checks if not check["ok"]] == ["texts"]
    assert found["rungs"][-1]["figures"] == here.checks[-1].figures
    assert (
        found["rungs"][-1]["figures"]["different"]
        and "changed since the export: tokenizer.json" in found["rungs"][-1]["detail"]
    )


def test_a_bundle_that_may_not_run_in_a_browser_is_refused(site):
    found = drive("verify", site, "old", fails=True)
    assert not found["ok"] and "may run on tflite-runtime>=2.14" in found["rungs"][0]["detail"]


def test_the_app_is_used_as_a_person_would(bundles, site):
    visits = [
        {"bundle": "recurrent", "text": "the little house"},
        {"bundle": "cached", "text": "5 يو", "beam": True},
        {"bundle": "cached", "text": "a b c. d e f"},
    ]
    found = drive("journey", site, 1, 40, given=visits)
    assert not found["errors"] and not found["foreign"]
    assert found["shellBytes"] <= 400_000
    page, worker = np.array(found["heaps"][-1]) - np.array(found["heaps"][2])
    assert page < 300_000 and worker < 300_000, f"memory grows: {found['heaps']}"
    for asked, seen in zip([*visits, visits[-1]], [*found["visits"], found["offline"]], strict=True):
        # The page's beam is 4, or as wide as the bundle has signatures for: 3 here.
        beam = 3 if asked.get("beam") else 1
        expected = device.load(bundles[asked["bundle"]]).translate(asked["text"], beam=beam)
        assert seen["ids"] == expected.outputs[0].ids
        assert seen["streamed"], "tokens must be seen as they come"
        assert seen["pressed"] == 1 and max(seen["weights"]) == 1 and seen["moved"]
        assert seen["announced"] and "←" in seen["hint"]
        assert "tokens/s" in seen["figures"]


def test_errors_are_shown_and_recoverable(site):
    said = drive("faults", site, "recurrent", "no-model", "strange")
    for name, (state, title, text) in {
        "damaged": ("wrong", "The model file is damaged", "model.tflite does not have the SHA-256"),
        "interrupted": ("wrong", "The download was interrupted", "kB of bundles/recurrent/model.tflite"),
        "signIn": ("wrong", "The model could not be fetched", "Something else answered for bundles.json"),
        "otherFormat": ("wrong", "This page cannot use the model", "has format version 1, and this page"),
        "missing": ("wrong", "A file of the model is missing", "tokenizer.json: the server says 404"),
        "notAModel": ("wrong", "This model cannot run here", "is not a model that LiteRT.js runs"),
        "wrongTokenizer": ("wrong", "The tokenizer does not fit", "tokenizer.json belongs to another model"),
        "noWasm": ("wrong", "This browser cannot run the model", "WebAssembly"),
        "storageFull": ("ready", "There is no room to keep this model", "storage is full"),
    }.items():
        assert (said[name]["state"], said[name]["title"]) == (state, title), said[name]
        assert text in said[name]["text"] and said[name]["recovered"]


PROMPTS = {"query": "the old ", "passage": "a green "}


@pytest.fixture(scope="module")
def encoders(tmp_path_factory):
    require_browser()
    folder, tokenizer = tmp_path_factory.mktemp("encoders"), tiny_encoders.tokenizer_of("masked")
    made = {"masked-lm": folder / "masked"}
    with in_process(), contextlib.redirect_stdout(None):
        export(
            tiny_encoders.tiny_encoder("masked"), made["masked-lm"], "fp32", tokenizer=tokenizer,
            examples=sentences()[:20], buckets=tiny_encoders.LENGTHS, proof_sentences=6,
        )  # fmt: skip
    # To the other tasks its scores are as good as any: those of labels, or a vector.
    labels = [f"label {number}" for number in range(tokenizer.tokenizer.get_vocab_size())]
    for task in ("classification", "embedding"):
        model = {"labels": labels, "config": {"prompts": PROMPTS, "default_prompt": "passage"}}
        made[task] = copied(made["masked-lm"], folder / task, task=task, model=model)
    site = folder / "site"
    assert run_program(["web", *map(str, made.values()), "--output", str(site)]) == 0
    return made, site


def test_encoders_answer_as_python_does(encoders):
    made, site = encoders
    text, masked = "the old cat sees", "the old [MASK] sees"
    found = drive("answers", site, given={"text": text, "masked": masked})
    opened = {name: device.load(path) for name, path in made.items()}
    labels = opened["classification"].classify(text).outputs
    assert [name for name, _ in found["labels"]] == [each.label for each in labels[:8]]
    assert [share for _, share in found["labels"]] == [f"{100 * each.score:.1f} %" for each in labels[:8]]
    words = opened["masked-lm"].fill_mask(masked).outputs
    assert [name for name, _ in found["words"]] == [each.token for each in words]
    assert found["filled"] == words[0].text
    passages = found["passages"]
    embedder = opened["embedding"]
    answers = [*embedder.embed(passages, prompt="passage"), embedder.embed(text, prompt="query")]
    vectors = np.array([each.embedding for each in answers])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    order = np.argsort(-(vectors[:-1] @ vectors[-1]), kind="stable")
    assert [name for name, _ in found["found"]] == [passages[i] for i in order[:6]]
    assert not found["errors"]


def test_the_command_says_what_is_missing(bundles, tmp_path, capsys, monkeypatch):
    bundle = str(bundles["cached"])
    assert run_program(["web", bundle]) == 2
    assert "--output FOLDER, --serve, or both" in capsys.readouterr().err
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("keep")
    assert run_program(["web", bundle, "--output", str(tmp_path / "notes")]) == 2
    assert "is not a site" in capsys.readouterr().err and (tmp_path / "notes" / "mine.txt").exists()
    monkeypatch.setattr("keras_attn.commands.web.app.find_sources", lambda: tmp_path)
    for name in ("package.json", "package-lock.json", "build.mjs", "src"):
        (tmp_path / name).write_text("{}")
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert run_program(["web", bundle, "--output", str(tmp_path / "site")]) == 2
    assert "Node 20 or newer" in capsys.readouterr().err


def test_the_site_lists_its_bundles_and_texts_to_try(site, encoders):
    entries = json.loads((site / "bundles.json").read_text())
    assert [entry["title"] for entry in entries][:3] == ["Recurrent", "Cached", "Ended"]
    assert all(entry["samples"] and (site / entry["folder"] / "model.tflite").is_file() for entry in entries)
    masked, *others = json.loads((encoders[1] / "bundles.json").read_text())
    assert all(sample.count("[MASK]") == 1 for sample in masked["samples"])
    assert not any("[MASK]" in sample for entry in others for sample in entry["samples"])


def test_random_tokens_are_not_offered_as_examples(bundles, tmp_path):
    opened = Bundle.open(bundles["cached"])
    proof, ids = Proof.load(opened.read("proof.npz")), device.load(bundles["cached"]).tokenizer.encode("a b")
    source_ids, source_lengths = proof.source_ids.copy(), proof.source_lengths.copy()
    source_ids[3, : len(ids)], source_lengths[3] = ids, len(ids)
    results = dataclasses.replace(proof, source_ids=source_ids, source_lengths=source_lengths)
    path = copied(bundles["cached"], tmp_path / "results", {"proof.npz": results.to_bytes()})
    assert samples(Bundle.open(path)) == ["a b"]
