import errno
import os
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from osae_theory.errors import InputError
from osae_theory.files import check_writable, refused_by_system, scratch_folder, write_atomically


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")

    def fails(temporary):
        temporary.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, fails)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_written_files_have_the_usual_permissions(tmp_path):
    ordinary, path = tmp_path / "ordinary", tmp_path / "atomic"
    ordinary.touch()
    write_atomically(path, lambda temporary: temporary.write_text("x"))
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(ordinary.stat().st_mode)


def test_missing_folders_are_made_only_for_a_file_that_is_whole(tmp_path):
    path = tmp_path / "new" / "folder" / "x"
    with pytest.raises(ZeroDivisionError):
        write_atomically(path, lambda temporary: 1 / 0)
    assert list(tmp_path.iterdir()) == []
    write_atomically(path, lambda temporary: temporary.write_text("x"))
    assert path.read_text() == "x"
    assert sorted(tmp_path.rglob("*")) == [tmp_path / "new", tmp_path / "new" / "folder", path]


def test_a_link_is_written_through(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for there in (True, False):
        target, link = elsewhere / f"target-{there}.csv", tmp_path / f"link-{there}.csv"
        if there:
            target.write_text("old")
        link.symlink_to(target)
        write_atomically(link, lambda temporary: temporary.write_text("new"))
        assert link.is_symlink()
        assert target.read_text() == "new"


def test_two_writes_in_one_folder_at_once_leave_both_files(tmp_path):
    outer, inner = tmp_path / "outer", tmp_path / "inner"

    def write(temporary):
        temporary.write_text("outer")
        write_atomically(inner, lambda other: other.write_text("inner"))
        in_a_thread = threading.Thread(
            target=write_atomically,
            args=(tmp_path / "third", lambda path: path.write_text("third")),
        )
        in_a_thread.start()
        in_a_thread.join()

    write_atomically(outer, write)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        name: name for name in ("outer", "inner", "third")
    }


WRITER = """
import signal, sys
from pathlib import Path
from osae_theory.files import write_atomically

def write(path):
    path.write_text("half")
    write_atomically(folder / "nested", wait)

def wait(path):
    path.write_text("half")
    print("writing", flush=True)
    sys.stdin.read()

for name in sys.argv[2:]:
    signal.signal(getattr(signal, name), signal.SIG_DFL)  # nohup has it ignored
folder = Path(sys.argv[1])
write_atomically(folder / "result", write)
"""


@pytest.fixture
def writer(tmp_path):
    """Start processes that are in the middle of writing a file in the folder."""
    started = []

    def start(*signals):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), *signals],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_process_told_to_end_while_it_writes_leaves_nothing(tmp_path, writer, name):
    process = writer(name)
    assert list(tmp_path.iterdir()) != []
    number = getattr(signal, name)
    process.send_signal(number)
    process.wait()
    assert process.returncode == -number
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_what_a_killed_process_leaves_goes_with_the_next_write_and_a_live_ones_stays(
    tmp_path, writer
):
    live = writer()
    of_the_live = set(tmp_path.iterdir())
    dead = writer()
    dead.kill()
    dead.wait()
    assert set(tmp_path.iterdir()) > of_the_live
    write_atomically(tmp_path / "mine", lambda path: path.write_text("x"))
    assert set(tmp_path.iterdir()) == of_the_live | {tmp_path / "mine"}
    live.communicate("")
    assert live.returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "nested", "result"]


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_signals_are_handled_as_before_once_a_file_is_written(tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    with scratch_folder(tmp_path):
        assert (signal.getsignal(signal.SIGTERM) is before) == (before is not signal.SIG_DFL)
    assert signal.getsignal(signal.SIGTERM) is before

    def own(number, frame):
        """Stand for a handler of the user's."""

    try:
        signal.signal(signal.SIGTERM, own)
        with scratch_folder(tmp_path):
            assert signal.getsignal(signal.SIGTERM) is own
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_folder_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").touch()
    for bad in (tmp_path / "file", tmp_path / "file" / "below" / "it"):
        with pytest.raises(InputError, match="is a file"):
            check_writable(bad)
    check_writable(tmp_path / "new" / "folder")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_paths_that_no_folder_can_have_are_refused_in_one_short_sentence(tmp_path):
    (tmp_path / "nowhere").symlink_to("not-there")
    (tmp_path / "loop").symlink_to("loop")
    bad = ("nowhere", "nowhere/x", "loop", "loop/x", "nul\0x", "y" * 300, "new/" + "y" * 300)
    for name in (*bad, "/".join(["y" * 200] * 30)):
        with pytest.raises(InputError) as caught:
            check_writable(tmp_path / name, "--cache")
        assert str(caught.value).startswith("--cache '")
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 400
    assert sorted(path.name for path in tmp_path.iterdir()) == ["loop", "nowhere"]


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no /proc here")
def test_a_folder_in_proc_is_refused():
    with pytest.raises(InputError, match="/proc/x"):
        check_writable(Path("/proc/x"))


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_a_folder_in_which_nothing_can_be_made_is_refused(tmp_path, monkeypatch, number):
    def refuse(**_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(tempfile, "mkdtemp", refuse)
    with pytest.raises(InputError) as caught:
        check_writable(tmp_path / "new")
    assert os.strerror(number) in str(caught.value)


def test_a_folder_where_a_file_is_to_be_is_refused(tmp_path):
    (tmp_path / "table.md").mkdir()
    check_writable(tmp_path, files=["table.csv"])
    with pytest.raises(InputError, match=r"table\.md in it is a folder"):
        check_writable(tmp_path, files=["table.csv", "table.md"])


def test_a_link_to_a_folder_is_a_folder(tmp_path):
    (tmp_path / "target").mkdir()
    (tmp_path / "link").symlink_to("target")
    check_writable(tmp_path / "link" / "new")


def test_a_disk_that_fills_up_under_way_is_one_sentence_and_leaves_nothing(tmp_path):
    def fills(temporary):
        temporary.write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with (
        pytest.raises(InputError, match="No space left on device"),
        refused_by_system(tmp_path, "--cache"),
    ):
        write_atomically(tmp_path / "x", fills)
    assert list(tmp_path.iterdir()) == []
