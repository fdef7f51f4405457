import shutil
from pathlib import Path

import pytest

from benchmarks.theory import __main__ as command


def test_a_study_leaves_its_table_its_figure_and_where_they_came_from(tmp_path, capsys):
    earlier = "Made by `them` with x 1.\n\n- penalised_loss: `S(1)`\n- lost_order: `S(2)`\n"
    (tmp_path / "made_by.md").write_text(f"{earlier}\nMade by `me`.\n\n- penalised_loss: `S(3)`\n")
    assert command.main(["--only", "penalised_loss", "--out", str(tmp_path)]) == 0
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"penalised_loss.csv", "penalised_loss.png", "made_by.md"}
    kept, made = (tmp_path / "made_by.md").read_text().split("\n\nMade by ")
    assert kept == "Made by `them` with x 1.\n\n- lost_order: `S(2)`"
    assert "python -m benchmarks.theory --only penalised_loss" in made
    assert made.count("\n- penalised_loss: `Settings(") == 1


RESULTS = Path(__file__).parents[2] / "results/theory"


def test_every_figure_of_the_results_is_drawn_again_from_its_table(monkeypatch, tmp_path, capsys):
    for table in RESULTS.glob("*.csv"):
        shutil.copy(table, tmp_path)
    monkeypatch.setattr(command, "save_figure", lambda figure, path: path.touch())
    assert command.main(["--redraw", "--out", str(tmp_path)]) == 0
    assert {p.name for p in tmp_path.glob("*.png")} == {p.name for p in RESULTS.glob("*.png")}
    assert not (tmp_path / "made_by.md").exists()
    assert len(capsys.readouterr().out.split()) == len(command.STUDIES)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--only", "recovery"], "study 'recovery' is unknown"),
        (["--only", "lost_order,lost_order"], "'lost_order,lost_order': expected each once"),
        (["--out", "{file}/x"], "is a file"),
        (["--redraw", "--out", "{file}x"], "cannot be drawn"),
    ],
)
def test_bad_input_is_one_line_and_code_2(options, message, tmp_path, capsys):
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit) as stopped:
        command.main([option.format(file=tmp_path / "file") for option in options])
    printed = capsys.readouterr()
    assert stopped.value.code == 2
    assert printed.out == ""
    assert message in printed.err
    assert printed.err.count("\n") == 1
