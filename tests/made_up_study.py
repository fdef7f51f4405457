"""Frames of a store whose runs were never trained: values are made up, quickly and repeatably."""

import tempfile
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np

from benchmarks import catalogue
from benchmarks.outcome import Measurement, Outcome, Results
from benchmarks.spec import Setting
from benchmarks.store import Store
from osae_theory.provenance import Provenance

PAPER = {"d": 80, "K": 100, "m": 5, "N": 100_000}
METHODS = ("topk", "msae-fixed", "msae-random", "osae")
ORIGIN = Provenance("c" * 40, False, "0.1.0", "a processor", "Linux", "3.12", *["1.0"] * 4, "numba")
# Stab, Ord as trained, Ord sorted, MSE: where a method's values lie on the paper's problem.
LEVELS = {
    "topk": (0.93, 0.0, 0.97, 8e-4),
    "msae-fixed": (0.88, 0.83, 0.968, 15e-4),
    "msae-random": (0.91, 0.855, 0.977, 11e-4),
    "osae": (0.88, 0.887, 0.971, 15.2e-4),
}
LIKE_STAB = (
    *("recovered_precision", "mcc", "uniqueness", "cluster_span"),
    *("precision", "recall", "f1", "support_jaccard", "support_jaccard_pursuit"),
)


def setting_of(method="topk", *, problem=None, draw=0, amounts=None, arithmetic="portable"):
    """Return a setting of a method on a toy problem."""
    case = catalogue.case_of("toy", problem or PAPER, draw)
    found = catalogue.variant(method)
    budget = catalogue.budget_of(found.method, amounts or {}, None)
    return Setting(case, found.method.name, found.identity, budget, arithmetic)


def values_of(setting, rng, draw_effect):
    """Return made-up measurements of a run."""
    shape = catalogue.shape_of(setting.case)
    if setting.method == "truth":
        stab, trained, by_order, mse, left_out = 1.0, 1.0, 0.996, 0.0, 0.0
    else:
        harder = 0.1 * shape.K / shape.d * shape.m / 5 - 0.02 * np.log10(shape.N / 1e5) - 0.125
        stab, trained, by_order, mse = LEVELS.get(setting.method, LEVELS["osae"])
        stab -= harder - draw_effect - rng.normal(0, 0.01)
        trained += rng.normal(0, 0.05)
        by_order -= abs(rng.normal(0, 0.005)) + harder / 4
        mse *= np.exp(10 * harder + rng.normal(0, 0.1) - 5 * draw_effect)
        left_out = abs(rng.normal(0, 0.02))
    return {
        "stab_truth": float(np.clip(stab, -1, 1)),
        "stab_truth_abs": float(np.clip(stab + 0.005, 0, 1)),
        "ord_truth": float(np.clip(trained, -1, 1)),
        "ord_by_energy": float(np.clip(by_order, -1, 1)),
        "ord_by_frequency": float(np.clip(by_order - 0.03, -1, 1)),
        "ord_recovered": float(np.clip(trained, -1, 1)),
        "ord_left_out": left_out,
        "recovered_share": float(np.clip(stab - 0.04, 0, 1)),
        "mse": float(mse),
        "fvu": float(20 * mse),
        "fifr": float(130 * mse),
        "l0": float(shape.m),
        "dead_share": left_out,
        "order_resolved_pairs": float(np.clip(by_order, -1, 1)),
        **dict.fromkeys(LIKE_STAB, float(np.clip(stab - 0.1, 0, 1))),
    }


def vectors_of(K, rng, disorder):
    """Return a made-up matching: an order disturbed by noise."""
    order = np.argsort(np.arange(K) + disorder * K * rng.normal(size=K))
    return {
        "permutation": order,
        "similarities": np.clip(1 - np.abs(rng.normal(0, 0.07, K)) * order / K * 2, -1, 1),
        "energy_order": np.argsort(order),
        "frequency_order": np.argsort(order + rng.normal(0, 2, K)),
    }


def outcomes_of(setting, n_seeds=2, vectors=False, **changes):
    """Return made-up finished runs of a setting."""
    seed = setting.case.problem_seed
    effect = np.random.default_rng([seed, 1]).normal(0, 0.006)
    found = []
    for spec in catalogue.run_specs(setting, n_seeds):
        rng = np.random.default_rng(int(spec.id[:12], 16))
        K = catalogue.shape_of(setting.case).K
        disorder = 0.3 if setting.method == "topk" else 0.05
        outcome = Outcome(
            spec,
            "done",
            values=values_of(setting, rng, effect),
            vectors=vectors_of(K, rng, disorder) if vectors else {},
            encoder="top-m",
            dictionary_sha256=spec.id * 2,
            seconds=10 + float(rng.uniform()),
            provenance=ORIGIN,
            code="0123456789abcdef",
        )
        found.append(replace(outcome, **changes))
    return found


def pairs_of(outcomes):
    """Return made-up Stab(D, D') of all pairs of finished runs of one setting."""
    ids = sorted(one.spec.id for one in outcomes if one.status == "done")
    found = []
    for first, second in combinations(ids, 2):
        rng = np.random.default_rng([int(first[:8], 16), int(second[:8], 16)])
        level = LEVELS.get(outcomes[0].spec.setting.method, LEVELS["osae"])[0]
        value = float(np.clip(level - 0.04 + rng.normal(0, 0.015), -1, 1))
        found.append(Measurement(first, second, "stab_pairs", value))
    return found


def frames_of(outcomes, measurements=()):
    """Return the frames of a store that holds these runs and measurements."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store.at(Path(folder) / "store", create=True)
        store.add(Results(outcomes, measurements))
        return store.frames()


def made_up(methods=METHODS, *, problems=(PAPER,), draws=4, seeds=2, truth=True, **options):
    """Return the frames of all methods on some draws of some problems."""
    outcomes, measurements = [], []
    for problem in problems:
        for draw in range(draws):
            for method in (*methods, *(["truth"] if truth else [])):
                vectors = options.get("vectors", False)
                own = outcomes_of(setting_of(method, problem=problem, draw=draw), seeds, vectors)
                outcomes += own
                measurements += pairs_of(own)
    return frames_of(outcomes, measurements)
