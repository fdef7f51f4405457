"""As processes: what is arranged is about how a process starts and ends."""

import os
import signal
import subprocess
import sys

import pytest

import osae_theory
from osae_theory.starting import missing

ROOT = os.path.dirname(os.path.dirname(osae_theory.__file__))


def run(tmp_path, code, *command, **how):
    """Run a command of a package `osae_small`, whose module `go` is the code."""
    package = tmp_path / "osae_small"
    package.mkdir()
    begin = "from osae_theory.starting import begin_command\nbegin_command(__name__)\n"
    (package / "__init__.py").write_text(begin)
    (package / "go.py").write_text(code)
    return subprocess.Popen(
        [sys.executable, *command],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), ROOT])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        **how,
    )


def test_a_library_that_is_missing_is_one_sentence_that_says_which_python_has_it(tmp_path):
    process = run(tmp_path, "import no_such_library", "-m", "osae_small.go")
    out, err = process.communicate()
    assert (process.returncode, out, err.count("\n")) == (1, "", 1)
    assert "'no_such_library' is not installed" in err
    assert "use .venv/bin/python" in err


def test_an_interrupt_while_a_command_imports_is_no_traceback(tmp_path):
    code = "print('importing', flush=True)\nimport time\ntime.sleep(600)"
    process = run(tmp_path, code, "-m", "osae_small.go")
    assert process.stdout.readline() == "importing\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert err == "interrupted\n"
    assert process.returncode in (130, -signal.SIGINT)


@pytest.mark.parametrize("command", [["-c", "import osae_small.go"], ["own.py"]])
def test_a_program_that_only_imports_a_package_keeps_its_tracebacks(tmp_path, command):
    (tmp_path / "own.py").write_text("import osae_small.go")
    process = run(tmp_path, "import no_such_library", *command)
    _, err = process.communicate()
    assert "Traceback" in err


def test_an_error_of_the_program_keeps_its_traceback(tmp_path):
    _, err = run(tmp_path, "1 / 0", "-m", "osae_small.go").communicate()
    assert "Traceback" in err
    assert "ZeroDivisionError" in err


def test_a_folder_that_hides_a_package_is_said():
    error = ModuleNotFoundError("No module named", name="osae_theory.no_such_module")
    text = missing(error)
    assert "hides the installed package" in text
    assert os.path.dirname(osae_theory.__file__) in text


def test_no_file_gets_the_number_of_a_closed_standard_stream(tmp_path):
    code = "import os, sys\nf = open('x', 'w')\nf.write(str(f.fileno()))\nf.close()"
    process = run(tmp_path, code, "-m", "osae_small.go", pass_fds=())
    process.communicate()
    usual = (tmp_path / "x").read_text()
    closed = subprocess.run(
        f'exec "{sys.executable}" -m osae_small.go >&- 2>&-',
        shell=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), ROOT])},
        check=True,
    )
    assert closed.returncode == 0
    assert (tmp_path / "x").read_text() == usual
