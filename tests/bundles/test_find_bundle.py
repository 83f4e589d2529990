"""Bundles by name: of this package, downloaded, from a folder without a network, and names that are none."""

import hashlib
import json
import shutil

import pytest
from download_server import Server
from test_device_text import byte_pair_tokenizer
from toy_bundle import make_bundle

import keras_attn
from keras_attn.bundles import find, registry
from keras_attn.cli import run_program
from keras_attn.device.errors import BundleError

TEXT = "a dog"


@pytest.fixture(scope="module")
def zipped(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("toy") / "toy.zip", "recurrent", byte_pair_tokenizer())


@pytest.fixture
def server(zipped, tmp_path, monkeypatch):
    """A server of one bundle, toy-en, which is not part of the package; the working folder is empty."""
    server, content = Server(), zipped.read_bytes()
    server.files["toy-en.zip"] = content
    entry = {
        "title": "A toy",
        "task": "translation",
        "url": f"{server.url}/toy-en.zip",
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "licence": "CC0",
        "example": TEXT,
        "figures": {},
    }
    file = tmp_path / "registry.json"
    file.write_text(json.dumps({"format_version": 1, "bundles": {"toy-en": entry}}))
    monkeypatch.setattr(registry, "FILE", file)
    monkeypatch.setenv("KERAS_ATTN_CACHE", str(tmp_path / "cache"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    registry.entries.cache_clear()
    yield server
    registry.entries.cache_clear()
    server.close()


def test_a_name_is_downloaded_once_and_used_without_a_network_from_then_on(server, zipped, capsys):
    expected = keras_attn.load(zipped).translate(TEXT).text
    assert keras_attn.load("toy-en", task="translation").translate(TEXT).text == expected
    server.files.clear()
    assert run_program(["run", "toy-en", TEXT]) == 0
    assert capsys.readouterr().out == f"{expected}\n"
    assert run_program(["verify", "toy-en"]) == 0
    assert len(server.asked) == 1


def test_a_broken_download_continues_where_it_stopped(server, tmp_path):
    server.cut["toy-en.zip"] = [100, 200, 300]
    with pytest.raises(BundleError, match=r"toy-en cannot be downloaded from .*after 600 of"):
        find.find_bundle("toy-en")
    assert not (tmp_path / "cache" / "bundles" / "toy-en.zip").exists()
    assert find.find_bundle("toy-en").read_bytes() == server.files["toy-en.zip"]
    assert server.asked[-1] == ("toy-en.zip", "bytes=600-")


def test_another_file_than_the_registrys_is_refused_and_not_kept(server, tmp_path, capsys):
    server.files["toy-en.zip"] = b"something else"
    assert run_program(["run", "toy-en", TEXT]) == 2
    assert "toy-en cannot be used" in (error := capsys.readouterr().err) and "SHA-256" in error
    assert [path.name for path in (tmp_path / "cache" / "bundles").iterdir()] == [".lock"]


def test_without_a_network_it_says_where_the_file_goes_and_takes_it_from_there(server, zipped, tmp_path):
    server.files.clear()
    with pytest.raises(BundleError) as caught:
        find.find_bundle("toy-en")
    place = tmp_path / "cache" / "bundles" / "toy-en.zip"
    assert str(place) in str(caught.value) and "\n" not in str(caught.value)
    shutil.copy(zipped, place)
    assert find.find_bundle("toy-en") == place


def test_what_lies_at_a_path_wins_over_a_name(server, zipped, tmp_path):
    shutil.copy(zipped, tmp_path / "here" / "toy-en")
    assert find.find_bundle("toy-en") == tmp_path.__class__("toy-en")
    assert keras_attn.load("toy-en").translate(TEXT).text == keras_attn.load(zipped).translate(TEXT).text
    assert not server.asked


def test_a_bundle_of_this_package_needs_no_download(server, zipped, tmp_path, monkeypatch):
    package = tmp_path / "site-packages" / "keras_attn" / "bundles"
    make_bundle(package / "shipped" / "toy-en", "recurrent", byte_pair_tokenizer())
    monkeypatch.setattr(find, "_PACKAGE", package)
    assert find.find_bundle("toy-en") == package / "shipped" / "toy-en"
    assert not server.asked


@pytest.mark.parametrize("name", ["toy-ne", "Toy-En", "toyen"])
def test_a_wrong_name_names_the_nearest(server, name, capsys):
    assert run_program(["run", name, TEXT]) == 2
    assert "did you mean toy-en?" in capsys.readouterr().err
    with pytest.raises(keras_attn.KerasAttnError, match="toy-en"):
        keras_attn.load(name)


def test_a_name_like_none_is_a_path_that_does_not_exist(server, capsys):
    assert run_program(["run", "nothing/like-it", TEXT]) == 2
    assert "nothing/like-it" in (error := capsys.readouterr().err) and "did you mean" not in error
