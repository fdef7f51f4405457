import pytest

from benchmarks.theory import __main__ as command


def test_a_study_leaves_its_table_its_figure_and_where_they_came_from(tmp_path, capsys):
    assert command.main(["--only", "penalised_loss", "--out", str(tmp_path)]) == 0
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"penalised_loss.csv", "penalised_loss.png", "made_by.md"}
    assert (
        "python -m benchmarks.theory --only penalised_loss" in (tmp_path / "made_by.md").read_text()
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [(["--only", "recovery"], "study 'recovery' is unknown"), (["--out", "{file}/x"], "is a file")],
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
