import json
from argparse import Namespace

import numpy as np
import pytest

pytestmark = pytest.mark.peers

pytest.importorskip("sae_lens")
from benchmarks.peers import synthetic, synthetic_runs  # noqa: E402


@pytest.fixture
def small(monkeypatch):
    for name, value in (("N_HELDOUT", 2000), ("N_FOR_ORDER", 4000), ("BATCH", 128)):
        monkeypatch.setattr(synthetic_runs, name, value)


def task(name, tmp_path, seed=3):
    return synthetic.Task(name, seed, 0.003, 30, tmp_path / "runs" / f"{name}.json")


@pytest.mark.parametrize("name", list(synthetic.CONTESTANTS))
def test_every_contestant_trains_and_is_measured(name, small, tmp_path):
    found = synthetic_runs.measured(task(name, tmp_path))
    assert set(found) == {*synthetic._METRICS, "true_l0", "ceiling_ord"}
    assert np.isfinite(
        [found[metric] for metric in ("explained_variance", "mcc", "stab", "f1")]
    ).all()
    # What is kept is not trained again.
    kept = tmp_path / "runs" / f"{name}.json"
    written = json.loads(kept.read_text())
    kept.write_text(json.dumps(written | {"found": found | {"mcc": 2.0}}))
    assert synthetic_runs.measured(task(name, tmp_path))["mcc"] == 2.0


def test_a_run_by_other_code_is_made_again(small, tmp_path):
    found = synthetic_runs.measured(task("topk", tmp_path))
    kept = tmp_path / "runs" / "topk.json"
    kept.write_text(json.dumps({"made_by": {"code": "older"}, "found": {"mcc": 2.0}}))
    assert synthetic_runs.measured(task("topk", tmp_path)) == found


@pytest.mark.parametrize("name", ["topk", "ordered"])
def test_a_training_that_diverges_has_no_explained_variance(name, small, tmp_path):
    one = synthetic.Task(name, 3, 1e30, 30, tmp_path / "run.json")
    assert np.isnan(synthetic_runs.measured(one)["explained_variance"])


def test_a_run_is_the_same_twice(small, tmp_path):
    first = synthetic_runs.measured(task("ordered-warmed", tmp_path / "a"))
    assert first == synthetic_runs.measured(task("ordered-warmed", tmp_path / "b"))


def made_up(names, n=4):
    rng = np.random.default_rng(0)
    keys = [*synthetic._METRICS, "true_l0", "ceiling_ord"]
    return {
        name: [{key: float(rng.uniform(0.1, 0.9)) for key in keys} for _ in range(n)]
        for name in names
    }


def test_the_table_has_a_column_a_contestant_and_says_how_it_was_made(tmp_path):
    runs = made_up(synthetic.CONTESTANTS)
    tried = {
        synthetic.Task(name, 1, rate, 5, tmp_path / "x"): runs[name][0]
        for name in runs
        for rate in synthetic.RATES
    }
    options = Namespace(seed=0, workers=2, steps=5)
    rates = dict.fromkeys(runs, 0.001)
    synthetic.write_results(tmp_path, runs, rates, tried, ["python", "-m", "x"], options)
    text = (tmp_path / synthetic.TABLE).read_text()
    for contestant in synthetic.CONTESTANTS.values():
        assert contestant.title in text
    assert "over 4 draws" in text
    document = json.loads((tmp_path / synthetic.RESULT).read_text())
    assert len(document["runs"]["topk"]) == 4
    assert document["provenance"]["versions"]["sae-lens"]
    assert document["rates"] == rates


def test_a_rate_at_the_edge_is_refused(tmp_path):
    for best in (synthetic.RATES[0], synthetic.RATES[-1]):
        tried = {
            synthetic.Task("topk", 1, rate, 5, tmp_path): {
                "explained_variance": float(rate == best)
            }
            for rate in synthetic.RATES
        }
        with pytest.raises(synthetic.JobError, match=f"{best:g}, is at the edge"):
            synthetic._best_rate("topk", tried)
