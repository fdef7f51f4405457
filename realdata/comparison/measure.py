"""`python -m realdata.comparison.measure`: what a matching of very many atoms or latents takes.

Of two made-up SAEs 40% of the atoms, or of the latents, are the same but for noise. The time is
that of the processor, of one matching on signed similarities over each one's nearest 32; the
memory is the most that the process has had, so that one command measures one matching.
"""

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
from tabulate import tabulate

from osae_theory.command_line import Parser, run
from osae_theory.errors import LARGEST_INTEGER, check_integer
from osae_theory.metrics import match_candidate_similarities, match_similarities
from osae_theory.metrics.chance import MOST_DENSE
from osae_theory.metrics.similarities import Cosines, Similarities
from realdata.latents.correlations import LatentCorrelations
from realdata.latents.sparse import SparseLatents

KINDS = ("cosines", "correlations")
SHARED = 0.4
# Latents fire with weights that fall slowly with their place, as those of an SAE do.
_EXPONENT, _OFFSET = 0.7, 10.0
_NOISE = 0.3
_CHUNK = 4096
_MOST = 10_000_000


@dataclass(frozen=True)
class Measured:
    """What one matching took and gave.

    Attributes
    ----------
    kind : str
        "cosines" or "correlations".
    K : int
        Atoms or latents of each side.
    stability, bound : float
        Stab of the matching, and what no matching exceeds.
    best : float or None
        Stab of the best matching, up to 4,096 of each.
    seconds : float
        Of the processor, for the similarities and the matching.
    megabytes : float
        The most that the process has had by then.
    """

    kind: str
    K: int
    stability: float
    bound: float
    best: float | None
    seconds: float
    megabytes: float


def measure(kind: str, K: int, d: int, n_samples: int, active: int, seed: int) -> Measured:
    """Match two made-up SAEs of K latents, and return what it took.

    Parameters
    ----------
    kind : {"cosines", "correlations"}
        By atoms of length d, or by `active` latents on each of n_samples samples.
    K, d, n_samples, active, seed : int
        Seed at least 0, samples at least 2, the others at least 1.
    """
    rng = np.random.default_rng(seed)
    made = _cosines(rng, K, d) if kind == KINDS[0] else _correlations(rng, K, n_samples, active)
    started = time.process_time()
    some = made()
    found = match_candidate_similarities(some)
    seconds = time.process_time() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    best = match_similarities(some.whole()).stability if K <= MOST_DENSE else None
    return Measured(kind, K, found.stability, found.upper_bound, best, seconds, peak)


def _cosines(rng: np.random.Generator, K: int, d: int) -> Callable[[], Similarities]:
    first, second = rng.standard_normal((2, d, K), dtype=np.float32)
    shared = rng.random(K) < SHARED
    second[:, shared] = first[:, shared] + _NOISE * second[:, shared]
    second = second[:, rng.permutation(K)]
    return lambda: Cosines.of(first, second)


def _correlations(
    rng: np.random.Generator, K: int, n: int, active: int
) -> Callable[[], Similarities]:
    weights = (np.arange(K) + _OFFSET) ** -_EXPONENT
    shape, permutation, shared = (n, active), rng.permutation(K), rng.random(K) < SHARED

    def drawn() -> tuple[np.ndarray, np.ndarray]:
        # One drawn twice for a sample is as strong as both.
        places = rng.choice(K, shape, p=weights / weights.sum()).astype(np.int32)
        return places, np.abs(rng.standard_normal(shape)).astype(np.float32)

    (places, values), (others, other_values) = drawn(), drawn()
    kept = shared[places]
    noisy = values * (1 + _NOISE * rng.standard_normal(shape)).astype(np.float32)
    others = np.where(kept, permutation[places], others)
    other_values = np.where(kept, noisy, other_values)
    sides = _chunks(places, values, K), _chunks(others, other_values, K)
    return lambda: LatentCorrelations.of(*sides)


def _chunks(places: np.ndarray, values: np.ndarray, K: int) -> list[SparseLatents]:
    parts = (slice(start, start + _CHUNK) for start in range(0, len(places), _CHUNK))
    return [SparseLatents(places[part], values[part], K) for part in parts]


def table(found: Measured) -> str:
    """Return the measurement as a table in Markdown."""
    headers = ("matched by", "K", "Stab", "best is higher by at most", "by", "seconds", "MB")
    known = "unknown" if found.best is None else f"{found.best - found.stability:.5f}"
    most = f"{found.bound - found.stability:.5f}"
    row = (found.kind, f"{found.K:,}", f"{found.stability:.5f}", most, known)
    sizes = (f"{found.seconds:.1f}", f"{found.megabytes:,.0f}")
    return tabulate([(*row, *sizes)], headers, tablefmt="github", disable_numparse=True)


def parser() -> Parser:
    """Return the command line's parser."""
    p = Parser(
        "realdata.comparison.measure", "Time a matching of very many made-up atoms or latents."
    )
    p.add_argument("kind", choices=KINDS, help="what is matched by")
    for name, value, words in (
        ("K", 16_384, "atoms or latents"),
        ("d", 576, "length of the atoms"),
        ("samples", 50_000, "samples, for correlations"),
        ("active", 32, "active latents a sample, of which one may be drawn twice"),
        ("seed", 0, "of what is made up"),
    ):
        p.add_argument(f"--{name}", type=int, default=value, help=f"{words} (default: {value})")
    p.add_argument("--json", action="store_true", help="print JSON and nothing else")
    return p


def do(options: argparse.Namespace) -> None:
    """Measure and print."""
    for name, least, most in (
        ("K", 1, _MOST),
        ("d", 1, _MOST),
        ("samples", 2, _MOST),
        ("active", 1, options.K),
        ("seed", 0, LARGEST_INTEGER),
    ):
        check_integer(f"--{name}", getattr(options, name), least, most)
    found = measure(
        options.kind, options.K, options.d, options.samples, options.active, options.seed
    )
    print(json.dumps(asdict(found)) if options.json else table(found))


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    return run(parser(), do, given)


if __name__ == "__main__":
    sys.exit(main())
