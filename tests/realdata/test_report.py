import pandas as pd

from realdata.experiment.analysis import Analysis
from realdata.report.files import _write_frames

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
