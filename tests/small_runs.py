"""A small problem of the toy model, and runs on it that take a blink."""

from benchmarks import catalogue
from benchmarks.engine.task import FitTask, code_of, run_task
from benchmarks.spec import Budget, Setting

SMALL = {"d": 6, "K": 8, "m": 2, "N": 400}


def small_setting(method="topk", *, n_steps=30, problem_seed=0, problem=None, **changes):
    """Return a setting of a method with learning rate 0.01 on the small problem.

    What the protocol has not tuned yet is the first of its candidates.
    """
    case = catalogue.case_of("toy", problem or SMALL, problem_seed)
    name = method.split("[")[0]
    parameters = catalogue.methods()[name].parameters if name in catalogue.methods() else ()
    first = {p.name: p.candidates[0] for p in parameters if p.tuned}
    found = catalogue.variant(method, {**first, **catalogue.tuned_values(name), "lr": 0.01})
    budget = found.method.budget
    if budget.unit == "steps":
        budget = Budget("steps", n_steps, 100)
    return Setting(case, found.method.name, found.identity, budget, **changes)


def small_runs(method="topk", n=3, **changes):
    """Return runs of a method on the small problem."""
    return catalogue.run_specs(small_setting(method, **changes), n)


def outcomes(runs):
    """Fit and measure runs of one setting."""
    setting = runs[0].setting
    return run_task(FitTask(tuple(runs), code_of(setting.case.family, setting.method)))


def tuned_file_in(folder):
    """Return what stands in for `catalogue.tuned_file`, in another folder."""

    def file(name, at="paper"):
        return folder / ("" if at == "paper" else at) / f"{name}.json"

    return file
