import io
import math

import pytest

from osae_theory.errors import InputError
from osae_theory.uniqueness import work
from osae_theory.uniqueness.work import check_work, counted, progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_work_beyond_its_bound_is_refused_with_its_amount_and_the_ways_out():
    check_work(5, "subsets", "max_subsets", 5)
    with pytest.raises(InputError, match=r"^6 subsets: expected at most 5; raise max_subsets$"):
        check_work(6, "subsets", "max_subsets", 5)
    with pytest.raises(InputError, match="at most 5; use spark_mip, or raise max_subsets"):
        check_work(6, "subsets", "max_subsets", 5, "use spark_mip")


@pytest.mark.parametrize("bound", [0, -1, True])
def test_a_bound_is_a_whole_number_above_0(bound):
    with pytest.raises(InputError, match=r"max_subsets = .*: expected a whole number"):
        check_work(1, "subsets", "max_subsets", bound)


def test_long_counts_are_said_by_their_power_of_ten_however_long_they_are():
    assert counted(10**12) == "1000000000000"
    assert counted(25 * 10**12) == "about 10^13"
    assert counted(math.comb(20_000, 10_000)) == "about 10^6018"


def test_every_item_comes_once_and_a_short_loop_writes_nothing(monkeypatch, capsys):
    assert list(progress(iter(range(5)), 5, "items")) == [0, 1, 2, 3, 4]
    terminal = Terminal()
    monkeypatch.setattr(work.sys, "stderr", terminal)
    assert list(progress(range(3), None, "items")) == [0, 1, 2]
    assert (capsys.readouterr().err, terminal.getvalue()) == ("", "")


def test_a_long_loop_shows_a_bar_on_a_terminal_and_nowhere_else(monkeypatch, capsys):
    monkeypatch.setattr(work, "_SECONDS_WITHOUT_A_BAR", 0.0)
    list(progress(range(3), 3, "programs"))
    assert capsys.readouterr().err == ""
    terminal = Terminal()
    monkeypatch.setattr(work.sys, "stderr", terminal)
    list(progress(range(3), 3, "programs"))
    assert "programs" in terminal.getvalue()
