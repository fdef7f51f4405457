from dataclasses import replace

import pytest

from benchmarks import catalogue
from benchmarks.spec import Budget, RunSpec, Setting, draw_seed, run_seeds, tuning_seed
from osae_theory.errors import InputError
from small_runs import SMALL, small_runs, small_setting

# Never to be changed: stores name their runs by these.
GOLDEN = {
    "ab33ad8d59fa7cb49c769be760cbf96c": (
        "topk",
        {},
        '{"amount":30,"batch_size":100,"family":"toy","method":"topk","params":{"lr":0.01},'
        '"problem":{"K":8,"N":400,"d":6,"m":2},"problem_seed":0,"schema":1,'
        '"seeds":[1905993885,3819687176,2772432258]}',
    ),
    "311336aff35d3a2ae09827ccadcd4c99": (
        "truth",
        {},
        '{"family":"toy","method":"truth","problem":{"K":8,"N":400,"d":6,"m":2},"problem_seed":0,'
        '"schema":1,"seeds":[1905993885,3819687176,2772432258],"unit":"none"}',
    ),
    "2bec2037a55fe8599c6506315fc7182f": (
        "osae-zipf[alpha=1]",
        {"problem": {**SMALL, "alpha": 0.5}, "arithmetic": "fast"},
        '{"amount":30,"arithmetic":"fast","batch_size":100,"family":"toy","method":"osae-zipf",'
        '"params":{"alpha":1,"lr":0.01},"problem":{"K":8,"N":400,"alpha":0.5,"d":6,"m":2},'
        '"problem_seed":0,"schema":1,"seeds":[1905993885,3819687176,2772432258]}',
    ),
}


def test_a_runs_text_and_id_are_what_they_always_were():
    for name, (method, changes, text) in GOLDEN.items():
        [run] = small_runs(method, 1, **changes)
        assert (run.text, run.id) == (text, name)


def test_every_run_reads_back_from_its_text():
    for method in catalogue.methods():
        for changes in ({}, {"arithmetic": "fast"}, {"problem": {**SMALL, "alpha": 0.5}}):
            for run in small_runs(method, 2, **changes):
                again = RunSpec.read(run.text)
                assert (again, again.id) == (run, run.id)


def test_one_and_one_point_zero_are_one_run():
    whole, real = (small_setting(problem={**SMALL, "alpha": alpha}) for alpha in (1, 1.0))
    assert catalogue.run_specs(whole, 1)[0].id == catalogue.run_specs(real, 1)[0].id


def test_what_decides_the_numbers_changes_the_id():
    [run] = small_runs(n=1)
    setting = run.setting
    others = [
        *small_runs(n=2)[1:],
        *small_runs("osae", 1),
        *small_runs(n=1, problem_seed=1),
        *small_runs(n=1, n_steps=31),
        *small_runs(n=1, arithmetic="fast"),
        *small_runs(n=1, problem={**SMALL, "alpha": 1}),
        *small_runs("topk[lr=0.02]", 1),
        RunSpec(replace(setting, budget=Budget("steps", 30, 99)), run.seeds),
    ]
    assert len({run.id, *(other.id for other in others)}) == len(others) + 1


def test_more_draws_and_seeds_only_add_runs():
    assert run_seeds(draw_seed(0, 1), 0) == run_seeds(draw_seed(0, 1), 0)
    seeds = {run_seeds(draw_seed(0, draw), index) for draw in range(20) for index in range(3)}
    assert len(seeds) == 60
    tuned = {tuning_seed(draw) for draw in range(20)}
    assert not tuned & {draw_seed(0, draw) for draw in range(1000)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text[:-1], "cannot be read"),
        (lambda text: "[]", "cannot be read"),
        (lambda text: text.replace('"schema":1', '"schema":2'), "schema 2: expected schema 1"),
        (lambda text: text.replace(":", ": "), "not in canonical form"),
        (lambda text: text.replace('"lr":0.01', '"lr":0.010'), "not in canonical form"),
        (lambda text: text.replace('"method":"topk",', ""), "cannot be read"),
    ],
)
def test_a_text_that_is_no_runs_is_refused(change, message):
    [run] = small_runs(n=1)
    with pytest.raises(InputError, match=message):
        RunSpec.read(change(run.text))


def test_a_budget_is_in_a_known_unit_and_above_nothing():
    for unit, amount, batch in (("steps", 0, 10), ("steps", 1, 0), ("hours", 1, 1)):
        with pytest.raises(InputError, match="expected"):
            Budget(unit, amount, batch)
    assert Budget("none", 0, 0).amount == 0


def test_an_unknown_arithmetic_is_refused():
    setting = small_setting()
    with pytest.raises(InputError, match="did you mean 'fast'"):
        Setting(setting.case, "topk", (), Budget(), "fats")
