import shutil
from pathlib import Path

import pandas as pd
import pytest

from osae_theory.errors import InputError
from osae_theory.metrics.intervals import Estimate
from realdata.consistency.collection import CurvePoint
from realdata.consistency.differences import Difference
from realdata.experiment.analysis import Analysis
from realdata.report import tables
from realdata.report.files import _write_frames, rewrite_table

RESULTS = Path(__file__).parents[2] / "results/realdata"
FOLDERS = sorted(path.parent for path in RESULTS.rglob("result.json"))

NOTHING = {
    "pca": {},
    "prefixes": (4,),
    "chance": {},
    "pairs": {"decoder": []},
    "points": {},
    "differences": [],
    "over_training": [],
    "initialisation": [],
    "drift": [],
    "equal": {},
    "stitchings": {},
    "diverged": (),
}


def test_a_table_of_an_earlier_result_goes_where_this_one_has_none(tmp_path):
    for name in ("stitching.csv", "differences.csv", "runs.csv"):
        (tmp_path / name).write_text("earlier\n")
    analysis = Analysis(runs=({"dataset": "one", "seed": 0},), **NOTHING)
    _write_frames(tmp_path, analysis, pd.DataFrame({"of": ["decoder"]}))
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"runs.csv", "runs.parquet", "curves.csv", "pairs.parquet"}
    assert "earlier" not in (tmp_path / "runs.csv").read_text()


@pytest.mark.parametrize("source", FOLDERS, ids=lambda p: p.name)
def test_the_tables_of_the_results_are_those_that_are_made_from_their_folders(tmp_path, source):
    for path in [*source.glob("*.csv"), source / "result.json"]:
        shutil.copy(path, tmp_path)
    assert rewrite_table(tmp_path).read_bytes() == (source / "table.md").read_bytes()


@pytest.mark.parametrize("name", ["result.json", "curves.csv", "stitching.csv"])
def test_a_table_is_not_made_of_a_part_of_a_result(tmp_path, name):
    source = RESULTS / "smollm2-135m-study"
    for path in [*source.glob("*.csv"), source / "result.json"]:
        shutil.copy(path, tmp_path)
    (tmp_path / name).unlink()
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InputError, match="cannot be drawn"):
        rewrite_table(tmp_path)
    assert sorted(tmp_path.iterdir()) == before


def known(mean, half=0.1):
    return Estimate(mean, 0.1, (mean - half, mean + half), 3)


def shown(**changes):
    """Three methods, of which osae has the best order, and the plain SAE sorted afterwards."""
    scores = {
        ("topk", "trained"): (0.5, 0.0),
        ("topk", "by frequency"): (0.5, 0.6),
        ("topk", "by energy"): (0.5, 0.9),
        ("osae", "trained"): (0.4, 0.7),
        ("osae", "by energy"): (0.4, 1.0),
    }
    points = [
        CurvePoint(method, order, kind, None, prefix, 3, 3, {"stab": known(s), "ord": known(o)})
        for kind in ("cross-seed", "cross-dataset same-seed")
        for (method, order), (s, o) in scores.items()
        for prefix in (2, 16)
    ]
    runs = [
        {"dataset": dataset, "method": method, "diverged": method == "lost", "fvu": fvu + seed / 10}
        for dataset, fvu in (("one", 0.1), ("two", 0.8))
        for method in ("topk", "osae", "lost")
        for seed in range(3)
    ]
    differences = [
        Difference("osae", "trained", "topk", order, "cross-seed", 16, 3, known(0), known(d, half))
        for order, d, half in (("by frequency", 0.1, 0.2), ("by energy", -0.2, 0.1))
    ]
    given = {
        "runs": runs, "prefixes": (2, 16), "chance": {2: 0.3, 16: 0.25},
        "points": {"decoder": points}, "differences": differences, "drift": [], "equal": {},
        "stitching": pd.DataFrame(), "diverged": ("one/lost/seed-0",),
    }  # fmt: skip
    return tables.Shown(**(given | changes))


def test_the_short_table_has_a_row_a_method_and_the_plain_sae_sorted():
    table = tables.summary_table(shown()).set_index("SAE")
    plain = ["top-m SAE", "top-m SAE, sorted by frequency", "top-m SAE, sorted by energy"]
    assert list(table.index) == [*plain, "OSAE"]
    assert list(table.columns) == [
        *("FVU", "Stab, first 2", "Ord, first 2", "Stab, all 16", "Ord, all 16")
    ]
    assert table.loc["OSAE", "Ord, all 16"] == "0.700 ± 0.100"
    assert table.loc[plain[2], "Ord, first 2"] == "0.900 ± 0.100"
    assert table.loc["OSAE", "FVU"].startswith("0.200 ")


def test_what_the_short_table_says_is_said_before_it():
    assert tables.summary_text(shown()) == (
        "Across seeds and over all 16 latents, as trained: top-m SAE has the highest mean Stab,"
        " 0.500 ± 0.100 (0.250 by chance), and OSAE the highest Ord, 0.700 ± 0.100 (0 by chance)."
        " Its Ord minus that of the top-m SAE sorted afterwards: by frequency 0.100 ± 0.200"
        " (not told apart), by energy -0.200 ± 0.100 (told apart)."
    )


def test_without_pairs_of_seeds_only_the_fit_is_summed_up():
    alone = shown(points={"decoder": []})
    assert tables.summary_text(alone) == ""
    assert list(tables.summary_table(alone).columns) == ["SAE", "FVU"]


def test_columns_that_say_the_same_in_every_row_are_named_in_the_caption():
    table = pd.DataFrame(
        {"method": ["a", "a"], "n": ["20", "20"], "x": ["1", "2"], "y": ["–", "–"], "z": ["–", "–"]}
    )
    text = tables.markdown([("T", table, "Means.")])
    assert "| method   | x   |" in text
    assert "The same in every row: n: 20; y, z: not known. Means." in text
    one = tables.markdown([("T", table.head(1), "Means.")])
    assert "| n " in one
    assert "The same" not in one
