"""The rooms of realdata stand in a row, and each stands on those before it only."""

import ast
from pathlib import Path

import realdata

HOUSE = Path(realdata.__file__).parent
ROOMS = (
    *("models", "text", "activations", "checkpoints", "latents", "training"),
    *("comparison", "consistency", "experiment", "report", "commands"),
)
# The whole experiment stands on all rooms but that of the commands.
WHOLE = "run"


def imported(path):
    """Every module that a file imports, at its top or inside a function."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{name.name}" for name in node.names)
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)


def test_every_folder_is_a_room():
    assert {path.parent.name for path in HOUSE.glob("*/__init__.py")} == set(ROOMS)


def test_a_room_stands_on_those_before_it():
    against = [
        f"{path.relative_to(HOUSE)} imports {module}"
        for place, room in enumerate(ROOMS)
        for path in sorted((HOUSE / room).rglob("*.py"))
        for module in imported(path)
        if module.startswith("realdata.")
        and module.split(".")[1]
        not in (*ROOMS[: place + 1], "__version__", *([WHOLE] if room == "commands" else []))
    ]
    assert against == []


def test_realdata_stands_on_the_package_alone():
    modules = {module.split(".")[0] for path in HOUSE.rglob("*.py") for module in imported(path)}
    assert "osae_theory" in modules
    assert "benchmarks" not in modules
