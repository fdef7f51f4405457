from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import spearmanr

from benchmarks import catalogue
from benchmarks.contracts import Data, Fit, Fitted, Metric
from benchmarks.encoders.truth import Truth
from benchmarks.engine import task as module
from benchmarks.engine.task import FitTask, data_for, run_task
from benchmarks.kept import fitted_from
from benchmarks.outcome import VECTORS
from benchmarks.training import top_m
from osae_theory.errors import JobError
from osae_theory.metrics import order_by
from osae_theory.provenance import dictionary_sha256, provenance_here
from runtime_types import end_checks
from small_runs import outcomes, small_runs

pytestmark = pytest.mark.trains


def encoder(kind, **arrays):
    """What says that it is an encoder."""
    return SimpleNamespace(kind=kind, arrays=arrays)


def same(first, second):
    """Whether two outcomes agree bit for bit, but for the clock."""
    return (
        (first.spec, first.status, first.values, first.dictionary_sha256)
        == (second.spec, second.status, second.values, second.dictionary_sha256)
        and all(np.array_equal(first.arrays[name], second.arrays[name]) for name in first.arrays)
        and all(np.array_equal(first.vectors[name], second.vectors[name]) for name in VECTORS)
    )


@pytest.mark.parametrize("method", ["topk", "msae-random"])
def test_the_numbers_do_not_depend_on_the_company_of_other_runs(method):
    runs = small_runs(method)
    together = outcomes(runs)
    for run, outcome in zip(runs, together, strict=True):
        [alone] = outcomes([run])
        assert same(alone, outcome)


def test_measurements_equal_those_worked_out_from_the_fit():
    [run] = small_runs(n=1, n_steps=100)
    [outcome] = outcomes([run])
    spec = catalogue.problem_spec(run.setting.case)
    problem, heldout = spec.draw(), spec.draw("heldout", 10_000)
    fit = fitted_from(outcome.encoder, outcome.arrays)
    D, mu = fit.dictionary, outcome.vectors["permutation"]
    cosines = np.sum(D * problem.dictionary[:, mu], axis=0)
    values = outcome.values
    assert values["stab_truth"] == pytest.approx(cosines.mean())
    assert values["recovered_share"] == np.mean(np.abs(cosines) >= 0.9)
    codes = fit.encoder(problem.rows()[0])
    uses, energy = (codes != 0).sum(axis=0), (codes.astype(float) ** 2).sum(axis=0)
    drawn = run.seeds.initialisation
    for key, order in (
        ("ord_truth", np.arange(8)),
        ("ord_by_frequency", order_by(uses, uses == 0, drawn)),
        ("ord_by_energy", order_by(energy, uses == 0, drawn)),
    ):
        kept = mu[order][uses[order] > 0]
        assert values[key] == pytest.approx(spearmanr(range(len(kept)), kept).statistic)
    assert values["ord_left_out"] == values["dead_share"] == np.mean(uses == 0)
    reconstruction = D @ fit.encoder(heldout.rows()[0]).T
    assert values["mse"] == pytest.approx(np.mean((heldout.data - reconstruction) ** 2))
    assert values["l0"] <= 2


def test_every_metric_of_runs_is_measured_and_no_other():
    [outcome] = outcomes(small_runs(n=1))
    of_runs = {name for name, one in catalogue.metrics().items() if one.scope == "run"}
    assert set(outcome.values) == of_runs
    assert set(outcome.vectors) == set(VECTORS)


def test_the_truth_scores_what_only_the_truth_can():
    runs = small_runs("truth", 5)
    assert len(runs) == 1
    [outcome] = outcomes(runs)
    values = outcome.values
    assert values["stab_truth"] == pytest.approx(1)
    assert values["ord_truth"] == 1
    assert 0.5 < values["ord_by_energy"] <= 1
    assert values["mse"] < 1e-25


def test_an_honest_method_is_given_no_truth():
    spec = catalogue.problem_spec(small_runs(n=1)[0].setting.case)
    problem = spec.draw()
    for method in catalogue.methods().values():
        data = data_for(method, problem, (spec.K, spec.m))
        assert (data.truth is None) == (method.sees == "data")
        np.testing.assert_array_equal(data.rows, problem.rows()[0])
        assert (data.K, data.m) == (8, 2)


def test_a_run_that_diverges_says_so():
    found = outcomes(small_runs("topk[lr=1e30]", 2))
    assert [(one.status, dict(one.values)) for one in found] == [("diverged", {})] * 2
    assert found[0].reason == "a loss that is not finite"


@pytest.mark.parametrize(
    ("fit", "reason"),
    [
        (lambda *a: 1 / 0, "ZeroDivisionError: division by zero"),
        (lambda *a: [], "ValueError: 0 fits: expected 1, one a run"),
        (lambda *a: [Fitted(np.full((6, 8), np.nan), Truth())], "the dictionary holds NaN or Inf"),
        (lambda *a: [Fitted(np.ones((6, 7)), Truth())], r"a dictionary of shape (6, 7): expected"),
        (lambda *a: [Fitted(np.ones((8, 6)), Truth())], r"a dictionary of shape (8, 6): expected"),
        (lambda *a: [Fitted(np.ones((6, 8), int), Truth())], "a dictionary of dtype int64"),
        (lambda *a: [Fitted(np.ones((6, 8)), Truth())], "the true codes for an encoder: only"),
        (
            lambda *a: [Fitted(np.ones((6, 8)), encoder("odd"))],
            "an encoder of kind 'odd': expected one of",
        ),
        (
            lambda *a: [Fitted(np.ones((6, 8)), encoder("top-m", x=np.array([None])))],
            "the encoder's x of dtype object",
        ),
        (lambda *a: ["a dictionary"], "AttributeError: 'str' object has no attribute"),
    ],
)
def test_what_a_method_does_wrong_is_an_outcome(fit, reason, monkeypatch):
    end_checks()
    monkeypatch.setattr(module, "_warm_up", lambda setting, device: None)
    wrong = replace(catalogue.methods()["topk"], fit=fit)
    monkeypatch.setattr(catalogue, "methods", lambda: {"topk": wrong})
    monkeypatch.setattr(module, "_imported_code", lambda family, method: "")
    [outcome] = run_task(FitTask(tuple(small_runs(n=1)), ""))
    assert outcome.status == "error"
    assert outcome.reason.startswith(reason)
    assert outcome.values == {}
    assert "\n" not in outcome.reason


def test_a_dictionary_in_single_precision_scores_what_it_does_in_double(monkeypatch):
    fit = catalogue.methods()["topk"].fit
    found = {}
    for dtype in (np.float64, np.float32):

        def rounded(data, how, seeds, dtype=dtype):
            return [
                Fitted(one.dictionary.astype(np.float32).astype(dtype), one.encoder)
                for one in fit(data, how, seeds)
            ]

        method = replace(catalogue.methods()["topk"], fit=rounded)
        monkeypatch.setattr(catalogue, "methods", lambda method=method: {"topk": method})
        monkeypatch.setattr(module, "_imported_code", lambda family, method: "")
        [found[dtype]] = run_task(FitTask(tuple(small_runs(n=1)), ""))
    assert found[np.float32].status == "done"
    assert same(found[np.float32], found[np.float64])


def test_what_a_method_prints_is_no_part_of_the_output(monkeypatch, capsys):
    def fit(data, how, seeds):
        print("noise")
        return [None for _ in seeds]

    method = replace(catalogue.methods()["topk"], fit=fit)
    monkeypatch.setattr(catalogue, "methods", lambda: {"topk": method})
    monkeypatch.setattr(module, "_imported_code", lambda family, method: "")
    run_task(FitTask(tuple(small_runs(n=1)), ""))
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "noise" in printed.err


def test_a_metric_that_raises_costs_its_own_value_and_no_run(monkeypatch):
    broken = Metric("broken", "broken", "broken", 1, of_run=lambda scored: 1 / 0)
    known = dict(catalogue.metrics())
    monkeypatch.setattr(catalogue, "metrics", lambda: {**known, "broken": broken})
    monkeypatch.setattr(module, "_imported_code", lambda family, method: "")
    [outcome] = run_task(FitTask(tuple(small_runs(n=1)), ""))
    assert outcome.status == "done"
    assert "broken" not in outcome.values
    assert "mse" in outcome.values
    assert outcome.unmeasured == {"broken": "ZeroDivisionError: division by zero"}


def test_a_long_reason_is_shortened(monkeypatch):
    def fit(*arguments):
        raise RuntimeError("x" * 10_000)

    monkeypatch.setattr(module, "_warm_up", fit)
    [outcome] = outcomes(small_runs(n=1))
    assert len(outcome.reason) == 300


def test_an_outcome_says_where_it_comes_from_and_names_its_dictionary():
    [done] = outcomes(small_runs(n=1))
    assert done.provenance == provenance_here()
    assert done.dictionary_sha256 == dictionary_sha256(done.arrays["dictionary"])
    assert len(done.code) == 16


def test_the_number_of_threads_of_the_caller_is_left_as_it_was():
    import torch

    before = torch.get_num_threads()
    outcomes(small_runs(n=1))
    assert torch.get_num_threads() == before


def test_a_run_is_not_timed_before_what_it_needs_is_compiled(monkeypatch):
    fits = []

    def counting(data: Data, how: Fit, seeds):
        fits.append((how.budget.amount, len(data.rows), len(seeds)))
        return [None for _ in seeds]

    method = replace(catalogue.methods()["topk"], fit=counting)
    monkeypatch.setattr(catalogue, "methods", lambda: {"topk": method})
    monkeypatch.setattr(module, "_imported_code", lambda family, method: "")
    module._warmed_up.cache_clear()
    task = FitTask(tuple(small_runs(n=2)), "")
    for _ in range(2):
        run_task(task)
    module._warmed_up.cache_clear()
    assert fits == [(2, 100, 1), (30, 400, 2), (30, 400, 2)]


def test_code_changed_since_the_job_began_stops_it(monkeypatch):
    with pytest.raises(JobError, match="code was changed while the job was starting"):
        run_task(FitTask(tuple(small_runs(n=1)), "other"))


@pytest.mark.parametrize("name", catalogue.methods())
@pytest.mark.parametrize("K", [1, 2, 6])
def test_every_method_runs_at_every_small_K(name, K):
    runs = small_runs(name, 1, n_steps=4, problem={"d": 3, "K": K, "m": 1, "N": 60})
    if catalogue.skip_reason(runs[0].setting) is not None:
        assert (name, K) in (("fastica", 6), ("pca", 6))
        return
    [outcome] = outcomes(runs)
    assert (outcome.status, outcome.reason) == ("done", "")
    assert outcome.arrays["dictionary"].shape == (3, K)


def test_a_stored_run_gives_the_codes_that_it_gave():
    [run] = small_runs("osae", 1)
    [outcome] = outcomes([run])
    fit = fitted_from(outcome.encoder, outcome.arrays)
    spec = catalogue.problem_spec(run.setting.case)
    scored = module.Scored(fit, spec.draw(), spec.draw("heldout", 10_000), 0)
    values, unmeasured = module.measured(scored)
    assert unmeasured == {}
    assert {name: values[name] for name in ("mse", "l0")} == {
        name: outcome.values[name] for name in ("mse", "l0")
    }


@pytest.mark.parametrize("arithmetic", ["portable", "fast"])
def test_a_run_is_trained_with_its_own_arithmetic(arithmetic, monkeypatch):
    used, train = [], top_m.train_on_sets
    monkeypatch.setattr(
        top_m,
        "train_on_sets",
        lambda x, sets, K, runs, config, **others: (
            used.append(config.arithmetic) or train(x, sets, K, runs, config, **others)
        ),
    )
    outcomes(small_runs("osae", 1, arithmetic=arithmetic))
    assert set(used) == {arithmetic}
