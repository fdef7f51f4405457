"""`python -m benchmarks.speed.pursuit`: samples a second of pursuit, ours and other libraries'.

All code the same samples with the same atoms, in turn, round by round, on one thread; ours and the
one of scikit-learn all of them, that of dictlearn, if it is installed, a part. scikit-learn's is
signed: it is compared with our signed one. A support is equal if it has the same atoms.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec

import numpy as np
from jaxtyping import Bool, Float
from sklearn.linear_model import orthogonal_mp_gram
from tabulate import tabulate

from osae_theory.command_line import Parser, run
from osae_theory.errors import check_integer
from osae_theory.problems import toy_spec
from osae_theory.pursuit import nonnegative_omp
from osae_theory.threads import limited_threads

MODULE = "benchmarks.speed.pursuit"
_MOST = 10_000_000
_OURS = {False: "ours", True: "ours, signed"}

Codes = Float[np.ndarray, "n K"]
Way = Callable[[Float[np.ndarray, "n d"], Float[np.ndarray, "K d"], int], Codes]


@dataclass(frozen=True)
class Contender:
    """Somebody's pursuit.

    Attributes
    ----------
    name : str
        For the table.
    way : callable
        Gives the codes (n, K) of samples (n, d), for atoms (K, d) and m.
    signed : bool
        Whether codes may be negative.
    share : int
        It codes one in so many of the samples.
    """

    name: str
    way: Way
    signed: bool
    share: int = 1


@dataclass(frozen=True)
class Measured:
    """What one contender did.

    Attributes
    ----------
    name : str
        For the table.
    per_second : float
        Samples a second, the median over rounds; None if it is not installed.
    samples : int
        How many it coded each round.
    equal_supports : float
        The share of its samples whose support is that of our pursuit of its kind; None likewise.
    """

    name: str
    per_second: float | None
    samples: int
    equal_supports: float | None


def _ours(signed: bool) -> Way:
    def way(X: Float[np.ndarray, "n d"], atoms: Float[np.ndarray, "K d"], m: int) -> Codes:
        return nonnegative_omp(X, atoms, m, signed=signed).dense(len(atoms))

    return way


def _scikit_learn(X: Float[np.ndarray, "n d"], atoms: Float[np.ndarray, "K d"], m: int) -> Codes:
    codes = orthogonal_mp_gram(atoms @ atoms.T, atoms @ X.T, n_nonzero_coefs=m)
    return np.asarray(codes).T


def _dictlearn(algorithm: str) -> Way:
    def way(X: Float[np.ndarray, "n d"], atoms: Float[np.ndarray, "K d"], m: int) -> Codes:
        from dictlearn import sparse_encode  # pyright: ignore[reportMissingImports]

        return np.asarray(sparse_encode(X, atoms, algorithm=algorithm, n_nonzero_coefs=m))

    return way


def contenders() -> list[Contender]:
    """Return all, also those that are not installed here."""
    return [
        Contender(_OURS[False], _ours(False), False),
        Contender("dictlearn nnomp", _dictlearn("nnomp"), False, share=10),
        Contender(_OURS[True], _ours(True), True),
        Contender("dictlearn omp", _dictlearn("omp"), True),
        Contender("scikit-learn orthogonal_mp_gram", _scikit_learn, True),
    ]


def measure(d: int, K: int, m: int, N: int, rounds: int) -> list[Measured]:
    """Return what each contender does on a toy problem, and those that are not installed."""
    problem = toy_spec(d, K, m, N).draw()
    X, atoms = problem.data.T.copy(), np.ascontiguousarray(problem.dictionary.T)
    all_of_them = contenders()
    able = [one for one in all_of_them if "dictlearn" not in one.name or find_spec("dictlearn")]
    supports: dict[str, Bool[np.ndarray, "n K"]] = {}
    seconds: dict[str, list[float]] = {one.name: [] for one in able}
    with limited_threads(1):
        # The first round compiles and does not count.
        for counts in [False, *[True] * rounds]:
            for one in able:
                rows = X[: max(N // one.share, 1)]
                started = time.perf_counter()
                codes = one.way(rows, atoms, m)
                if counts:
                    seconds[one.name].append(time.perf_counter() - started)
                supports[one.name] = codes != 0
    return [
        _measured(one, seconds[one.name], supports)
        if one in able
        else Measured(one.name, None, 0, None)
        for one in all_of_them
    ]


def _measured(
    one: Contender, seconds: Sequence[float], supports: dict[str, Bool[np.ndarray, "n K"]]
) -> Measured:
    found = supports[one.name]
    n = len(found)
    equal = (found == supports[_OURS[one.signed]][:n]).all(axis=1)
    return Measured(one.name, n / float(np.median(seconds)), n, float(equal.mean()))


def table(found: Sequence[Measured]) -> str:
    """Return the measurements as a table in Markdown."""
    rows = [
        (one.name, "not installed", "", "")
        if one.per_second is None
        else (one.name, f"{one.per_second:,.0f}", f"{one.samples:,}", f"{one.equal_supports:.4f}")
        for one in found
    ]
    headers = ("pursuit", "samples a second", "samples", "supports equal to ours")
    return tabulate(rows, headers, tablefmt="github", disable_numparse=True)


def parser() -> Parser:
    """Return the command line's parser."""
    p = Parser(
        MODULE, "Time orthogonal matching pursuit, ours and other libraries', on one thread."
    )
    for name, value, words in (
        ("d", 80, "dimension"),
        ("K", 100, "atoms"),
        ("m", 5, "atoms a sample"),
        ("N", 10_000, "samples"),
        ("rounds", 5, "rounds that count"),
    ):
        p.add_argument(f"--{name}", type=int, default=value, help=f"{words} (default: {value})")
    p.add_argument("--json", action="store_true", help="print JSON and nothing else")
    return p


def do(options: argparse.Namespace) -> None:
    """Measure and print."""
    for name in ("d", "K", "m", "N", "rounds"):
        check_integer(f"--{name}", getattr(options, name), 1, _MOST)
    found = measure(options.d, options.K, options.m, options.N, options.rounds)
    print(json.dumps([asdict(one) for one in found]) if options.json else table(found))


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    return run(parser(), do, given)


if __name__ == "__main__":
    sys.exit(main())
