from dataclasses import replace

import pytest

from benchmarks import tune
from benchmarks.config import PAPER_CELL, Cell, RunConfig, draw_seed, run_seeds
from osae_theory.errors import InputError

RUN = RunConfig(PAPER_CELL, 0, "topk", run_seeds(0, 0), 0.01)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((0, 4, 2, 10), "d = 0"),
        ((3, 0, 2, 10), "K = 0"),
        ((3, 4, 0, 10), "m = 0"),
        ((3, 4, 5, 10), "m = 5: expected at most K = 4"),
        ((3, 4, 2, 0), "N = 0"),
        ((3, 4, 2, 10, float("inf")), "alpha = inf"),
        ((3, 4, 2, 10**15), "GiB for its data alone"),
    ],
)
def test_a_cell_that_cannot_be_is_refused(shape, message):
    with pytest.raises(InputError, match=message):
        Cell(*shape)


@pytest.mark.parametrize(
    "change",
    [
        {"learning_rate": 0.0},
        {"n_steps": 0},
        {"batch_size": 0},
        {"problem_seed": -1},
        {"arithmetic": "slow"},
    ],
)
def test_a_run_that_cannot_be_is_refused(change):
    with pytest.raises(InputError, match="expected"):
        replace(RUN, **change)


def test_a_runs_key_changes_with_every_field():
    variants = [
        RUN,
        replace(RUN, cell=replace(PAPER_CELL, alpha=1.1)),
        replace(RUN, problem_seed=1),
        replace(RUN, method="osae"),
        replace(RUN, seeds=run_seeds(0, 1)),
        replace(RUN, learning_rate=0.02),
        replace(RUN, n_steps=5),
        replace(RUN, batch_size=5),
        replace(RUN, device="cuda"),
        replace(RUN, arithmetic="fast"),
    ]
    keys = {run.key() for run in variants}
    assert len(keys) == len(variants)
    assert RUN.key() == replace(RUN).key()


def test_runs_of_one_table_differ_on_every_axis():
    seeds = [run_seeds(0, i) for i in range(20)]
    for axis in ("initialisation", "data_order", "prefixes"):
        assert len({getattr(s, axis) for s in seeds}) == 20


def test_draws_differ_from_each_other_and_from_the_tuning_draws():
    tuning = {run.problem_seed for run in tune.configs(("topk",), 1)}
    assert len(tuning) == tune.N_DRAWS
    draws = [draw_seed(base, draw) for base in range(50) for draw in range(20)]
    assert len(set(draws) | tuning) == 50 * 20 + tune.N_DRAWS


def test_runs_of_different_draws_share_no_seed():
    seeds = [run_seeds(draw_seed(0, draw), i) for draw in range(20) for i in range(5)]
    for axis in ("initialisation", "data_order", "prefixes"):
        assert len({getattr(s, axis) for s in seeds}) == 100


def test_the_cells_problem_is_the_papers_toy_model():
    problem = Cell(6, 8, 2, 50).spec(3).draw()
    assert problem.dictionary.shape == (6, 8)
    assert problem.codes.shape == (8, 50)
    assert ((problem.codes != 0).sum(axis=0) == 2).all()
    assert (problem.codes >= 0).all()
