"""A bundle is replaced while others read it: they find the old one or the new one, and always a whole one."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from test_bundle import description

from keras_attn.device.errors import BundleError
from keras_attn.device.files import bundle as bundle_module
from keras_attn.device.files import folder_swap as folder_swap
from keras_attn.device.files.bundle import MODEL, TOKENIZER, Bundle, write_bundle
from keras_attn.device.files.folder_swap import restore_folder

WRITER = """
import itertools, os, sys
from test_bundle_replaced import write
from keras_attn.device.files import bundle as bundle_module
from keras_attn.device.files import folder_swap
if sys.argv[2] == "renames":
    folder_swap._exchanged = lambda one, other: False
while sys.stdin.readline():  # Each writer is a fork of this process, so that 25 of them begin at once.
    writer = os.fork()
    if not writer:
        for number in itertools.count():
            write(sys.argv[1], f"{os.getpid()}-{number}")
    print(writer, flush=True)
    os.waitpid(writer, 0)
    print("ended", flush=True)
"""


def write(path, name):
    """Write a bundle whose files all say its name."""
    content = name.encode() * 5000
    return write_bundle(
        path, description(created=name), {MODEL: content, TOKENIZER: content, "report.md": content}
    )


def read(path):
    """Read a bundle, and check that all of it is of one name."""
    bundle = Bundle.open(path)
    content = bundle.manifest["created"].encode() * 5000
    model = bundle.model()
    assert bundle.read(TOKENIZER) == bundle.read("report.md") == content
    assert (model if isinstance(model, bytes) else Path(model).read_bytes()) == content
    return bundle.manifest["created"]


class Writers:
    """Writers that replace a bundle again and again, each killed before the next."""

    def __init__(self, path, how):
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([os.path.dirname(__file__), *sys.path])}
        command = [sys.executable, "-c", WRITER, os.fspath(path), how]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, env=environment)

    def __enter__(self):
        self.begin()
        return self

    def begin(self):
        self._process.stdin.write(b"begin\n")
        self._process.stdin.flush()
        self._writer = int(self._process.stdout.readline())

    def kill(self):
        os.kill(self._writer, signal.SIGKILL)
        assert self._process.stdout.readline() == b"ended\n"

    def __exit__(self, *_):
        self.kill()
        self._process.communicate()


@pytest.mark.parametrize("how", ["exchange", "renames"])
@pytest.mark.parametrize("name", ["bundle", "bundle.zip"])
def test_readers_always_find_a_complete_bundle(tmp_path, name, how):
    path = tmp_path / name
    write(path, "first")
    with Writers(path, how), Writers(path, how):
        seen = {read(path) for _ in range(300)}
    assert len(seen) > 3
    write(path, "last")
    assert read(path) == "last"
    assert [each.name for each in tmp_path.iterdir()] == [name]


def test_folder_that_appears_during_lookup_is_found(tmp_path, monkeypatch):
    path, asked = tmp_path / "bundle", []
    write(path, "first")
    is_dir = Path.is_dir
    # The first to ask finds the gap between two renames.
    monkeypatch.setattr(Path, "is_dir", lambda self: (bool(asked) and is_dir(self)) or asked.append(self))
    assert read(path) == "first" and asked
    asked.clear()
    write(path, "second")
    assert read(path) == "second"


@pytest.mark.parametrize("how", ["exchange", "renames"])
def test_killed_writers_leave_a_complete_bundle_without_leftovers(tmp_path, how):
    path, rng = tmp_path / "bundle", random.Random(5)
    write(path, "first")
    with Writers(path, how) as writers:
        for _ in range(25):
            time.sleep(rng.random() * 0.03)
            writers.kill()
            writers.begin()
            read(path)
    write(path, "last")
    assert read(path) == "last"
    assert [each.name for each in tmp_path.iterdir()] == ["bundle"]


@pytest.mark.parametrize("who", ["reader", "writer"])
def test_moved_folder_is_restored(tmp_path, who):
    path = tmp_path / "bundle"
    write(path, "old")
    path.rename(tmp_path / ".bundle.old-12345678")
    if who == "writer":
        with pytest.raises(BundleError, match="lacks 'recipe'"):
            write_bundle(path, description(recipe=None), {MODEL: b"", TOKENIZER: b""})
    assert read(path) == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["bundle"]


def test_open_bundle_survives_replacement(tmp_path):
    path = tmp_path / "bundle"
    write(path, "old")
    bundle = Bundle.open(path)
    write(path, "new")
    model = bundle.model()
    assert (
        not isinstance(model, bytes) and Path(model).read_bytes() == bundle.read(TOKENIZER) == b"old" * 5000
    )


def test_missing_bundle_is_reported_without_waiting(tmp_path):
    assert not restore_folder(tmp_path / "bundle")
    begun = time.monotonic()
    with pytest.raises(BundleError, match="There is no bundle"):
        Bundle.open(tmp_path / "bundle")
    assert time.monotonic() - begun < bundle_module._TIMEOUT


def test_the_system_exchanges_folders_here(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    for each in (one, other):
        each.mkdir()
        (each / each.name).touch()
    if sys.platform == "linux" and folder_swap._exchanged(one, other):
        assert (one / "other").exists() and (other / "one").exists()
