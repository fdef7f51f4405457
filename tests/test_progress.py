import pytest

from osae_theory.progress import Bars, Step


def test_a_bar_shows_what_is_under_way_and_is_gone_when_it_is_over(capsys):
    with Bars() as bars:
        bars(Step("one with two", 0, 4, "candidates"))
        bars(Step("one with two", 3, 4, "assignment"))
        assert "assignment" in capsys.readouterr().err
        bars(Step("one with two", 4, 4, "assignment"))
        bars(Step("chance", 0, 2))
    out, said = capsys.readouterr()
    assert out == ""
    assert "chance:   0%" in said
    assert said.endswith("\r")
    assert "\n" not in said


def test_a_bar_is_closed_by_an_error(capsys):
    def interrupted():
        with Bars() as bars:
            bars(Step("long", 1, 9))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert capsys.readouterr().err.endswith("\r")


def test_work_of_another_name_takes_the_bars_place(capsys):
    with Bars() as bars:
        bars(Step("first", 0, 2, "draws"))
        bars(Step("second", 1, 2))
        said = capsys.readouterr().err
    assert said.index("first:") < said.index("second:")
    assert "draws" in said
