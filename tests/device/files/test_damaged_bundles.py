"""Whatever a bundle's files contain, programs answer or refuse with a line: 500 damaged ones, some by hand.

Many more are tried by ``python tests/support/damage/damage.py``, see there.
"""

import functools
import io
import json
import os
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from damage import damage, repair
from damage_cases import try_cases
from tiny_encoders import LABELS, LENGTHS, encoder_tokenizer, tiny_encoder, tokenizer_of
from tiny_language import WINDOWS, prompt_tokenizer, tiny_language_model
from tiny_models import in_process, pairs, scratch, sentences, tiny, tokenizer

from keras_attn.device import load
from keras_attn.device.errors import BundleError
from keras_attn.device.files.arrays import read_arrays
from keras_attn.device.files.bundle import MODEL, Bundle
from keras_attn.device.model_check.model_check import check_model
from keras_attn.device.model_check.model_tables import ModelFile
from keras_attn.device.proof.encoder_proof import EncoderProof
from keras_attn.device.proof.text_proof import TextProof
from keras_attn.device.proof.verify import verify

pytestmark = pytest.mark.skipif(
    not hasattr(os, "mkfifo"), reason="FIFOs, devices and /proc are those of Linux"
)


@pytest.fixture(scope="module")
def wholes():
    """A translator with all that one can have, a classifier and a language model."""
    from keras_attn_export import export

    folder = scratch() / "whole"
    examples = [(text, LABELS[i % 3]) for i, text in enumerate(sentences()[:40])]
    short = [(text, text) for text in sentences()]
    shared = {"proof_sentences": 4}
    with in_process():
        path = folder / "translator"
        options = {"buckets": [4, 8], "beam": 1, "one_call": True, "shortlist": short}
        export(tiny("rnnsearch"), path, tokenizer=tokenizer(), examples=pairs(), **options, **shared)
        path, options = folder / "classifier", {"tokenizer": tokenizer_of("pooled"), "buckets": LENGTHS}
        export(tiny_encoder("pooled"), path, examples=examples, **options, **shared)
        path, options = folder / "language", {"tokenizer": prompt_tokenizer(), "buckets": WINDOWS}
        export(tiny_language_model("gpt2"), path, examples=sentences()[:40], **options, **shared)
    return sorted(folder.iterdir())


def test_500_damaged_bundles_do_not_crash(wholes):
    found = try_cases(wholes, seed=17, numbers=range(500), tell=lambda line: None)
    assert not found.wrong, found.summary()
    assert found.cases == 500 and 10 < found.passed < 250, found.summary()


def test_24_damaged_bundles_that_begin_with_the_text_are_answered_or_refused():
    """Fewer, for each is proven in a process of its own."""
    pytest.importorskip("tensorflow_text")
    from keras_attn_export import export

    path = scratch() / "from-text"
    examples = [(text, LABELS[i % 3]) for i, text in enumerate(sentences()[:40])]
    options = {"tokenizer": encoder_tokenizer(), "tokenizer_in_graph": True, "buckets": LENGTHS}
    with in_process():
        export(tiny_encoder("pooled"), path, examples=examples, proof_sentences=4, **options)
    found = try_cases([path], seed=18, numbers=range(24), tell=lambda line: None)
    assert not found.wrong, found.summary()
    assert found.cases == 24 and found.passed < 12, found.summary()


def test_a_seed_gives_the_same_damage(wholes, tmp_path):
    made = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        path, done = damage(wholes[0], tmp_path / name, 3, 12)
        content = (
            path.read_bytes() if path.is_file() else [each.read_bytes() for each in sorted(path.iterdir())]
        )
        made.append((done, content))
    assert made[0] == made[1]


def changed(whole, path, change):
    """Write a copy of a bundle with files changed and vouched for."""
    files = {each.name: each.read_bytes() for each in whole.iterdir()}
    change(files)
    repair(files)
    path.mkdir()
    for name, content in files.items():
        (path / name).write_bytes(content)
    return path


def in_manifest(change):
    def apply(files):
        manifest = json.loads(files["manifest.json"])
        change(manifest)
        files["manifest.json"] = json.dumps(manifest).encode()

    return apply


def in_model(change):
    """Change a number of the model: ``change`` is given its tables and its words, int32."""

    def apply(files):
        words = np.frombuffer(files[MODEL], "<i4").copy()
        change(ModelFile(files[MODEL], "model"), words)
        files[MODEL] = words.tobytes()

    return apply


def set_special(manifest, role, value):
    manifest["special_ids"][role] = value


def tokenizer_that_panics(files):
    document = json.loads(files["tokenizer.json"])
    document["normalizer"] = {"type": "Precompiled", "precompiled_charsmap": "BAAAAP////8AAAAA"}
    files["tokenizer.json"] = json.dumps(document).encode()


BY_HAND = {
    "fewer labels": (
        in_manifest(lambda m: m["model"].update(labels=["a", "b"], classes={})),
        r"scores \[3\] labels, and model has 2",
    ),
    "a huge id": (
        in_manifest(lambda m: set_special(m, "end", 2**40)),
        r"special_ids\['end'\] must be a token id",
    ),
    "an id beyond": (
        in_manifest(lambda m: set_special(m, "pad", 9999)),
        "names 9999 as 'pad', which is not in the vocabulary",
    ),
    "a lone surrogate": (in_manifest(lambda m: m.update(recipe="\ud800")), "is not JSON"),
    "not a number": (in_manifest(lambda m: m.update(recipe=float("nan"))), "NaN is not a JSON number"),
    "another shape": (
        in_manifest(lambda m: m["signatures"]["encode_8"]["inputs"]["token_ids"].update(shape=[1, 9])),
        r"'token_ids' is int32\[1, 8\], and the manifest says int32\[1, 9\]",
    ),
    "a panic": (tokenizer_that_panics, "is a tokenizer that fails: index out of bounds"),
    "no model": (lambda files: files.update({MODEL: b""}), "it has 0 bytes"),
    "no flatbuffer": (
        lambda files: files.update({MODEL: b"\x07" * 999}),
        "the file identifier TFL3 is missing",
    ),
}


@pytest.mark.parametrize("kind", BY_HAND)
def test_errors_are_named(wholes, tmp_path, kind):
    change, message = BY_HAND[kind]
    path = changed(wholes[0], tmp_path / "bundle", change)
    with pytest.raises(BundleError, match=message) as error:
        load(path)
    assert "\n" not in str(error.value)
    assert not verify(path).ok


UNNOTICED = {
    "labels": lambda m: m["model"]["labels"].reverse(),
    "classes": lambda m: m["model"]["classes"].update(plants=0),
    "a length": lambda m: m.update(max_source_tokens=m["max_source_tokens"] - 1),
    "a bucket": lambda m: m["buckets"].pop(0),
}


@pytest.mark.parametrize("kind", UNNOTICED)
def test_fields_that_change_answers_are_proven(wholes, tmp_path, kind):
    """The manifest vouches for all other files, and the proof for these fields."""
    path = changed(wholes[0], tmp_path / "bundle", in_manifest(UNNOTICED[kind]))
    assert [check.name for check in verify(path).checks if not check.ok] == ["texts"]
    assert verify(wholes[0]).ok


def test_valid_model_is_safe_and_each_field_matters(wholes):
    for whole in wholes:
        check_model(whole / MODEL, "model", Bundle.open(whole).manifest["signatures"])
    content = (wholes[0] / MODEL).read_bytes()
    model = ModelFile(content, "model")
    assert len(model.codes) > 100 and len(model.signatures) == 2


def operand(model, number=0):
    """Return the place, in words, of an operator's first input."""
    file = model.file.root(b"TFL3").children(2)[0].children(3)[0].vectors(1, 4)
    return int(file.starts[number]) // 4


CRAFTED = {
    "a tensor that does not exist": lambda model, words: words.__setitem__(operand(model), 10**6),
    "a negative tensor": lambda model, words: words.__setitem__(operand(model), -7),
    "a longer list": lambda model, words: words.__setitem__(operand(model) - 1, 2**28),
    "a root elsewhere": lambda model, words: words.__setitem__(0, len(words) * 4 + 400_000_000),
}


@pytest.mark.parametrize("kind", CRAFTED)
def test_a_crafted_model_ends_no_process(wholes, tmp_path, kind):
    path = changed(wholes[0], tmp_path / "bundle", in_model(CRAFTED[kind]))
    for arguments in (["text"], ["--verify"]):
        command = [sys.executable, "-m", "keras_attn.device", path, *arguments]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == (1 if "--verify" in arguments else 2), done
        assert "is not a model that is safe to run" in done.stdout + done.stderr


OUT_OF_PLACE = {
    "fifo": os.mkfifo,
    "folder": os.mkdir,
    "link out": lambda file: file.symlink_to("../elsewhere.json"),
    "link to a device": lambda file: file.symlink_to("/dev/zero"),
    "link through a link": lambda file: file.symlink_to("inner/elsewhere.json"),
}


@pytest.mark.parametrize("kind", OUT_OF_PLACE)
def test_files_outside_the_folder_are_not_opened(wholes, tmp_path, kind):
    path = changed(wholes[0], tmp_path / "bundle", lambda files: None)
    file = path / "tokenizer.json"
    file.rename(tmp_path / "elsewhere.json")
    (path / "inner").symlink_to("..")
    OUT_OF_PLACE[kind](file)
    with pytest.raises(BundleError, match=r"tokenizer\.json (is a link that leaves|is not a file)") as error:
        Bundle.open(path)
    assert "\n" not in str(error.value)


def test_links_that_stay_in_the_folder_are_read(wholes, tmp_path):
    path = changed(wholes[0], tmp_path / "bundle", lambda files: None)
    (path / "files").mkdir()
    for file in [each for each in path.iterdir() if each.is_file()]:
        file.rename(path / "files" / file.name)
        file.symlink_to(f"files/{file.name}")
    assert verify(path).ok


def test_a_snapshot_in_a_cache_of_the_hub_is_read(wholes, tmp_path):
    """There the files of a revision are links to blobs beside it."""
    path = tmp_path / "models--some--bundle" / "snapshots" / "5f1e"
    path.parent.mkdir(parents=True)
    changed(wholes[0], path, lambda files: None)
    blobs = tmp_path / "models--some--bundle" / "blobs"
    blobs.mkdir()
    for number, file in enumerate(sorted(path.iterdir())):
        file.rename(blobs / str(number))
        file.symlink_to(f"../../blobs/{number}")
    assert Bundle.open(path).manifest == Bundle.open(wholes[0]).manifest
    (path / "tokenizer.json").unlink()
    (path / "tokenizer.json").symlink_to(wholes[0] / "tokenizer.json")
    with pytest.raises(BundleError, match=r"tokenizer\.json is a link that leaves"):
        Bundle.open(path)


def test_a_zip_is_not_unpacked_beyond_what_it_says(wholes, tmp_path):
    files = {each.name: each.read_bytes() for each in wholes[0].iterdir()} | {"report.md": b"\0" * 2**24}
    repair(files)
    path = tmp_path / "bundle.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    with pytest.raises(BundleError, match=r"report\.md is compressed more than 100-fold"):
        Bundle.open(path)


def test_a_zip_of_many_members_is_refused(wholes, tmp_path):
    path = tmp_path / "bundle.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in (each.name for each in wholes[0].iterdir()):
            archive.write(wholes[0] / name, name)
        for number in range(30_000):
            archive.writestr(f"{number}", b"")
    with pytest.raises(BundleError, match="far more members than a bundle"):
        Bundle.open(path)


def test_arrays_that_unpack_to_more_than_memory_are_refused():
    """A file of zeros is packed to a thousandth; each of these is small enough, and all together are not."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        header = (
            b"\x93NUMPY\x01\x00\x76\x00"
            + b"{'descr': '|u1', 'fortran_order': False, 'shape': (100000000,), }"
        )
        for name in ("one", "two", "three"):
            archive.writestr(f"{name}.npy", header.ljust(127) + b"\n" + bytes(100_000_000))
    assert len(content.getvalue()) < 4_000_000
    with pytest.raises(BundleError, match=r"three\.npy has 100000128 bytes, and at most"):
        read_arrays(content.getvalue(), "proof.npz", ["one", "two", "three"])


def test_oversized_proof_is_refused():
    rows = np.ones((10**6, 1), np.int32)
    proof = functools.partial(EncoderProof, rows, rows[:, 0], rows[:, 0], rows[:, 0], rows)
    with pytest.raises(BundleError, match="has 1000000 inputs, 4096 at most"):
        proof(rows.astype(np.float32))
    with pytest.raises(BundleError, match="texts have 20000000 bytes, 16777216 at most"):
        TextProof.from_array(np.zeros(20_000_000, np.uint8))
