"""The work itself: draw a problem, fit one setting's runs on it, measure them.

Every task trains with one intra-op thread, so that a run's numbers do not depend on how many
processes there are, nor on its company.
"""

import math
import sys
import time
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from jaxtyping import Float

from benchmarks import catalogue
from benchmarks.code_state import code_state
from benchmarks.contracts import Data, Fit, Fitted, Method, Scored
from benchmarks.discovery import module_of
from benchmarks.kept import stored_arrays
from benchmarks.outcome import Outcome
from benchmarks.spec import RunSpec, Setting, run_seeds
from osae_theory.errors import JobError, described
from osae_theory.problems import SparseCodingProblem
from osae_theory.provenance import dictionary_sha256, provenance_here
from osae_theory.threads import limited_threads
from osae_theory.workers import THREADS_PER_WORKER

_WARM_UP_STEPS = 2
_NUMBERS = "fiub"


@dataclass(frozen=True)
class FitTask:
    """Runs of one setting, to be fitted together.

    Attributes
    ----------
    runs : tuple of RunSpec
        At least one; all of one setting.
    code : str
        The state of the code that the job began with.
    device : str
        Torch device.
    """

    runs: tuple[RunSpec, ...]
    code: str
    device: str = "cpu"

    @property
    def setting(self) -> Setting:
        """What the runs share."""
        return self.runs[0].setting

    @property
    def parts(self) -> "tuple[FitTask, ...]":
        """Itself: see `benchmarks.engine.batch.BatchTask`."""
        return (self,)


def code_of(family_name: str, method_name: str) -> str:
    """Return the state of the code that decides the numbers of a method's runs on a family."""
    method = catalogue.methods()[method_name]
    family = catalogue.families()[family_name]
    metrics = (of.__module__ for m in catalogue.metrics().values() if (of := m.of_run))
    own = (module_of("methods", method), module_of("families", family))
    return code_state(__name__, *own, *sorted(set(metrics)))


def run_task(task: FitTask) -> list[Outcome]:
    """Fit and measure a task's runs; what a method does wrong is an outcome, not an exception.

    Raises
    ------
    JobError
        If this process has imported other code than the job began with.
    """
    # What a method prints is no part of what the command prints.
    with limited_threads(THREADS_PER_WORKER), redirect_stdout(sys.stderr):
        return prepared(task) or _fitted_and_measured(task)


def prepared(task: FitTask) -> list[Outcome]:
    """Compile what a task needs; return its runs as they then end where that fails, else nothing.

    Raises
    ------
    JobError
        If this process has imported other code than the job began with.
    """
    try:
        _warm_up(task.setting, task.device)
    except Exception as error:
        return failed(task, described(error))
    # Everything is imported by now: if the files are then those that the job began with, so is
    # what was imported.
    if _imported_code(task.setting.case.family, task.setting.method) != task.code:
        raise JobError(
            "the project's code was changed while the job was starting: the same command begins"
            " again with the code as it is now"
        )
    return []


def _fitted_and_measured(task: FitTask) -> list[Outcome]:
    setting = task.setting
    found = catalogue.variant_of(setting)
    spec = catalogue.problem_spec(setting.case)
    problem = spec.draw()
    how = Fit(found.values, setting.budget, task.device, setting.arithmetic)
    started = time.perf_counter()
    try:
        fits = found.method.fit(
            data_for(found.method, problem, catalogue.learned(setting.case)),
            how,
            [run.seeds for run in task.runs],
        )
        if len(fits) != len(task.runs):
            raise ValueError(f"{len(fits)} fits: expected {len(task.runs)}, one a run")
    except Exception as error:
        return failed(task, described(error))
    seconds = (time.perf_counter() - started) / len(task.runs)
    heldout = spec.draw("heldout", catalogue.families()[setting.case.family].n_heldout)
    return [
        outcome_of(task, run, fit, problem, heldout, seconds)
        for run, fit in zip(task.runs, fits, strict=True)
    ]


def data_for(
    method: Method,
    problem: SparseCodingProblem,
    learned: tuple[int, int],
    rows: Float[np.ndarray, "N d"] | None = None,
) -> Data:
    """Return what a method may see of a problem, with how much it is to learn: (K, m).

    The problem's rows may be given, where several methods are to share them.
    """
    if rows is None:
        rows, _, _ = problem.rows(np.float32)
    return Data(rows, *learned, problem if method.sees == "truth" else None)


def outcome_of(
    task: FitTask,
    run: RunSpec,
    fit: Fitted | None,
    problem: SparseCodingProblem,
    heldout: SparseCodingProblem,
    seconds: float,
) -> Outcome:
    """Return what became of a run of a task, measured if it gave a dictionary."""
    tried = Outcome(
        run,
        "diverged",
        "a loss that is not finite",
        seconds=seconds,
        provenance=provenance_here(task.device, run.setting.arithmetic),
        code=task.code,
    )
    if fit is None:
        return tried
    try:
        K, _ = catalogue.learned(run.setting.case)
        wrong = _wrong(fit, (problem.d, K), catalogue.methods()[run.setting.method])
        if wrong:
            return replace(tried, status="error", reason=wrong)
        fit = Fitted(np.asarray(fit.dictionary, dtype=np.float64), fit.encoder)
        scored = Scored(fit, problem, heldout, run.seeds.initialisation)
        # What comes of the method: if that fails, the run has; a metric fails for itself.
        vectors, _ = vectors_of(scored), scored.reconstruction
        values, unmeasured = measured(scored)
        return replace(
            tried,
            status="done",
            reason="",
            values=values,
            unmeasured=unmeasured,
            vectors=vectors,
            arrays=stored_arrays(fit),
            encoder=fit.encoder.kind,
            dictionary_sha256=dictionary_sha256(fit.dictionary),
        )
    except Exception as error:
        return replace(tried, status="error", reason=described(error))


def measured(scored: Scored) -> tuple[dict[str, float | None], dict[str, str]]:
    """Return a run's measurements, and why metrics that raised have none, by their names."""
    values: dict[str, float | None] = {}
    reasons: dict[str, str] = {}
    for name, metric in catalogue.metrics().items():
        if metric.of_run is not None:
            try:
                values[name] = defined(metric.of_run(scored))
            except Exception as error:
                reasons[name] = described(error)
    return values, reasons


def vectors_of(scored: Scored) -> Mapping[str, np.ndarray]:
    """Return one entry a latent of how a run matches the truth; see `benchmarks.outcome.VECTORS`.

    "permutation" is the matched true index of each latent, "similarities" its cosine with it;
    "energy_order" and "frequency_order" are the latents by falling energy and frequency.
    """
    return {
        "permutation": scored.matching.permutation,
        "similarities": scored.matching.similarities,
        "energy_order": scored.by_energy,
        "frequency_order": scored.by_frequency,
    }


def defined(value: float) -> float | None:
    """Return None for NaN and infinity: a measurement that is not defined, as in JSON."""
    return float(value) if math.isfinite(value) else None


def _wrong(fit: Fitted, expected: tuple[int, int], method: Method) -> str:
    """Return why a fit is no dictionary of the expected shape (d, K); empty if it is one."""
    D = np.asarray(fit.dictionary)
    if D.shape != expected:
        return f"a dictionary of shape {D.shape}: expected (d, K) = {expected}"
    if not np.issubdtype(D.dtype, np.floating):
        return f"a dictionary of dtype {D.dtype}: expected floating-point numbers"
    if not np.isfinite(D).all():
        return "the dictionary holds NaN or Inf: expected finite atoms"
    kind = fit.encoder.kind
    if kind not in catalogue.encoders():
        return f"an encoder of kind {kind!r}: expected one of {', '.join(catalogue.encoders())}"
    if kind == "truth" and method.sees != "truth":
        return "the true codes for an encoder: only a method that says sees='truth' may use them"
    for name, array in fit.encoder.arrays.items():
        if np.asarray(array).dtype.kind not in _NUMBERS:
            return f"the encoder's {name} of dtype {np.asarray(array).dtype}: expected numbers"
    return ""


def failed(task: FitTask, reason: str) -> list[Outcome]:
    """Return all runs of a task as ended in an error."""
    origin = provenance_here(task.device, task.setting.arithmetic)
    return [Outcome(run, "error", reason, provenance=origin, code=task.code) for run in task.runs]


@cache
def _imported_code(family: str, method: str) -> str:
    return code_of(family, method)


def _warm_up(setting: Setting, device: str) -> None:
    """Compile what a run needs, by two steps on a few samples of its problem."""
    case = replace(setting.case, problem_seed=0)
    _warmed_up(replace(setting, case=case), device)


@cache
def _warmed_up(setting: Setting, device: str) -> None:
    found = catalogue.variant_of(setting)
    if setting.budget.unit != "steps":
        return
    spec = catalogue.problem_spec(setting.case)
    learned = catalogue.learned(setting.case)
    # A method may start from samples, of which there have to be K.
    few = spec.draw(n_samples=min(spec.n_samples, max(setting.budget.batch_size, learned[0])))
    budget = replace(setting.budget, amount=_WARM_UP_STEPS)
    how = Fit(found.values, budget, device, setting.arithmetic)
    found.method.fit(data_for(found.method, few, learned), how, [run_seeds(0, 0)])
