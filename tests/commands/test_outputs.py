"""Writers of files keep links, devices and FIFOs, and refuse in one line what cannot be written."""

import json
import os
import stat
import threading
from types import SimpleNamespace

import numpy as np
import pytest

from keras_attn import cli
from keras_attn.device.proof.decoder_proof import Proof
from keras_attn.evaluation import api
from keras_attn.loading import Opened


def write_picture(path):
    from keras_attn.pictures import position_encoding

    position_encoding(np.eye(4, dtype=np.float32), path)


def write_page(path):
    from keras_attn.pictures import Page

    Page("title", "body").write(path)


def write_proof(path):
    scores = np.zeros((1, 2, 2), np.float32)
    ids, lengths = np.ones((1, 2), np.int32), np.full(1, 2, np.int32)
    Proof(ids, lengths, ids, lengths, scores.astype(np.int32), scores).save(path)


def write_program(path):
    from keras_attn_export.single_file import write_single_file

    write_single_file(path)


WRITERS = {
    "picture.png": write_picture,
    "page.html": write_page,
    "proof.npz": write_proof,
    "program.pyz": write_program,
}


@pytest.fixture
def device(tmp_path):
    """A null device of the test's own: a failing test must not take the system's."""
    path = tmp_path / "devices" / "null"
    path.parent.mkdir()
    try:
        os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        path.write_bytes(b"")
    except OSError as error:
        pytest.skip(f"no device can be made here: {error}")
    return path


@pytest.mark.parametrize("name", WRITERS)
def test_links_devices_and_fifos_stay_what_they_are(tmp_path, device, name):
    write, path = WRITERS[name], tmp_path / name
    write(path)
    expected = path.read_bytes()
    link = tmp_path / f"link-{name}"
    link.symlink_to(tmp_path / "elsewhere" / name)
    write(link)
    assert link.is_symlink() and link.read_bytes() == expected
    null = tmp_path / f"null-{name}"
    null.symlink_to(device)
    write(null)
    assert null.is_symlink() and device.is_char_device()
    fifo, read = tmp_path / f"fifo-{name}", []
    os.mkfifo(fifo)
    reader = threading.Thread(target=lambda: read.append(fifo.read_bytes()), daemon=True)
    reader.start()
    write(fifo)
    reader.join(20)
    assert read == [expected] and fifo.is_fifo()
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {name, "devices", "elsewhere", *(f"{kind}-{name}" for kind in ("link", "null", "fifo"))}


class Capitals:
    """A translator that turns texts into capitals."""

    def fits(self, text):
        return True

    def translate(self, texts, **options):
        return [SimpleNamespace(text=text.upper()) for text in texts]


@pytest.fixture
def translator(monkeypatch):
    """Lets `evaluate` translate with a stand-in."""
    manifest = {"task": "translation", "languages": {"source": "en", "target": "de"}}
    opened = Opened(Capitals(), manifest)
    monkeypatch.setattr(api, "open_any", lambda *arguments, **options: opened)
    return opened.task


@pytest.fixture
def prefix(tmp_path):
    for language, text in (("en", "one\ntwo\n"), ("de", "ONE\nZWEI\n")):
        (tmp_path / f"test.{language}").write_text(text)
    return tmp_path / "test"


def run_evaluate(prefix, output, *more):
    return cli.run_program(["evaluate", "bundle", "--test", str(prefix), "--output", str(output), *more])


def test_evaluate_writes_into_a_device_and_through_a_link(translator, prefix, device, tmp_path):
    assert run_evaluate(prefix, device) == 0
    assert device.is_char_device()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "new" / "real.txt")
    assert run_evaluate(prefix, link) == 0
    assert link.is_symlink() and link.read_text() == "ONE\nTWO\n"


def test_evaluate_writes_to_standard_output(translator, prefix, capsys):
    assert run_evaluate(prefix, "-") == 0
    streams = capsys.readouterr()
    assert streams.out == "ONE\nTWO\n" and "BLEU" in streams.err
    assert run_evaluate(prefix, "-", "--json") == 2
    assert "leave out one of them" in capsys.readouterr().err


@pytest.mark.parametrize("output", ["test.en", "test.de", "link", "folder", "test.en/out.txt"])
def test_outputs_that_cannot_be_written_are_refused_before_the_work(
    translator, prefix, tmp_path, output, monkeypatch, capsys
):
    (tmp_path / "link").symlink_to(tmp_path / "test.en")
    (tmp_path / "folder").mkdir()
    monkeypatch.setattr(translator, "translate", lambda *arguments, **options: pytest.fail("too late"))
    before = (tmp_path / "test.en").read_text()
    assert run_evaluate(prefix, tmp_path / output) == 2
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1 and shown.startswith("keras-attn: ") and output.split("/")[0] in shown
    assert (tmp_path / "test.en").read_text() == before


def test_the_files_of_a_run_are_not_overwritten(tmp_path, capsys):
    (tmp_path / "run.json").write_text(json.dumps({"task": "translation"}))
    arguments = ["plan", str(tmp_path), "--topology", "v5e:2x2", "--output", str(tmp_path / "run.json")]
    assert cli.run_program(arguments) == 2
    assert "would overwrite what is read from" in capsys.readouterr().err
    assert json.loads((tmp_path / "run.json").read_text()) == {"task": "translation"}


@pytest.mark.parametrize("output", ["-", "."])
def test_a_picture_needs_a_file(output, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.run_program(["plan", "bert-base", "--topology", "v5e:4x4", "--output", output]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "bundle",
    ["run", "run/run.json", "run/run.json/bundle", "folder.zip", "run/run.json/b.zip", "mine", "mine.zip"],
)
def test_an_export_that_cannot_be_written_is_refused_before_the_work(bundle, tmp_path, monkeypatch, capsys):
    from keras_attn.commands import export

    (tmp_path / "run").mkdir()
    (tmp_path / "folder.zip").mkdir()
    (tmp_path / "mine").mkdir()
    for name in ("run/run.json", "mine/manifest.json", "mine.zip"):  # no bundles
        (tmp_path / name).write_text("{}")
    monkeypatch.setattr(export, "export_run", lambda *arguments, **options: pytest.fail("too late"))
    assert cli.run_program(["export", str(tmp_path / "run"), str(tmp_path / bundle)]) == 2
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1 and shown.startswith("keras-attn: ")
    assert (tmp_path / "run" / "run.json").read_text() == "{}"
