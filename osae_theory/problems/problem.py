"""The paper's model X = D* Y* as a value: its description, and the arrays drawn from it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from jaxtyping import Float, Int

from osae_theory.arrays import ArrayLike, array
from osae_theory.certificates import Certificate
from osae_theory.errors import (
    InputError,
    check_choice,
    check_finite,
    check_integer,
    check_real,
)
from osae_theory.portable import exp, standard_normal
from osae_theory.problems.dictionaries import Dictionary, GaussianDictionary
from osae_theory.problems.geometry import check_dictionary, gaussian_columns
from osae_theory.problems.rows import listed
from osae_theory.problems.supports import Supports, ZipfSupports
from osae_theory.problems.values import HalfNormalValues, Values
from osae_theory.seeds import Axis, generator

_CHUNK_ENTRIES = 1 << 15
_LN_10 = 2.302585092994046
# Of the stream on the axis of laws that the bias comes from: part of the results.
_BIAS = 0
# The index of each split's random streams: part of the results, never renumber.
SPLITS: Mapping[str, int] = MappingProxyType({"train": 0, "heldout": 1})


@dataclass(frozen=True)
class ProblemSpec:
    """A problem as plain fields, from which the same arrays can be drawn again.

    Each field has its own random stream, derived from `seed`: changing the law of the values
    leaves dictionary, supports and noise as they were, and so on.

    Parameters
    ----------
    dictionary : Dictionary
        Description of D*; gives d and K.
    supports : Supports
        Law of the supports; gives m.
    values : Values
        Law of the nonzero codes.
    n_samples : int
        N, at least 1.
    snr_db : float, optional
        Signal-to-noise ratio in decibels, in [-300, 300], beyond which rounding to float64 would
        lose the signal or the noise; None for data without noise.
    seed : int
        At least 0.
    bias : float
        Length, at least 0, of one vector that is added to every sample, its direction uniform;
        no part of the signal that `snr_db` is about.

    Raises
    ------
    InputError
        If a field is outside its range, or supports or values cannot serve K atoms.
    """

    dictionary: Dictionary
    supports: Supports
    values: Values
    n_samples: int
    snr_db: float | None = None
    seed: int = 0
    bias: float = 0.0

    def __post_init__(self) -> None:
        for name, kind in (("dictionary", Dictionary), ("supports", Supports), ("values", Values)):
            part = getattr(self, name)
            if isinstance(part, type) or not isinstance(part, kind):
                raise InputError(f"{name} = {part!r}: expected an instance of {kind.__name__}")
        check_integer("n_samples", self.n_samples, 1)
        check_integer("seed", self.seed, 0)
        if self.snr_db is not None:
            check_real("snr_db", self.snr_db, at_least=-300.0, at_most=300.0)
        check_real("bias", self.bias, at_least=0.0)
        self.supports.check(self.K)
        self.values.check(self.K)

    @property
    def d(self) -> int:
        """Dimension of the data."""
        return self.dictionary.d

    @property
    def K(self) -> int:
        """Number of atoms."""
        return self.dictionary.K

    @property
    def m(self) -> int:
        """Number of atoms in every support; the most there can be, where that varies."""
        return self.supports.m

    def draw(
        self, split: str = "train", n_samples: int | None = None, certified: bool = False
    ) -> "SparseCodingProblem":
        """Return the problem's arrays, the same bits for the same spec and arguments.

        Parameters
        ----------
        split : str
            "train" or "heldout": they share the dictionary and differ in the samples.
        n_samples : int, optional
            N, in place of the spec's.
        certified : bool
            Attach a proof that the m-sparse codes are the only ones for the dictionary drawn
            (`osae_theory.uniqueness.certify_problem`), or refuse with the reason.

        Raises
        ------
        InputError
            If an argument is outside its range, the dictionary cannot be drawn as described, or
            a certificate is asked for and there is none.
        """
        check_choice("split", split, SPLITS)
        n = self.n_samples if n_samples is None else n_samples
        check_integer("n_samples", n, 1)
        index = SPLITS[split]
        try:
            return self._drawn(n, index, certified)
        except MemoryError as error:
            raise InputError(
                f"n_samples = {n}: expected fewer, for arrays of d = {self.d} and K = {self.K} "
                "rows that fit into memory"
            ) from error

    def _drawn(self, n: int, index: int, certified: bool) -> "SparseCodingProblem":
        dictionary = self.dictionary.draw(generator(self.seed, Axis.DICTIONARY))
        check_dictionary(dictionary)
        supports = self.supports.draw(self.K, n, generator(self.seed, Axis.SUPPORTS, index))
        values = self.values.draw(supports, generator(self.seed, Axis.VALUES, index))
        supports, values = _without_padding(supports, values)
        codes = _dense_codes(supports, values, self.K)
        data, noise, bias = _combined(dictionary, supports, values), None, None
        if self.snr_db is not None:
            noise = _noise_at(data, float(self.snr_db), generator(self.seed, Axis.NOISE, index))
            data = data + noise
        if self.bias:
            rng = generator(self.seed, Axis.LAWS, _BIAS)
            bias = float(self.bias) * gaussian_columns(self.d, 1, rng)[:, 0]
            data = data + bias[:, None]
        problem = SparseCodingProblem(dictionary, codes, data, noise, self, bias=bias)
        if not certified:
            return problem
        # Imported here, since certificates are about problems and stand above them.
        from osae_theory.uniqueness import certify_problem

        return replace(problem, certificate=certify_problem(problem))


@dataclass(frozen=True, eq=False)
class SparseCodingProblem:
    """Data with the dictionary and the codes that made it, X = D* Y* (+ R + b), samples as columns.

    Made by `ProblemSpec.draw` or `problem_from_arrays`, which check what they are given; the
    constructor trusts its arguments.

    Parameters
    ----------
    dictionary : Float[np.ndarray, "d K"]
        D*, unit-norm columns.
    codes : Float[np.ndarray, "K N"]
        Y*.
    data : Float[np.ndarray, "d N"]
        X.
    noise : Float[np.ndarray, "d N"], optional
        R, or None for data without noise.
    spec : ProblemSpec, optional
        Where the arrays came from; None for arrays made by hand.
    certificate : Certificate, optional
        A proof that the codes are the only m-sparse ones for the dictionary, if asked for.
    bias : Float[np.ndarray, " d"], optional
        b, the same for every sample, or None for data without one.
    """

    dictionary: Float[np.ndarray, "d K"]
    codes: Float[np.ndarray, "K N"]
    data: Float[np.ndarray, "d N"]
    noise: Float[np.ndarray, "d N"] | None = None
    spec: ProblemSpec | None = None
    certificate: Certificate | None = None
    bias: Float[np.ndarray, " d"] | None = None

    @property
    def d(self) -> int:
        """Dimension of the data."""
        return self.dictionary.shape[0]

    @property
    def K(self) -> int:
        """Number of atoms."""
        return self.dictionary.shape[1]

    @property
    def n_samples(self) -> int:
        """Number of samples, N."""
        return self.data.shape[1]

    @property
    def m(self) -> int:
        """Largest number of atoms that any sample uses."""
        return int(np.count_nonzero(self.codes, axis=0).max())

    @property
    def supports(self) -> Int[np.ndarray, "N m"]:
        """Indices of each sample's atoms, one sample a row, ascending.

        A sample with fewer atoms than the largest has its row filled up with -1. Computed from
        the codes at every call.
        """
        return listed(self.codes.T != 0, self.m)

    def rows(
        self, dtype: type[np.floating] = np.float32
    ) -> tuple[
        Float[np.ndarray, "N d"],
        Float[np.ndarray, "N K"],
        Float[np.ndarray, "K d"],
    ]:
        """Return data, codes and atoms as rows, the layout of the training code.

        This is the one place where the paper's columns, X (d, N), Y (K, N) and D (d, K), become
        the rows of training code. The arrays are contiguous copies: changing them does not
        change the problem.

        Parameters
        ----------
        dtype : type of numpy floating number
            Precision of the copies.
        """
        data, codes, atoms = (
            np.array(columns.T, dtype=dtype, order="C")
            for columns in (self.data, self.codes, self.dictionary)
        )
        return data, codes, atoms


def toy_spec(
    d: int, K: int, m: int, n_samples: int, alpha: float = 1.2, seed: int = 0
) -> ProblemSpec:
    """Return the paper's toy Gaussian model (section 3.1); Table 1 has (80, 100, 5, 100000).

    Parameters
    ----------
    d, K, m, n_samples : int
        Dimension, atoms, atoms in a support (at most K) and samples, each at least 1.
    alpha : float
        Zipf exponent of the supports' weights.
    seed : int
        At least 0.

    Raises
    ------
    InputError
        If an argument is outside its range.
    """
    return ProblemSpec(
        dictionary=GaussianDictionary(d, K),
        supports=ZipfSupports(m, alpha),
        values=HalfNormalValues(),
        n_samples=n_samples,
        seed=seed,
    )


def problem_from_arrays(
    dictionary: ArrayLike, codes: ArrayLike, noise: ArrayLike | None = None
) -> SparseCodingProblem:
    """Return the problem X = D Y (+ R) of a hand-made instance.

    Parameters
    ----------
    dictionary : array
        Shape (d, K), columns of unit norm to 1e-8.
    codes : array
        Shape (K, N).
    noise : array, optional
        Shape (d, N).

    Returns
    -------
    SparseCodingProblem
        With float64 copies of the arrays and no spec.

    Raises
    ------
    InputError
        If an array is not finite, a shape does not agree, or a column's norm is not 1.
    """
    D = _as_float64("dictionary", dictionary)
    check_dictionary(D)
    Y = _as_float64("codes", codes)
    if Y.ndim != 2 or Y.shape[0] != D.shape[1] or Y.shape[1] == 0:
        raise InputError(f"codes of shape {Y.shape}: expected (K, N) with K = {D.shape[1]}, N > 0")
    check_finite("codes", Y)
    X = D @ Y
    if noise is None:
        return SparseCodingProblem(D, Y, X)
    R = _as_float64("noise", noise)
    if R.shape != X.shape:
        raise InputError(f"noise of shape {R.shape}: expected the data's shape {X.shape}")
    check_finite("noise", R)
    return SparseCodingProblem(D, Y, X + R, R)


def _as_float64(name: str, values: ArrayLike) -> np.ndarray:
    return np.array(array(name, values, finite=False), dtype=np.float64)


def _without_padding(
    supports: Int[np.ndarray, "N m"], values: Float[np.ndarray, "N m"]
) -> tuple[Int[np.ndarray, "N w"], Float[np.ndarray, "N w"]]:
    """Return supports and values without columns that no sample uses, values 0 at a -1."""
    unused = supports < 0
    if not unused[:, -1].any():
        return supports, values
    width = int((~unused).any(axis=0).sum())
    return supports[:, :width], np.where(unused, 0.0, values)[:, :width]


def _dense_codes(
    supports: Int[np.ndarray, "N m"], values: Float[np.ndarray, "N m"], K: int
) -> Float[np.ndarray, "K N"]:
    """Return the code matrix, laid out one sample after another so that filling it is fast."""
    rows = np.zeros((len(supports), K))
    if (supports < 0).any():
        held = supports >= 0
        rows[np.nonzero(held)[0], supports[held]] = values[held]
    else:
        np.put_along_axis(rows, supports, values, axis=1)
    return rows.T


def _combined(
    dictionary: Float[np.ndarray, "d K"],
    supports: Int[np.ndarray, "N m"],
    values: Float[np.ndarray, "N m"],
) -> Float[np.ndarray, "d N"]:
    """Return D Y as a sum over each sample's atoms, in the order of their indices.

    A place without an atom holds -1 and the value 0, which leaves the sum as it is.
    """
    atoms = np.ascontiguousarray(dictionary.T)
    rows = np.zeros((len(supports), atoms.shape[1]))
    size = max(_CHUNK_ENTRIES // atoms.shape[1], 1)
    for start in range(0, len(rows), size):
        part = slice(start, start + size)
        for places, factors in zip(supports[part].T, values[part].T, strict=True):
            rows[part] += factors[:, None] * atoms[places]
    return rows.T


def _noise_at(
    signal: Float[np.ndarray, "d N"], snr_db: float, rng: np.random.Generator
) -> Float[np.ndarray, "d N"]:
    """Return Gaussian noise whose realised ratio to `signal` is exactly `snr_db` decibels."""
    noise = standard_normal(rng, signal.shape)
    ratio = float(exp(np.array(-snr_db / 20 * _LN_10)))
    target = math.sqrt(float((signal * signal).sum())) * ratio
    noise *= target / math.sqrt(float((noise * noise).sum()))
    return noise
