"""Bundles: what is written opens, what is damaged is named, and nothing outside is touched."""

import json
import zipfile
from pathlib import Path

import pytest

from keras_attn.device.errors import BundleError
from keras_attn.device.files.bundle import MANIFEST, MODEL, TOKENIZER, Bundle, write_bundle

FILES = {MODEL: b"a model", TOKENIZER: b"{}", "report.md": "Bericht ä".encode()}


def description(**changes):
    tensors = {"inputs": {"tokens": {"shape": [1], "dtype": "int32"}}, "outputs": {}}
    tensors["outputs"]["scores"] = {"shape": [1, 9], "dtype": "float32"}
    manifest = {
        "format_version": 2,
        "task": "translation",
        "model": {"class_name": "RNNSearch", "config": {}},
        "languages": {"source": "en", "target": "de"},
        "special_ids": {"pad": 0, "start": 1, "end": 2, "unknown": 3},
        "recipe": "int8",
        "signatures": {"encode_8": tensors, "step_8_1": tensors},
        "buckets": [{"source": 8, "target": 16, "encode": "encode_8", "steps": {"1": {"16": "step_8_1"}}}],
        "max_source_tokens": 8,
        "runtimes": ["ai-edge-litert>=1.4", "@litertjs/core>=2.5"],
        "created": "2026-01-01",
    }
    for key, value in changes.items():
        if value is None:
            del manifest[key]
        else:
            manifest[key] = value
    return manifest


@pytest.fixture(params=["folder", "zip"])
def path(request, tmp_path):
    return tmp_path / ("bundle" if request.param == "folder" else "bundle.zip")


def edit(path, name, change):
    """Replace a file's contents by change(contents), or remove it if that is None."""
    if path.is_dir():
        contents = change((path / name).read_bytes())
        (path / name).unlink()
        if contents is not None:
            (path / name).write_bytes(contents)
        return
    with zipfile.ZipFile(path) as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    members[name] = change(members[name])
    with zipfile.ZipFile(path, "w") as archive:
        for member, contents in members.items():
            if contents is not None:
                archive.writestr(member, contents)


def edit_manifest(path, change):
    def apply(contents):
        manifest = json.loads(contents)
        change(manifest)
        return json.dumps(manifest).encode()

    edit(path, MANIFEST, apply)


def test_written_files_can_be_read(path, tmp_path):
    (tmp_path / "elsewhere.md").write_bytes(FILES["report.md"])
    written = write_bundle(path, description(), {**FILES, "report.md": tmp_path / "elsewhere.md"})
    bundle = Bundle.open(path)
    assert bundle == written
    assert bundle.manifest["files"][MODEL]["bytes"] == 7
    assert {name: bundle.read(name) for name in FILES} == FILES
    model = bundle.model()
    assert FILES[MODEL] == (model if isinstance(model, bytes) else Path(model).read_bytes())
    with pytest.raises(BundleError, match=r"has no proof\.npz"):
        bundle.read("proof.npz")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([path.name, "elsewhere.md"])


def test_a_bundle_is_replaced_whole(path, tmp_path):
    write_bundle(path, description(), {**FILES, "old.txt": b"old"})
    write_bundle(path, description(recipe="fp16"), FILES)
    assert Bundle.open(path).manifest["recipe"] == "fp16"
    if path.is_dir():
        assert not (path / "old.txt").exists()
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_the_same_contents_give_the_same_zip(tmp_path):
    one = write_bundle(tmp_path / "one.zip", description(), FILES).path.read_bytes()
    assert one == write_bundle(tmp_path / "two.zip", description(), FILES).path.read_bytes()


@pytest.mark.parametrize("name", ["thesis", "thesis.zip"])
def test_other_folders_are_not_replaced(tmp_path, name):
    if name == "thesis":
        (tmp_path / name).mkdir()
        (tmp_path / name / "chapter.txt").write_text("years of work")
    else:
        (tmp_path / name).write_text("years of work")
    with pytest.raises(BundleError, match=f"{name} exists and is not a bundle"):
        write_bundle(tmp_path / name, description(), FILES)
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert name == "thesis.zip" or (tmp_path / name / "chapter.txt").read_text() == "years of work"


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "bundle").mkdir()
    assert write_bundle(tmp_path / "bundle", description(), FILES).read(MODEL) == b"a model"


def test_a_bundle_that_would_not_open_is_not_written(path, tmp_path):
    write_bundle(path, description(), FILES)
    with pytest.raises(BundleError, match=f"{path}/{MANIFEST} lacks 'recipe'"):
        write_bundle(path, description(recipe=None), FILES)
    assert Bundle.open(path).manifest["recipe"] == "int8"
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


DAMAGE = {
    "missing file": (lambda path: edit(path, TOKENIZER, lambda _: None), r"has no tokenizer\.json"),
    "missing manifest": (lambda path: edit(path, MANIFEST, lambda _: None), r"has no manifest\.json"),
    "truncated file": (
        lambda path: edit(path, MODEL, lambda contents: contents[:-1]),
        r"model\.tflite has 6 bytes, but 7 in the manifest",
    ),
    "changed file": (
        lambda path: edit(path, MODEL, lambda _: b"another"),
        r"model\.tflite does not have the SHA-256",
    ),
    "broken manifest": (
        lambda path: edit(path, MANIFEST, lambda contents: contents[:-9]),
        r"manifest\.json is not JSON",
    ),
    "another manifest": (lambda path: edit(path, MANIFEST, lambda _: b"[]"), "one JSON object"),
    "huge manifest": (
        lambda path: edit(path, MANIFEST, lambda _: b" " * (2**24 + 1)),
        "at most 16777216 are read",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_named(path, damage):
    harm, message = DAMAGE[damage]
    write_bundle(path, description(), FILES)
    harm(path)
    with pytest.raises(BundleError, match=message):
        Bundle.open(path)


WRONG_FIELDS = [
    (lambda m: m.update(format_version=1), "format_version is 1, and this program reads 2"),
    (lambda m: m.pop("format_version"), "format_version is None"),
    (lambda m: m.update(task="poetry"), "task 'poetry' is unknown"),
    (lambda m: m.pop("special_ids"), "lacks 'special_ids'"),
    (lambda m: m["special_ids"].pop("end"), r"special_ids\['end'\] must be a token id"),
    (lambda m: m.update(max_source_tokens="8"), "'max_source_tokens' must be a int, not '8'"),
    (lambda m: m.update(max_source_tokens=True), "'max_source_tokens' must be a int, not True"),
    (lambda m: m.update(max_source_tokens=9), "between 1 and the largest bucket's 8"),
    (lambda m: m.update(buckets=[]), "buckets is empty"),
    (lambda m: m["buckets"][0].pop("target"), r"buckets\[0\] must have 'source' and 'target'"),
    (lambda m: m["buckets"][0].update(steps={"one": {"16": "step_8_1"}}), r"buckets\[0\] must have 'steps'"),
    (lambda m: m["buckets"][0].update(steps={"1": "step_8_1"}), r"buckets\[0\] must have 'steps' by number"),
    (lambda m: m["buckets"][0].update(steps={"1": {"15": "step_8_1"}}), "fewer target tokens than"),
    (lambda m: m["buckets"][0].update(encode="encode_9"), "names the signature 'encode_9'"),
    (lambda m: m["buckets"].append(m["buckets"][0]), "must ascend"),
    (lambda m: m["signatures"]["step_8_1"].pop("outputs"), r"signatures\['step_8_1'\] must have 'outputs'"),
    (
        lambda m: m["signatures"]["step_8_1"]["inputs"]["tokens"].update(dtype="int64"),
        "'tokens' must be int32 or float32",
    ),
    (
        lambda m: m["signatures"]["step_8_1"]["inputs"]["tokens"].update(shape=[-1]),
        "'tokens' must have a 'shape'",
    ),
    (lambda m: m.update(runtimes=[1]), "runtimes must be a list of requirements"),
    (lambda m: m["files"].pop(MODEL), r"files lacks 'model\.tflite'"),
    (lambda m: m["files"][MODEL].pop("sha256"), "must have 'bytes' and 'sha256'"),
    (lambda m: m["files"].update({"../../etc/passwd": m["files"][MODEL]}), "not a name that a file"),
    (lambda m: m["files"].update({"/etc/passwd": m["files"][MODEL]}), "not a name that a file"),
]


@pytest.mark.parametrize(("change", "message"), WRONG_FIELDS)
def test_wrong_fields_are_named(path, change, message):
    write_bundle(path, description(), FILES)
    edit_manifest(path, change)
    with pytest.raises(BundleError, match=message) as error:
        Bundle.open(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_members_with_other_names_are_never_unpacked(tmp_path):
    write_bundle(tmp_path / "bundle.zip", description(), FILES)
    with zipfile.ZipFile(tmp_path / "bundle.zip", "a") as archive:
        archive.writestr("../escaped.txt", "out")
    Bundle.open(tmp_path / "bundle.zip").read(MODEL)
    assert [p.name for p in tmp_path.iterdir()] == ["bundle.zip"]


def test_other_folders_are_refused_as_bundles(tmp_path):
    with pytest.raises(BundleError, match="There is no bundle at"):
        Bundle.open(tmp_path / "nothing")
    (tmp_path / "text").write_text("text")
    with pytest.raises(BundleError, match="neither a bundle folder nor a"):
        Bundle.open(tmp_path / "text")


@pytest.mark.parametrize(
    ("name", "version", "accepted"),
    [
        ("ai-edge-litert", "1.4.0", True),
        ("ai-edge-litert", "2.3.0", True),
        ("ai-edge-litert", "1.10.0", True),
        ("ai-edge-litert", "1.3.9", False),
        ("tflite-runtime", "2.14.0", False),
    ],
)
def test_runtimes_that_are_not_listed_are_refused(path, name, version, accepted):
    bundle = write_bundle(path, description(), FILES)
    if accepted:
        bundle.check_runtime(name, version)
        return
    with pytest.raises(
        BundleError, match=rf"recipe int8\) may run on ai-edge-litert>=1\.4.* this is {name} {version}"
    ):
        bundle.check_runtime(name, version)
