"""How files are written: whole or not at all, through links, into devices, past killed writers."""

import os
import stat
import subprocess
import sys
import tempfile
import threading

import pytest

from keras_attn.device.files.atomic_write import (
    check_file,
    replaced,
    replaced_folder,
    scratch_folder,
    write_bytes,
    write_text,
)


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "out.txt"
    write_text(path, "one\r\ntwo\n")
    assert path.read_bytes() == b"one\r\ntwo\n"
    with pytest.raises(RuntimeError), replaced(path) as aside:
        aside.write_text("half")
        raise RuntimeError
    assert path.read_bytes() == b"one\r\ntwo\n"
    assert [each.name for each in tmp_path.iterdir()] == ["out.txt"]


def test_the_part_keeps_the_ending_and_the_file_its_mode(tmp_path):
    path = tmp_path / "picture.png"
    write_bytes(path, b"old")
    path.chmod(0o600)
    with replaced(path) as aside:
        assert aside.suffix == ".png" and aside.parent == tmp_path
        aside.write_bytes(b"new")
    assert path.read_bytes() == b"new" and path.stat().st_mode & 0o777 == 0o600


def test_a_new_file_has_the_mode_that_the_umask_gives(tmp_path):
    before = os.umask(0o027)
    try:
        write_bytes(tmp_path / "out", b"")
    finally:
        os.umask(before)
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o640


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "link.txt"
    link.symlink_to(tmp_path / "elsewhere" / "real.txt")
    write_text(link, "text")
    assert link.is_symlink() and (tmp_path / "elsewhere" / "real.txt").read_text() == "text"


def test_a_device_stays_a_device(tmp_path):
    device = tmp_path / "null"  # one of the test's own: a failing test must not take the system's
    try:
        os.mknod(device, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    except OSError as error:
        pytest.skip(f"no device can be made here: {error}")
    write_text(device, "text")
    assert device.is_char_device() and [each.name for each in tmp_path.iterdir()] == ["null"]


def test_a_fifo_is_written_to(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    read = []
    reader = threading.Thread(target=lambda: read.append(fifo.read_text()))
    reader.start()
    write_text(fifo, "text")
    reader.join(10)
    assert read == ["text"] and fifo.is_fifo()


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(IsADirectoryError):
        write_text(tmp_path, "text")


def test_parts_of_killed_writers_are_removed(tmp_path):
    path = tmp_path / "a[b]*.txt"
    script = (
        "import os, sys\n"
        "from keras_attn.device.files.atomic_write import replaced\n"
        "with replaced(sys.argv[1]) as aside:\n"
        "    aside.write_text('half')\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    assert killed.returncode == -9 and len(list(tmp_path.iterdir())) == 1
    with replaced(path) as mine:
        write_text(path, "another's")
        mine.write_text("mine")
    assert [each.name for each in tmp_path.iterdir()] == [path.name] and path.read_text() == "mine"


def test_descriptor_is_written_at_its_position(tmp_path):
    program = (
        "import os; from keras_attn.device.files.atomic_write import write_text\n"
        "os.write(1, b'before ')\n"
        "write_text('/dev/stdout', 'text')\n"
        "os.write(1, b' after')\n"
    )
    with (tmp_path / "out").open("wb") as out:
        subprocess.run([sys.executable, "-c", program], stdout=out, check=True)
    assert (tmp_path / "out").read_text() == "before text after"
    assert [each.name for each in tmp_path.iterdir()] == ["out"]


def test_errors_name_the_file_that_was_to_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError) as raised:
        write_text(tmp_path / "file" / "deeper" / "out.txt", "text")
    assert raised.value.filename == str(tmp_path / "file")
    with pytest.raises(OSError, match="No space left") as raised, replaced(tmp_path / "out.txt") as aside:
        with open("/dev/full", "w") as full:  # an error of writing, which has no name
            full.write("text")
        aside.write_text("never written")
    assert raised.value.filename == str(tmp_path / "out.txt")
    with pytest.raises(OSError) as raised:
        write_text(tmp_path / ("x" * 250), "text")  # the name of its part is too long
    assert raised.value.filename == str(tmp_path / ("x" * 250))
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_unwritable_output_is_detected_early(tmp_path):
    check_file(tmp_path / "new" / "folder" / "out.txt")
    check_file("/dev/null")
    with pytest.raises(IsADirectoryError):
        check_file(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError):
        check_file(tmp_path / "file" / "out.txt")
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_unwritable_folder_is_detected_early(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError):
        check_file(tmp_path / "out.txt")


def test_a_folder_is_replaced_whole(tmp_path):
    path, link = tmp_path / "site", tmp_path / "link"
    link.symlink_to(path)
    for content in ("one", "two"):
        with replaced_folder(link) as aside:
            (aside / f"{content}.txt").write_text(content)
            assert not (path / f"{content}.txt").exists()
        assert [each.name for each in path.iterdir()] == [f"{content}.txt"]
    with pytest.raises(RuntimeError), replaced_folder(path) as aside:
        (aside / "three.txt").write_text("half")
        raise RuntimeError
    assert [each.name for each in path.iterdir()] == ["two.txt"] and link.is_symlink()
    assert {each.name for each in tmp_path.iterdir()} == {"site", "link"}
    with pytest.raises(NotADirectoryError), replaced_folder(path / "two.txt"):
        pass


def test_scratch_folders_of_killed_processes_are_removed(monkeypatch, tmp_path):
    program = (
        "import os; from keras_attn.device.files.atomic_write import scratch_folder\n"
        "with scratch_folder('scratch') as folder:\n"
        "    (folder / 'large').write_text('half')\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    assert subprocess.run([sys.executable, "-c", program], env=environment, check=False).returncode == -9
    assert len(list(tmp_path.iterdir())) == 1
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with scratch_folder("scratch") as mine, scratch_folder("scratch") as other:
        assert {*tmp_path.iterdir()} == {mine, other} and mine.stat().st_mode & 0o777 == 0o700
    assert not list(tmp_path.iterdir())
