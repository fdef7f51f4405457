import argparse
import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch

import osae_theory
from osae_theory.command_line import Parser, commands_in, listing, number, run, whole_number
from osae_theory.errors import InputError, JobError


def raising(error):
    def job(options):
        raise error

    return job


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (InputError("m = 6: expected at most K = 5"), "m = 6: expected at most K = 5"),
        (MemoryError("no room for 3 GiB"), "not enough memory: no room for 3 GiB"),
        (
            torch.cuda.OutOfMemoryError("CUDA out of memory.\nTried to allocate 2 GiB"),
            "not enough memory: CUDA out of memory. Tried to allocate 2 GiB",
        ),
    ],
)
def test_what_cannot_be_done_is_one_line_and_code_2(error, line, capsys):
    with pytest.raises(SystemExit) as stopped:
        run(Parser("tool", "A tool."), raising(error), [])
    assert stopped.value.code == 2
    assert capsys.readouterr().err == f"python -m tool: error: {line}\n"


def test_a_failure_that_nobody_foresaw_keeps_its_traceback():
    with pytest.raises(RuntimeError, match="illegal address"):
        run(Parser("tool", "A tool."), raising(RuntimeError("illegal address")), [])


def test_an_interrupted_job_says_how_it_goes_on_where_it_does(capsys):
    for resumes in (True, False):
        parser = Parser("tool", "A tool.", resumes=resumes)
        assert run(parser, raising(KeyboardInterrupt()), []) == 130
        error = capsys.readouterr().err
        assert error.startswith("python -m tool: interrupted")
        assert ("goes on with the runs it has finished" in error) == resumes


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (JobError("a worker was killed"), "a worker was killed"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (FileNotFoundError(2, "No such file", "out/x"), "'out/x': No such file"),
        (ModuleNotFoundError("No", name="tqdm"), "'tqdm' is not installed for"),
    ],
)
def test_what_the_machine_refuses_is_one_line_and_code_1(error, line, capsys):
    with pytest.raises(SystemExit) as stopped:
        run(Parser("tool", "A tool."), raising(error), [])
    assert stopped.value.code == 1
    printed = capsys.readouterr().err
    assert printed.startswith(f"python -m tool: error: {line}")
    assert printed.count("\n") == 1


def test_a_job_that_is_done_ends_with_code_0():
    seen = []
    assert run(Parser("tool", "A tool."), seen.append, []) == 0
    assert len(seen) == 1


def test_an_error_of_the_program_itself_is_not_hidden():
    for error in (ZeroDivisionError(), OSError("a library's own, without a number")):
        with pytest.raises(type(error)):
            run(Parser("tool", "A tool."), raising(error), [])


def test_numbers_on_a_command_line_are_finite():
    assert number("1e-3") == 0.001
    with pytest.raises(argparse.ArgumentTypeError, match="'inf'"):
        number("inf")


@pytest.mark.parametrize("text", ["0", "-5", "+7", " 12 ", "9223372036854775807"])
def test_whole_numbers_are_read(text):
    assert whole_number(text) == int(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("9223372036854775808", "expected a whole number of at most 9223372036854775807"),
        ("9" * 10_000, "expected a whole number of at most"),
        ("1_0", "invalid int value: '1_0'"),
        ("１２", "invalid int value"),
        ("1e3", "invalid int value: '1e3'"),
        ("", "invalid int value: ''"),
    ],
)
def test_other_whole_numbers_are_refused_by_every_option_of_that_type(text, said, capsys):
    parser = Parser("tool", "A tool.")
    parser.add_argument("--n", type=int)
    with pytest.raises(SystemExit) as stopped:
        run(parser, raising(AssertionError()), ["--n", text])
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert said in error
    assert "--n" in error
    assert len(error) < 400


def test_a_long_message_is_shortened_in_its_middle(capsys):
    with pytest.raises(SystemExit):
        run(Parser("tool", "A tool."), raising(InputError(f"begins {'x' * 10**6} ends")), [])
    error = capsys.readouterr().err
    assert "begins" in error
    assert error.endswith("ends\n")
    assert len(error) < 1000


def test_a_warning_for_users_is_one_line(capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        shown = warnings.showwarning
        # Under pytest warnings are collected; on a command line they are printed.
        text = []
        run(
            Parser("tool", "A tool."),
            lambda _: text.append(warnings.formatwarning("slow", RuntimeWarning, "f.py", 1)),
            [],
        )
        assert warnings.showwarning is shown
    assert text == ["python -m tool: warning: slow\n"]


def test_the_commands_of_a_folder_are_read_from_their_first_sentence(tmp_path):
    (tmp_path / "go.py").write_text('"""`python -m pack.go`: goes,\nand stops.\n\nMore."""')
    (tmp_path / "other.py").write_text('"""No command."""')
    assert commands_in(tmp_path) == {"python -m pack.go": "goes, and stops."}
    assert listing({"a": "one", "long": "two"}) == "a     one\nlong  two"


# As processes: what a stream does is only seen from outside.
TOOL = """
import sys
from pathlib import Path
from osae_theory.command_line import Parser, run
def job(options):
    Path("written").write_text("whole")
    for _ in range(options.lines):
        print("0.9 ± 0.1 – α ≥ 中")
parser = Parser("tool", "A tool.")
parser.add_argument("--lines", type=int, default=1)
sys.exit(run(parser, job, sys.argv[1:]))
"""


def tool(tmp_path, redirections, *options, **environment):
    """Run the tool in a shell; return its exit code, output and errors."""
    (tmp_path / "tool.py").write_text(TOOL)
    root = Path(osae_theory.__file__).parents[1]
    done = subprocess.run(
        ["bash", "-c", f'"{sys.executable}" tool.py {" ".join(options)} {redirections}'],
        cwd=tmp_path,
        env={k: v for k, v in os.environ.items() if not k.startswith(("LC_", "LANG", "PYTHON"))}
        | {"PYTHONPATH": str(root), "LC_ALL": "C.UTF-8"}
        | environment,
        capture_output=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr.decode()


@pytest.mark.parametrize(
    ("environment", "printed"),
    [
        ({}, "0.9 ± 0.1 – α ≥ 中\n".encode()),
        ({"PYTHONIOENCODING": "ascii"}, b"0.9 +- 0.1 - alpha >= \\u4e2d\n"),
        ({"PYTHONIOENCODING": "latin-1"}, b"0.9 \xb1 0.1 - alpha >= \\u4e2d\n"),
        (
            {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
            b"0.9 +- 0.1 - alpha >= \\u4e2d\n",
        ),
        ({"PYTHONIOENCODING": "ascii:replace"}, b"0.9 ? 0.1 ? ? ? ?\n"),
    ],
)
def test_letters_that_an_output_lacks_are_spelled(environment, printed, tmp_path):
    assert tool(tmp_path, "", **environment) == (0, printed, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("lines", ["1", "5000"])
def test_a_full_output_is_one_line_and_code_1(lines, tmp_path):
    code, _, error = tool(tmp_path, "> /dev/full", "--lines", lines)
    assert (code, error.count("\n")) == (1, 1)
    assert "No space left on device" in error
    assert (tmp_path / "written").read_text() == "whole"


def test_a_closed_output_is_one_line_and_code_1(tmp_path):
    code, _, error = tool(tmp_path, ">&-")
    assert (code, error.count("\n")) == (1, 1)
    assert "standard output is closed" in error


def test_without_standard_error_the_work_is_done_and_bad_input_refused(tmp_path):
    assert tool(tmp_path, "2>&-")[0] == 0
    assert tool(tmp_path, "2>&-", "--lines", "x")[0] == 2


@pytest.mark.parametrize("options", [["--lines", "5000"], ["--lines", "1"], ["--help"]])
def test_a_reader_that_went_away_is_no_success_and_no_traceback(options, tmp_path):
    # The reader ends before the tool prints.
    code, _, error = tool(tmp_path, "| true; exit ${PIPESTATUS[0]}", *options)
    assert (code, error) == (128 + signal.SIGPIPE, "")
