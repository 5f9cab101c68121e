"""Writing: whole or not there, one winner, nothing left; a name that cannot be written is refused before the work."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from bayeslr.errors import BayeslrError
from bayeslr.files import open_text, require_place, write_atomically


def listing(folder):
    return sorted(path.name for path in folder.iterdir())


def test_of_many_writers_of_one_name_one_wins(tmp_path):
    path, start, told = tmp_path / "p.nc", threading.Barrier(8), []

    def write(target, k):
        start.wait()
        target.write_bytes(bytes([k]) * 1000)

    def save(k):
        try:
            write_atomically(path, lambda target: write(target, k), force=False)
        except BayeslrError as error:
            told.append(str(error))

    threads = [threading.Thread(target=save, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told) == 7
    assert all("the file exists" in text for text in told)
    assert len(set(path.read_bytes())) == 1
    assert listing(tmp_path) == ["p.nc"]


def test_one_wins_where_the_file_system_has_no_hard_links(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", refuse)
    write_atomically(tmp_path / "a", lambda target: target.write_text("first"), force=False)

    def late(target):
        target.write_text("second")
        (tmp_path / "b").write_text("of somebody else")

    with pytest.raises(BayeslrError, match="the file exists"):
        write_atomically(tmp_path / "b", late, force=False)
    assert (tmp_path / "a").read_text() == "first"
    assert (tmp_path / "b").read_text() == "of somebody else"
    assert listing(tmp_path) == ["a", "b"]


KILLED = """
    import sys, time
    from pathlib import Path
    from bayeslr.files import write_atomically
    def write(target):
        target.write_text("half")
        print("writing", flush=True)
        time.sleep(60)
    write_atomically(Path(sys.argv[1]), write, force=False)
"""


def test_what_a_killed_process_left_is_swept_but_not_what_is_in_use(tmp_path):
    command = [sys.executable, "-c", textwrap.dedent(KILLED), str(tmp_path / "p.nc")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "writing\n"
        write_atomically(tmp_path / "other", lambda target: target.write_text("1"), force=False)
        (in_use,) = (name for name in listing(tmp_path) if name != "other")
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert listing(tmp_path) == sorted(["other", in_use])
    write_atomically(tmp_path / "next", lambda target: target.write_text("1"), force=False)
    assert listing(tmp_path) == ["next", "other"]


def test_only_names_of_the_kind_made_here_are_swept(tmp_path):
    own = [
        ".bayeslr-notes.txt",
        ".bayeslr-0123456789abcdef.nc",
        ".bayeslr-0123456789ab.tar.gz",
        ".bayeslr-XYZ123456789.nc",
    ]
    left = [".bayeslr-0123456789ab.nc", ".bayeslr-0123456789ab"]
    for name in (*own, *left):
        (tmp_path / name).write_text("mine")
    write_atomically(tmp_path / "next", lambda target: target.write_text("1"), force=False)
    assert listing(tmp_path) == sorted([*own, "next"])


def test_a_full_disk_names_the_file_and_leaves_nothing(tmp_path):
    def full(target):
        target.write_bytes(b"half")
        raise OSError(28, "No space left on device", str(target))

    with pytest.raises(OSError, match=r"No space left on device: '[^']*/p\.nc'$"):
        write_atomically(tmp_path / "p.nc", full, force=False)
    assert listing(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("x" * 300, "File name too long"),
        ("here/p.nc", "does not exist"),
        ("a\0b", "no name of a file"),
        ("dangling", "the file exists"),
        ("folder", "found a folder"),
    ],
)
def test_a_name_that_cannot_be_written_is_refused(tmp_path, name, says):
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "folder").mkdir()
    with pytest.raises(BayeslrError, match=says):
        require_place(tmp_path / name, force=False)
    assert listing(tmp_path) == ["dangling", "folder"]


def test_a_folder_that_cannot_be_written_to_is_noticed_before_the_work(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(BayeslrError, match="Read-only file system"):
        require_place(tmp_path / "p.nc", force=False)


def test_only_ordinary_files_of_a_reasonable_size_are_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(10**12)
    for path, says in (
        (tmp_path / "pipe", "not an ordinary file"),
        ("/dev/zero", "not an ordinary file"),
        (tmp_path / "huge", "1000000000000 bytes where 100000000 are allowed"),
        (tmp_path, "a directory"),
        ("a\0b", "no name of a file"),
    ):
        with pytest.raises(OSError, match=says):
            open_text(Path(path))
    (tmp_path / "text").write_bytes(b"\xef\xbb\xbfstep\r\n1")
    with open_text(tmp_path / "text") as file:
        assert file.read() == "step\r\n1"
