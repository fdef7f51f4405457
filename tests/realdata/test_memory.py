import pytest

from realdata.comparison import memory


@pytest.fixture
def system(tmp_path, monkeypatch):
    """A system that says nothing of its memory yet."""
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "_GROUP", tmp_path)
    return tmp_path


def test_what_is_free_is_the_less_of_the_machine_and_the_group(system):
    assert memory.available_memory() is None
    (system / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:       3 kB\n")
    assert memory.available_memory() == 3072
    (system / "memory.max").write_text("max\n")
    (system / "memory.current").write_text("1000\n")
    (system / "memory.stat").write_text("anon 3\ninactive_file 20\n")
    assert memory.available_memory() == 3072
    (system / "memory.max").write_text("1500\n")
    assert memory.available_memory() == 520
    (system / "memory.max").write_text("900\n")
    assert memory.available_memory() == 0


def test_a_machine_that_does_not_say_it_is_not_asked_again(system):
    (system / "meminfo").write_text("MemTotal: 9 kB\n")
    assert memory.available_memory() is None
