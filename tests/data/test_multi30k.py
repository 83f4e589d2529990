"""Downloading Multi30k, against a small server on this machine that resumes, breaks off and lies."""

import errno
import gzip
import hashlib
import re

import pytest
from download_server import Server
from interrupted_downloads import interrupt, start

from keras_attn import downloads
from keras_attn.data.corpora import multi30k
from keras_attn.data.corpora.by_name import load_corpus
from keras_attn.data.errors import DataError

LINES = {"train": 50, "val": 5, "test_2016_flickr": 4}


@pytest.fixture
def server(monkeypatch):
    server = Server()
    for stem, count in LINES.items():
        for language in multi30k.LANGUAGES:
            text = "".join(f"{language} {stem} {i}\n" for i in range(count))
            server.files[f"{stem}.{language}.gz"] = gzip.compress(text.encode(), mtime=0)
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in server.files.items()}
    monkeypatch.setattr(multi30k, "SHA256", hashes)
    yield server
    server.close()


def load(server, cache, *languages, **more):
    return multi30k.load_multi30k(*(languages or ("en", "de")), cache=cache, base_url=server.url, **more)


def test_three_splits_and_then_the_cache(server, tmp_path):
    corpus = load(server, tmp_path)
    assert [len(corpus.train), len(corpus.validation), len(corpus.test)] == [50, 5, 4]
    assert corpus.train[3] == ("en train 3", "de train 3")
    assert (corpus.source_language, corpus.target_language, corpus.name) == ("en", "de", "multi30k:en-de")
    assert len(server.asked) == 6
    assert load(server, tmp_path, "de", "en").test[0] == ("de test_2016_flickr 0", "en test_2016_flickr 0")
    assert len(server.asked) == 6  # all from the cache
    assert load(server, tmp_path, "en", "fr").train[0] == ("en train 0", "fr train 0")
    assert len(server.asked) == 9
    assert not list(tmp_path.glob("*.part"))


def test_a_broken_connection_is_resumed(server, tmp_path):
    server.cut["train.en.gz"] = [40, 30]
    seen = []
    load(server, tmp_path, progress=lambda *call: seen.append(call))
    assert [wanted for name, wanted in server.asked if name == "train.en.gz"] == [
        None,
        "bytes=40-",
        "bytes=70-",
    ]
    size = len(server.files["train.en.gz"])
    assert [call for call in seen if call[0] == "train.en.gz"] == [
        ("train.en.gz", 40, size),
        ("train.en.gz", 70, size),
        ("train.en.gz", size, size),
    ]


def test_later_call_resumes_a_failed_download(server, tmp_path):
    server.cut["train.en.gz"] = [10, 10, 10]
    with pytest.raises(DataError, match=r"after 30 of .* resume"):
        load(server, tmp_path)
    assert (tmp_path / "train.en.gz.part").stat().st_size == 30
    assert not (tmp_path / "train.en.gz").exists()
    assert len(load(server, tmp_path).train) == 50
    assert ("train.en.gz", "bytes=30-") in server.asked


def test_a_server_without_ranges_starts_again(server, tmp_path):
    server.ranges = False
    server.cut["val.de.gz"] = [12]
    assert len(load(server, tmp_path).validation) == 5


def test_a_complete_part_is_taken(server, tmp_path):
    (tmp_path / "val.en.gz.part").write_bytes(server.files["val.en.gz"])
    assert len(load(server, tmp_path).validation) == 5
    assert not (tmp_path / "val.en.gz.part").exists()


@pytest.mark.parametrize("extra", [b"", b"x" * 5000])
def test_foreign_partial_download_is_discarded(server, tmp_path, extra):
    (tmp_path / "val.en.gz.part").write_bytes(b"not the beginning" + extra)
    assert len(load(server, tmp_path).validation) == 5


def test_damaged_cached_file_is_downloaded_again(server, tmp_path):
    load(server, tmp_path)
    (tmp_path / "val.en.gz").write_bytes(b"damaged")
    assert len(load(server, tmp_path).validation) == 5
    assert [name for name, _ in server.asked[6:]] == ["val.en.gz"]


def test_another_file_than_the_published_one_is_refused(server, tmp_path):
    server.files["val.en.gz"] = gzip.compress(b"something else\n")
    with pytest.raises(DataError, match=r"val\.en\.gz has the SHA-256 .* is expected"):
        load(server, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "train.de.gz", "train.en.gz"]


@pytest.mark.parametrize("fault", ["no server", "404"])
def test_without_a_network_it_says_where_files_go(server, tmp_path, fault):
    base_url = server.url
    if fault == "404":
        server.files.clear()
    else:
        free = Server()
        base_url = free.url
        free.close()
    with pytest.raises(DataError) as caught:
        multi30k.load_multi30k("en", "fr", cache=tmp_path / "cache", base_url=base_url)
    message = str(caught.value)
    for part in (
        str(tmp_path / "cache"),
        "train.en.gz",
        "val.fr.gz",
        "test_2016_flickr.fr.gz",
        "--train PREFIX",
    ):
        assert part in message
    assert "\n" not in message


def test_by_name_with_the_cache_of_the_environment(server, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_ATTN_CACHE", str(tmp_path))
    load(server, tmp_path / "multi30k", "fr", "de")
    assert load_corpus("multi30k:fr-de").train[0] == ("fr train 0", "de train 0")


def test_cache_folder_of_the_platform(tmp_path, monkeypatch):
    monkeypatch.delenv("KERAS_ATTN_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(downloads.sys, "platform", "linux")
    assert downloads.cache_folder("multi30k") == tmp_path / "keras_attn" / "multi30k"


@pytest.mark.parametrize("name", ["multi30k:en-en", "multi30k:en-cs", "multi30k:xx-yy"])
def test_unknown_languages_list_the_known_ones(name):
    with pytest.raises(DataError, match="en, de, fr"):
        load_corpus(name)


def test_every_file_has_its_pinned_hash():
    names = {f"{stem}.{language}.gz" for stem in multi30k.SPLITS.values() for language in multi30k.LANGUAGES}
    assert set(multi30k.SHA256) == names
    assert len({re.fullmatch("[0-9a-f]{64}", value)[0] for value in multi30k.SHA256.values()}) == 9


@pytest.fixture
def slow_file(server):
    """A file of which the server sends some kilobytes at a time."""
    server.files["big.gz"], server.pause = bytes(range(256)) * 8000, 0.005
    return server.files["big.gz"]


def test_processes_that_want_one_file_download_it_once(server, slow_file, tmp_path):
    processes = [start(server, slow_file, tmp_path) for _ in range(4)]
    assert [process.wait(120) for process in processes] == [0] * 4
    assert [name for name, _ in server.asked] == ["big.gz"]
    assert (tmp_path / "big.gz").read_bytes() == slow_file
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "big.gz"]


def test_killed_downloads_are_resumed_without_leftovers(server, slow_file, tmp_path):
    figures = interrupt(server, slow_file, tmp_path, kills=2)
    assert figures == {"killed": 2, "right": True, "left": []}
    assert [wanted for _, wanted in server.asked].count(None) == 1  # all but the first continued


def test_full_disk_is_not_reported_as_a_network_error(server, tmp_path, monkeypatch):
    def full(out, chunk):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(downloads, "_write_all", full)
    with pytest.raises(DataError, match=r"train\.en\.gz\.part cannot be written: No space left on device"):
        load(server, tmp_path)
    assert len(server.asked) == 1  # no other attempt would help
    monkeypatch.undo()
