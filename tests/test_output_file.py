"""How files are written: whole or not at all, through links, into devices, past killed writers."""

import os
import subprocess
import sys
import threading

import pytest

from keras_attn.device.output_file import replaced, write_bytes, write_text


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


def test_a_device_stays_a_device():
    write_text("/dev/null", "text")
    assert not os.path.isfile("/dev/null") and os.stat("/dev/null").st_rdev


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


def test_the_parts_of_killed_writers_are_removed_and_those_of_living_ones_stay(tmp_path):
    path = tmp_path / "a[b]*.txt"
    script = (
        "import os, sys\n"
        "from keras_attn.device.output_file import replaced\n"
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
