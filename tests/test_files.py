import stat

import pytest

from osae_theory.errors import InputError
from osae_theory.files import check_writable, write_atomically


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


def test_a_folder_below_a_file_or_without_permission_is_refused(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    for bad in (tmp_path / "file", tmp_path / "file" / "below" / "it"):
        with pytest.raises(InputError, match="is a file"):
            check_writable(bad)
    check_writable(tmp_path / "new" / "folder")
    assert not (tmp_path / "new").exists()
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(InputError, match="can be written to"):
        check_writable(tmp_path / "new")
