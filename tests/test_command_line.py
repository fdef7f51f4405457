import argparse

import pytest

from osae_theory.command_line import Parser, number, run
from osae_theory.errors import InputError


def raising(error):
    def job(options):
        raise error

    return job


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (InputError("m = 6: expected at most K = 5"), "m = 6: expected at most K = 5"),
        (MemoryError("no room for 3 GiB"), "not enough memory: no room for 3 GiB"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_code_2(error, line, capsys):
    with pytest.raises(SystemExit) as stopped:
        run(Parser("tool", "A tool."), raising(error), [])
    assert stopped.value.code == 2
    assert capsys.readouterr().err == f"python -m tool: error: {line}\n"


def test_an_interrupted_job_says_how_it_goes_on(capsys):
    assert run(Parser("tool", "A tool."), raising(KeyboardInterrupt()), []) == 130
    assert "goes on with the runs it has finished" in capsys.readouterr().err


def test_a_reader_that_went_away_is_no_error(monkeypatch, capsys):
    turned = []
    monkeypatch.setattr("os.dup2", lambda source, target: turned.append(target))
    monkeypatch.setattr("sys.stdout.fileno", lambda: 1, raising=False)
    assert run(Parser("tool", "A tool."), raising(BrokenPipeError()), []) == 0
    assert turned == [1]
    assert capsys.readouterr().err == ""


def test_a_job_that_is_done_ends_with_code_0():
    seen = []
    assert run(Parser("tool", "A tool."), seen.append, []) == 0
    assert len(seen) == 1


def test_an_error_of_the_program_itself_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        run(Parser("tool", "A tool."), raising(ZeroDivisionError()), [])


def test_numbers_on_a_command_line_are_finite():
    assert number("1e-3") == 0.001
    with pytest.raises(argparse.ArgumentTypeError, match="'inf'"):
        number("inf")
