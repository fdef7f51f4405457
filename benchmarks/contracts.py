"""What the items of the benchmark's folders are, and what passes between them.

A method never knows which metric scores it, a metric never knows which method it scores, and an
honest method is given data without the truth.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int
from torch import Tensor

from benchmarks.parameters import Parameter, Value
from benchmarks.spec import Budget
from osae_theory.errors import InputError
from osae_theory.metrics import LatentStatistics, Matching, match
from osae_theory.metrics.intervals import Bounds
from osae_theory.portable import matmul
from osae_theory.problems import ProblemSpec, SparseCodingProblem
from osae_theory.sae import RunSeeds

Params = Mapping[str, Value]
# The budget of the published tables.
STEPS = Budget()


@dataclass(frozen=True)
class Family:
    """A family of problems with known truth: one file in `benchmarks/families`.

    Attributes
    ----------
    name : str
        Its name on the command line and in identities.
    title : str
        For tables, such as "toy Gaussian model".
    parameters : sequence of Parameter
        What tells its problems apart.
    spec : callable
        Gives, for parameters and a problem seed, what to draw. Raises InputError for parameters
        that do not go together.
    n_heldout : int
        Held-out samples that every run is measured on.
    describe : callable, optional
        Gives a problem's title from its parameters, such as "d = 80, K = 100".
    learned : callable, optional
        Gives the number of atoms to learn and the number a sample may use, (K, m), where these
        are not the true ones.
    """

    name: str
    title: str
    parameters: Sequence[Parameter]
    spec: Callable[[Params, int], ProblemSpec]
    n_heldout: int = 10_000
    describe: Callable[[Params], str] | None = None
    learned: Callable[[Params], tuple[int, int]] | None = None

    def title_of(self, params: Params) -> str:
        """Return a problem's title."""
        if self.describe is not None:
            return self.describe(params)
        return ", ".join(f"{name} = {value}" for name, value in params.items())


@dataclass(frozen=True, eq=False)
class Data:
    """What a method is given.

    Attributes
    ----------
    rows : array of shape (N, d)
        Training samples, float32.
    K, m : int
        How many atoms to find, and how many a sample may use.
    truth : SparseCodingProblem or None
        The problem itself, for methods that declare that they see it; None for all others.
    """

    rows: Float[np.ndarray, "N d"]
    K: int
    m: int
    truth: SparseCodingProblem | None = None


@dataclass(frozen=True)
class Fit:
    """What the runs of one call of a method share.

    Attributes
    ----------
    params : mapping of str to value
        The method's parameters.
    budget : Budget
        In the method's own unit.
    device : str
        Torch device.
    arithmetic : str
        "portable" or "fast".
    """

    params: Params
    budget: Budget
    device: str = "cpu"
    arithmetic: str = "portable"


@runtime_checkable
class Encoder(Protocol):
    """From data to codes, as arrays: so that a stored run can be measured again."""

    @property
    def kind(self) -> str:
        """The name of its kind: that of a file in `benchmarks/encoders`."""
        ...

    @property
    def arrays(self) -> Mapping[str, np.ndarray]:
        """What it consists of, besides the dictionary."""
        ...

    def __call__(self, rows: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n K"]:
        """Return the codes of data rows (n, d), float32."""
        ...


@dataclass(frozen=True, eq=False)
class Fitted:
    """What a run gives to the metrics: a dictionary in the order learned, and its encoder.

    Attributes
    ----------
    dictionary : array of shape (d, K)
        Atoms as columns, in the order the method gives them.
    encoder : Encoder
        Maps data rows (n, d), float32, to codes (n, K).
    """

    dictionary: Float[np.ndarray, "d K"]
    encoder: Encoder


@dataclass(frozen=True)
class EncoderKind:
    """A kind of encoder that a run can be kept with: one file in `benchmarks/encoders`.

    Attributes
    ----------
    name : str
        The `kind` of its encoders.
    read : callable
        Gives an encoder back from the dictionary (d, K) and the encoder's `arrays`.
    """

    name: str
    read: Callable[[Float[np.ndarray, "d K"], Mapping[str, np.ndarray]], Encoder]


class Recipe(ABC):
    """How a method's runs are trained, where several can be trained in one program."""

    @abstractmethod
    def shared(self, K: int, m: int, how: Fit) -> Hashable | None:
        """Return what runs in one program have in common; None where each trains alone.

        Runs of one problem size and device for which it is equal can train in one program,
        whatever their draws, and their methods where nothing in it tells these apart.
        """

    @abstractmethod
    def train(
        self, parts: "Sequence[Part]", x: Float[Tensor, "sets N d"], sets: Sequence[int]
    ) -> list[Fitted | None]:
        """Train all runs of parts that can share a program, in their order.

        Parameters
        ----------
        parts : sequence of Part
            Parts to which `shared` gives the same.
        x : tensor of shape (sets, N, d)
            The training samples of the draws, on the device of the training.
        sets : sequence of int
            Which of them each part's runs are trained on.
        """


@dataclass(frozen=True, eq=False)
class Part:
    """Runs of one method on one draw.

    Attributes
    ----------
    recipe : Recipe
        The method's.
    data : Data
        The draw's; parts on one draw share the rows.
    how : Fit
        What the runs share.
    seeds : sequence of RunSeeds
        One for each.
    """

    recipe: Recipe
    data: Data
    how: Fit
    seeds: Sequence[RunSeeds]


FitFunction = Callable[[Data, Fit, Sequence[RunSeeds]], Sequence[Fitted | None]]


def never(params: Params, data: "Shape") -> str | None:
    """Return no reason: a method that can be run on any problem."""
    return None


def as_many_as_true(params: Params, data: "Shape") -> str | None:
    """Return why what the true dictionary gives cannot be measured, if its width is another."""
    if data.K == data.K_true:
        return None
    return f"{data.K} atoms are learned where there are {data.K_true} true ones"


@dataclass(frozen=True)
class Shape:
    """A problem's sizes.

    Attributes
    ----------
    d : int
        Dimension of the data.
    K, m : int
        Atoms to learn, and how many of them a sample may use.
    N : int
        Training samples.
    K_true : int
        True atoms; K by default.
    """

    d: int
    K: int
    m: int
    N: int
    K_true: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "K_true", self.K_true or self.K)

    @property
    def n_pairs(self) -> int:
        """How many learned atoms can be matched with true ones, one to one."""
        return min(self.K, self.K_true)


@dataclass(frozen=True)
class Method:
    """A dictionary-learning method under test: one file in `benchmarks/methods`.

    Attributes
    ----------
    name : str
        Its name on the command line and in identities.
    title : str
        Its name in tables and figures.
    fit : callable
        Given data, what its runs share and one RunSeeds a run, fits one dictionary a run; None
        for a run that diverged. A run must not depend on which others it is fitted with.
    parameters : sequence of Parameter
        What can be set: `name[parameter=value]` on the command line.
    sees : {"data", "truth"}
        "truth" is for oracles, which are marked in every table.
    budget : Budget
        Its default budget, in its own unit.
    deterministic : bool
        Whether runs with other seeds are the same: then one run a draw is enough.
    skip : callable
        Given its parameters and the problem's sizes, returns why it cannot be run there, or None.
    portable : bool
        Whether, in portable arithmetic, its bits are the same on any machine.
    tuned_as : str
        The method whose tuned values are its own too, where it is that method with one thing
        changed: what it is worth is then seen at one and the same rate. Empty if it has its own.
    recipe : Recipe, optional
        What `fit` does, where that is a training whose runs can be trained with others'.
    """

    name: str
    title: str
    fit: FitFunction
    parameters: Sequence[Parameter] = ()
    sees: Literal["data", "truth"] = "data"
    budget: Budget = STEPS
    deterministic: bool = False
    skip: Callable[[Params, Shape], str | None] = never
    portable: bool = True
    tuned_as: str = ""
    recipe: Recipe | None = None

    @property
    def unit(self) -> str:
        """The unit of its budget."""
        return self.budget.unit

    @property
    def tuned(self) -> tuple[str, ...]:
        """The names of the parameters that the tuning protocol chooses."""
        return tuple(parameter.name for parameter in self.parameters if parameter.tuned)

    def title_with(self, params: Params, tuned: Params, more: Sequence[str] = ()) -> str:
        """Return its title with those settings that are not as if nobody had said anything.

        Parameters
        ----------
        params, tuned : mapping of str to value
            All its parameters, and the values of those that are tuned.
        more : sequence of str
            What else is to be said.
        """
        said = [
            f"{p.name} {params[p.name]}"
            for p in self.parameters
            if params.get(p.name) != (tuned.get(p.name) if p.tuned else p.default)
        ]
        said += more
        return self.title_as(", ".join(said)) if said else self.title

    def title_as(self, said: str) -> str:
        """Return its title with words in brackets, after those that it has there."""
        if self.title.endswith(")"):
            return f"{self.title[:-1]}, {said})"
        return f"{self.title} ({said})"


@dataclass(frozen=True, eq=False)
class Scored:
    """One fitted run on its problem, with what metrics need, computed when first asked for.

    Attributes
    ----------
    fitted : Fitted
        What the run gave.
    problem, heldout : SparseCodingProblem
        The training and the held-out samples, with their truth.
    tie_seed : int
        Latents of equal score are put in an order drawn from it: the order before them would
        carry the order as trained into the sorted one.
    """

    fitted: Fitted
    problem: SparseCodingProblem
    heldout: SparseCodingProblem
    tie_seed: int

    @cached_property
    def latents(self) -> LatentStatistics:
        """Counts and energies of the latents on the training samples."""
        return LatentStatistics.of(self._codes_of(self.problem).T)

    @cached_property
    def codes(self) -> Float[np.ndarray, "K N"]:
        """Codes of the held-out samples, float64."""
        return self._codes_of(self.heldout).T.astype(np.float64)

    @cached_property
    def reconstruction(self) -> Float[np.ndarray, "d N"]:
        """The dictionary times those codes."""
        return matmul(self.fitted.dictionary, self.codes)

    @cached_property
    def n_pairs(self) -> int:
        """How many latents can be matched with true atoms, one to one."""
        return min(self.fitted.dictionary.shape[1], self.problem.K)

    @cached_property
    def live(self) -> tuple[Bool[np.ndarray, " K"], Bool[np.ndarray, " K_true"]]:
        """Which latents are ever active, and which true atoms the training samples hold."""
        return ~self.latents.dead, (self.problem.codes != 0).any(axis=1)

    @cached_property
    def matching(self) -> Matching:
        """The dictionary matched to the true one; its Ord is over live latents and atoms.

        Where one has fewer atoms than the other, zero atoms follow its own: a latent matched
        with one of these has no true atom, and no place in Ord.
        """
        return self.matched()

    def matched(self, absolute: bool = False) -> Matching:
        """Return the matching by signed or by absolute cosines; see `matching`."""
        dictionaries = (self.fitted.dictionary, self.problem.dictionary)
        width = max(D.shape[1] for D in dictionaries)
        first, second = (padded(D, width) for D in dictionaries)
        alive = (padded(self.live[0], width), padded(self.live[1], width))
        return match(first, second, absolute, live=alive)

    def stability(self, matching: Matching) -> float:
        """Return Stab over as many pairs as the narrower of the two dictionaries has atoms."""
        values = np.abs(matching.similarities) if matching.absolute else matching.similarities
        if self.n_pairs == len(values):
            return matching.stability
        return float(values.sum() / self.n_pairs)

    @cached_property
    def by_energy(self) -> Int[np.ndarray, " width"]:
        """The latents by falling energy; then, where there are more true atoms, nobody."""
        return self._order(self.latents.order_by_energy(self.tie_seed))

    @cached_property
    def by_frequency(self) -> Int[np.ndarray, " width"]:
        """The latents by falling frequency; then, where there are more true atoms, nobody."""
        return self._order(self.latents.order_by_frequency(self.tie_seed))

    def _order(self, latents: Int[np.ndarray, " K"]) -> Int[np.ndarray, " width"]:
        return np.concatenate([latents, np.arange(len(latents), max(len(latents), self.problem.K))])

    def _codes_of(self, problem: SparseCodingProblem) -> Float[np.ndarray, "N K"]:
        if self.fitted.encoder.kind == "truth":
            return np.ascontiguousarray(problem.codes.T)
        return self.fitted.encoder(problem.rows(np.float32)[0])


def padded(columns: np.ndarray, width: int) -> np.ndarray:
    """Return an array with zeros, or False, after its last column up to `width` of them."""
    missing = width - columns.shape[-1]
    return np.pad(columns, [(0, 0)] * (columns.ndim - 1) + [(0, missing)]) if missing else columns


RunMetric = Callable[[Scored], float]
PairMetric = Callable[[Float[np.ndarray, "d K"], Float[np.ndarray, "d K"]], float]


@dataclass(frozen=True)
class Metric:
    """A measurement: one file in `benchmarks/metrics`.

    Exactly one of `of_run`, `of_pair` and `of_value` says how it is computed. A value that is
    not finite is one that is not defined.

    Attributes
    ----------
    name : str
        Its name in files and identities: NAME_mean, NAME_ci95 and so on.
    title, short : str
        Its name for a reader, and in the narrow table for the terminal.
    place : int
        Where it stands in tables: lower first.
    of_run : callable, optional
        Computes it from a scored run.
    of_pair : callable, optional
        Computes it from the dictionaries (d, K) of two runs of one method on one problem draw.
    of_value : (str, callable), optional
        Another metric's name, and how this one follows from its value and the problem's sizes:
        it is never stored.
    better : int
        1 if higher is better, -1 if lower is, 0 if neither.
    margin : float, optional
        Differences between methods that are smaller count as none; None where no such margin
        was fixed beforehand.
    bounds : pair of float
        The least and the greatest value it can have.
    chance : callable, optional
        Its chance level, given the problem's sizes; None where it has none.
    question : bool
        Whether methods are compared in it: one of the questions fixed beforehand.
    """

    name: str
    title: str
    short: str
    place: int
    of_run: RunMetric | None = None
    of_pair: PairMetric | None = None
    of_value: tuple[str, Callable[[float, Shape], float]] | None = None
    better: Literal[1, 0, -1] = 1
    margin: float | None = None
    bounds: Bounds = (-math.inf, math.inf)
    chance: Callable[[Shape], float | None] | None = None
    question: bool = False

    def __post_init__(self) -> None:
        ways = (self.of_run, self.of_pair, self.of_value)
        if sum(way is not None for way in ways) != 1:
            raise InputError(
                f"metric {self.name}: expected exactly one of of_run, of_pair and of_value"
            )

    @property
    def scope(self) -> Literal["run", "pair", "derived"]:
        """What it is a measurement of."""
        if self.of_run is not None:
            return "run"
        return "derived" if self.of_pair is None else "pair"


@dataclass(frozen=True)
class Preset:
    """A named study: problems, methods, and how many draws and seeds of each.

    Attributes
    ----------
    name : str
        After `--grid` on the command line.
    title : str
        What it is for, in a few words.
    problems : sequence of (str, mapping)
        A family's name and its parameters, a problem each.
    methods : sequence of str
        Selectors of methods, such as "osae-zipf[alpha=1]".
    draws, seeds : int
        Problem draws, and runs of a method on each.
    budget : mapping of str to int
        Amounts by their unit, where they are not the methods' own.
    """

    name: str
    title: str
    problems: Sequence[tuple[str, Params]]
    methods: Sequence[str]
    draws: int
    seeds: int
    budget: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
