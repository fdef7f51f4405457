"""What is run: a cell of the toy model, and a run on it, as frozen values of plain fields."""

import hashlib
import json
import os
from dataclasses import asdict, dataclass

from osae_theory.errors import InputError, check_choice, check_integer, check_real
from osae_theory.problems import ProblemSpec, toy_spec
from osae_theory.sae import RunSeeds
from osae_theory.sae.kernels import ARITHMETICS
from osae_theory.seeds import Axis, derived_seed

HELDOUT_SAMPLES = 10_000
_BYTES_PER_ENTRY = 8


def _physical_memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not a POSIX system: do not judge
        return 2**63


@dataclass(frozen=True)
class Cell:
    """One cell of the toy Gaussian model (paper, section 3.1).

    Attributes
    ----------
    d, K, m, N : int
        Dimension, number of atoms, sparsity and number of training samples, at least 1;
        m at most K.
    alpha : float
        Exponent of the Zipf weights of the supports, finite.

    Raises
    ------
    InputError
        If a value is out of range, or the cell cannot fit in this machine's memory.
    """

    d: int
    K: int
    m: int
    N: int
    alpha: float = 1.2

    def __post_init__(self) -> None:
        for name in ("d", "K", "m", "N"):
            check_integer(name, getattr(self, name), 1)
        if self.m > self.K:
            raise InputError(f"m = {self.m}: expected at most K = {self.K}")
        check_real("alpha", self.alpha)
        needed = _BYTES_PER_ENTRY * (self.K + self.d) * (self.N + HELDOUT_SAMPLES + self.K)
        if needed > _physical_memory():
            raise InputError(
                f"cell ({self}) needs {needed / 2**30:,.0f} GiB for its data alone: expected at"
                f" most this machine's {_physical_memory() / 2**30:,.0f} GiB"
            )

    def __str__(self) -> str:
        return f"d = {self.d}, K = {self.K}, m = {self.m}, N = {self.N}, alpha = {self.alpha:g}"

    @property
    def slug(self) -> str:
        """A name for files."""
        return f"d{self.d}_K{self.K}_m{self.m}_N{self.N}_alpha{self.alpha:g}"

    def spec(self, seed: int) -> ProblemSpec:
        """Return the problem draw that `seed` selects."""
        return toy_spec(self.d, self.K, self.m, self.N, self.alpha, seed)


PAPER_CELL = Cell(80, 100, 5, 100_000, 1.2)


@dataclass(frozen=True)
class RunConfig:
    """One training run: everything that decides its numbers, and nothing else.

    Attributes
    ----------
    cell : Cell
        The problem's shape.
    problem_seed : int
        Which draw of the problem.
    method : str
        Name in `benchmarks.methods.METHODS`.
    seeds : RunSeeds
        Initialisation, data order and prefixes.
    learning_rate : float
        Peak learning rate, above 0.
    n_steps, batch_size : int
        Optimiser steps and samples a step, at least 1.
    device : str
        Torch device.
    arithmetic : str
        "portable" gives the same bits on every processor; "fast" uses the machine's own
        linear algebra.
    """

    cell: Cell
    problem_seed: int
    method: str
    seeds: RunSeeds
    learning_rate: float
    n_steps: int = 1960
    batch_size: int = 1024
    device: str = "cpu"
    arithmetic: str = "portable"

    def __post_init__(self) -> None:
        check_integer("seed", self.problem_seed, 0)
        check_real("learning rate", self.learning_rate, above=0)
        check_integer("steps", self.n_steps, 1)
        check_integer("batch size", self.batch_size, 1)
        check_choice("arithmetic", self.arithmetic, ARITHMETICS)

    def key(self) -> str:
        """Return the run's name in a store: a hash of its fields."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:24]


def draw_seed(base: int, draw: int) -> int:
    """Return the problem seed of draw number `draw` of a table with seed `base`.

    Tuning draws have an axis of their own, so no table reports a problem that a learning rate
    was chosen on.
    """
    return derived_seed(base, Axis.PROBLEM_DRAW, draw)


def run_seeds(base: int, index: int) -> RunSeeds:
    """Return the seeds of the run number `index` on the problem draw with seed `base`.

    Every method's run `index` gets the same ones: same start, same data order. They do not
    depend on how many draws or runs there are, so more of either only adds runs.
    """
    axes = (Axis.INITIALISATION, Axis.DATA_ORDER, Axis.PREFIXES)
    return RunSeeds(*(derived_seed(base, axis, index) for axis in axes))
