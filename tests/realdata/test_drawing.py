import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from osae_theory.errors import InputError
from realdata.consistency.collection import Checkpoint, pair_scores, point_frame, summarise
from realdata.consistency.initialisation import against_initialisation, summarise_initialisation
from realdata.report import drawing

ROOT = Path(__file__).parents[2] / "results/realdata"
DRAWN = sorted({path.parent for path in ROOT.rglob("*.png")})


@pytest.fixture
def only_names(monkeypatch):
    """Figures are drawn, and in place of a picture an empty file is written."""
    monkeypatch.setattr(drawing, "save", lambda _, path: path.touch())


def stored(source, folder):
    folder.mkdir()
    for name in (drawing.RESULT, drawing.CURVES):
        shutil.copy(source / name, folder)
    return folder


@pytest.mark.parametrize("source", DRAWN, ids=lambda p: p.name)
def test_the_figures_of_the_results_are_those_that_are_drawn_from_their_folders(
    only_names, tmp_path, source
):
    paths = drawing.redraw(stored(source, tmp_path / "copy"))
    assert {path.name for path in paths} == {path.name for path in source.glob("*.png")}


def test_figures_of_an_earlier_result_go_and_other_files_stay(only_names, tmp_path):
    folder = stored(DRAWN[0], tmp_path / "copy")
    for name in ("pareto_earlier.png", "over_training_first_7.png", "mine.png", "notes.txt"):
        (folder / name).touch()
    drawing.redraw(folder)
    assert not (folder / "pareto_earlier.png").exists()
    assert not (folder / "over_training_first_7.png").exists()
    assert (folder / "mine.png").exists()
    assert (folder / "notes.txt").exists()


def test_points_are_read_as_they_were_written(tmp_path):
    runs = [
        Checkpoint("osae", s, "docs", t, np.random.default_rng([s, t]).standard_normal((8, 5)))
        for s in range(3)
        for t in (0, 50)
    ]
    pairs = summarise(pair_scores(runs, (1, 4, 8)))  # Ord is not defined at prefix 1
    drift = summarise_initialisation(against_initialisation(runs, (4, 8)))
    frame = pd.concat([point_frame(pairs), point_frame(drift)])
    frame.to_csv(tmp_path / "curves.csv", index=False)
    found = drawing.curve_points(pd.read_csv(tmp_path / "curves.csv"))
    # Why there is no interval is not written.
    told = [
        {
            **vars(point),
            "estimates": {n: replace(e, reason=None) for n, e in point.estimates.items()},
        }
        for point in pairs + drift
    ]
    assert [vars(point) for point in found] == told


def test_the_floor_is_each_runs_own_pca(tmp_path):
    fits = pd.DataFrame(
        {
            "dataset": ["one", "one", "one", "two"],
            "method": ["topk", "topk", "batch-topk", "topk"],
            "l0": [4.0, 8.0, 8.3, 4.0],
            "fvu": [0.5, 0.4, 0.3, 0.1],
            "pca_fvu": [0.9, 0.8, None, 0.2],
        }
    )
    found = drawing.Drawn("a model", 16, 4, (16,), {}, {}, fits, ("one",))
    [axis] = drawing._pareto(found, "one").axes
    [floor] = [line for line in axis.lines if line.get_linestyle() == "--"]
    assert floor.get_xydata().tolist() == [[4, 0.9], [8, 0.8]]
    assert axis.get_title() == "a model, K = 16, on one"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("result.json", None),
        ("result.json", "{"),
        ("result.json", "[]"),
        ("result.json", "{}"),
        ("curves.csv", None),
        ("curves.csv", ""),
        ("curves.csv", "a,b\n1,2\n"),
        ("curves.csv", "of,tokens\ndecoder,1\n"),
    ],
)
def test_a_folder_without_results_is_refused_and_left_alone(tmp_path, name, content):
    folder = stored(DRAWN[0], tmp_path / "copy")
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_text(content)
    (folder / "pareto_earlier.png").touch()
    before = sorted(folder.iterdir())
    with pytest.raises(InputError, match=r"cannot be drawn .* expected a folder with the"):
        drawing.redraw(folder)
    assert sorted(folder.iterdir()) == before
