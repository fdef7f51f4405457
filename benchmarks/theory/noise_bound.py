"""Figure: T3f's and D's bounds on sum_k w_k e_k sin^2 angle(d_k, d_k*) against noise, m = 1."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from osae_theory.claims.ray_instances import Instance, energies_of
from osae_theory.claims.ray_noise import map_gap, noise_bound, noise_norm, weighted_angles
from osae_theory.claims.ray_noise_tight import every_sample_stays, weighted_bound
from osae_theory.errors import InputError, check_integer
from osae_theory.minimisers import alternating, ray_minimiser
from osae_theory.prefixes import PrefixLaw
from osae_theory.problems import problem_from_arrays
from osae_theory.problems.geometry import unit_columns
from osae_theory.seeds import Axis, generator

_BLUE, _ORANGE, _GREY = "#006BA4", "#FF800E", "#ABABAB"
_EXACT, _FOUND = "global minimiser", "best found"
_D, _K = 6, 4
_MOST_FEW = 12
_LAST = 0.7  # p_K, high enough that T3 applies to every draw


@dataclass(frozen=True)
class NoiseBound:
    """Settings.

    Attributes
    ----------
    snr_db : tuple of float
        Signal-to-noise ratios, in decibels.
    n_problems : int
        Problems drawn for each size and ratio, at least 1.
    n_few : int
        Samples of the small problems, 4 to 12: their global minimiser is found exactly.
    n_many : int
        Samples of the large ones, at least 4: the best of several descents stands in for it.
    n_starts : int
        Drawn starts of those descents, besides D*; at least 0.
    seed : int
        At least 0.
    """

    snr_db: tuple[float, ...] = (0, 10, 20, 30, 40, 50, 60)
    n_problems: int = 12
    n_few: int = 10
    n_many: int = 400
    n_starts: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        for name, minimum in (("n_problems", 1), ("n_few", _K), ("n_many", _K), ("n_starts", 0)):
            check_integer(name, getattr(self, name), minimum)
        check_integer("seed", self.seed, 0)
        if self.n_few > _MOST_FEW:
            raise InputError(
                f"n_few = {self.n_few}: expected at most {_MOST_FEW} samples for an exact search;"
                " `n_many` has no such limit"
            )


def measure(settings: NoiseBound) -> pd.DataFrame:
    """Return one row a problem and ratio: both sides of T3f over sum_k w_k e_k, Gamma, D's bound.

    The side measured is that of the exact global minimiser where each noisy sample can be a ray
    of its own ("global minimiser"), else of the best point that alternating descents reach from
    D* and drawn starts ("best found"), which need not be the global minimiser.
    """
    return pd.DataFrame(list(_rows(settings)))


def draw(frame: pd.DataFrame) -> Figure:
    """Draw both sides against the signal-to-noise ratio, one panel a number of samples."""
    figure = Figure(figsize=(10, 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, 2, sharey=True)
    for axis, how in zip(axes, (_EXACT, _FOUND), strict=True):
        own = frame[frame["minimiser"] == how]
        holds = own.groupby("snr_db")["bound_applies"].all()
        for ratio in holds.index[~holds.to_numpy()]:
            axis.axvspan(ratio - 5, ratio + 5, color=_GREY, alpha=0.25, linewidth=0)
        for column, colour, label in (
            ("bound", _ORANGE, "bound $b$ of T3f"),
            ("measured", _BLUE, f"measured, {how}"),
        ):
            groups = own.groupby("snr_db")[column]
            middle, low, high = groups.median(), groups.min(), groups.max()
            axis.fill_between(middle.index, low, high, color=colour, alpha=0.25, linewidth=0)
            axis.plot(middle.index, middle, color=colour, marker="o", markersize=4, label=label)
        tight = own[own["snr_db"].map(own.groupby("snr_db")["tight_applies"].all())]
        middle = tight.groupby("snr_db")["tight"].median()
        axis.plot(
            middle.index,
            middle,
            color="black",
            linestyle="--",
            marker="x",
            markersize=6,
            label="bound of D, where it applies to all",
        )
        axis.axhline(1, color=_GREY, linestyle=":")
        axis.set(
            xlabel="signal-to-noise ratio (dB)",
            yscale="log",
            title=f"N = {own['n_samples'].iloc[0]} samples",
        )
        axis.legend(loc="lower left", fontsize=9)
        axis.margins(x=0.02)
    axes[0].set_ylabel(r"$\sum_k w_k e_k \sin^2\angle(d_k, d_k^*)$ over $\sum_k w_k e_k$")
    figure.supxlabel(
        "lines: medians; bands: all problems; grey: T3f does not apply to some problem",
        fontsize=9,
    )
    return figure


def _rows(settings: NoiseBound) -> Iterator[dict[str, object]]:
    law = PrefixLaw.uniform(_K).mixed_with_full((_LAST - 1 / _K) / (1 - 1 / _K))
    for index in range(settings.n_problems):
        for how, n_samples in ((_EXACT, settings.n_few), (_FOUND, settings.n_many)):
            clean = _problem(n_samples, law, settings.seed, index)
            gap = map_gap(clean)
            for ratio in settings.snr_db:
                noisy = _with_noise(clean, ratio, settings.seed, index)
                yield _row(noisy, how, gap, ratio, settings.n_starts)


def _row(
    instance: Instance, how: str, gap: float, ratio: float, n_starts: int
) -> dict[str, object]:
    problem, law = instance
    energies = -np.sort(-energies_of(problem))
    scale = float(law.survival @ energies)
    if how == _EXACT:
        found = ray_minimiser(problem.data, law)
    else:
        order = np.argsort(-energies_of(problem))
        start = problem.dictionary[:, order]
        found = alternating(problem.data, _K, 1, law, n_starts, initial=[start], tolerance=1e-14)
    bound = noise_bound(instance, noise_norm(instance))
    return {
        "snr_db": ratio,
        "n_samples": problem.n_samples,
        "minimiser": how,
        "measured": weighted_angles(found.dictionary, problem, law) / scale,
        "bound": bound / scale,
        "gap": gap / scale,
        "bound_applies": bound < gap,
        "tight": weighted_bound(instance) / scale,
        "tight_applies": bound < gap and every_sample_stays(instance),
    }


def _problem(n_samples: int, law: PrefixLaw, seed: int, index: int) -> Instance:
    """Return atoms of low coherence, (d, K) = (6, 4), whose use falls with their index."""
    rng = generator(seed, Axis.DICTIONARY, index)
    atoms = unit_columns(np.eye(_D)[:, :_K] + 0.1 * rng.standard_normal((_D, _K)))
    weights = 0.5 ** np.arange(_K)
    rest = rng.choice(_K, size=n_samples - _K, p=weights / weights.sum())
    codes = np.zeros((_K, n_samples))
    values = rng.uniform(0.8, 1.2, n_samples)
    codes[np.append(np.arange(_K), rest), np.arange(n_samples)] = values
    # Energies 1, 1/2, 1/4, 1/8 whatever was drawn, so that ratios compare.
    norms = np.linalg.norm(codes, axis=1)
    return problem_from_arrays(atoms, codes * (weights**0.5 / norms)[:, None]), law


def _with_noise(clean: Instance, ratio: float, seed: int, index: int) -> Instance:
    problem, law = clean
    noise = generator(seed, Axis.NOISE, index).standard_normal(problem.data.shape)
    noise *= np.linalg.norm(problem.data) / np.linalg.norm(noise) * 10 ** (-ratio / 20)
    return problem_from_arrays(problem.dictionary, problem.codes, noise), law
