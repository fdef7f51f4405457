import tomllib
from importlib import import_module
from pathlib import Path

import benchmarks
from benchmarks.__main__ import main
from osae_theory.command_line import commands_in
from realdata.__main__ import COMMANDS
from realdata.__main__ import main as realdata

ROOT = Path(benchmarks.__path__[0]).parent


def test_a_bare_call_lists_the_commands_with_a_line_each(capsys):
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    for name in ("toy", "tune", "speed", "theory"):
        assert sum(line.split()[2] == f"benchmarks.{name}" for line in lines) == 1
    assert len(lines) == len(commands_in(ROOT / "benchmarks"))


def test_every_module_that_runs_as_a_command_is_listed():
    runs = {
        file
        for file in (ROOT / "benchmarks").rglob("*.py")
        if '__name__ == "__main__"' in file.read_text(encoding="utf-8")
    }
    named = {
        command.removeprefix("python -m ").split()[0]
        for command in commands_in(ROOT / "benchmarks")
    }
    modules = {
        ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__")
        for file in runs
    }
    # The list itself, and what `benchmarks.speed` runs as a process of its own.
    assert named == modules - {"benchmarks", "benchmarks.speed.memory"}


def test_a_bare_call_of_realdata_lists_its_commands(capsys):
    assert realdata([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[3] for line in lines] == list(COMMANDS)


def test_every_console_script_is_a_command():
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert {"osae-toy", "osae-claims", "osae-realdata"} <= set(scripts)
    for name, target in scripts.items():
        assert name.startswith("osae-")
        module, attribute = target.split(":")
        assert callable(getattr(import_module(module), attribute))
