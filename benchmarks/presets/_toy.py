"""Products of small axes of the toy model."""

from collections.abc import Sequence
from itertools import product

from benchmarks.contracts import Params

PAPER_METHODS = ("topk", "msae-fixed", "msae-random", "osae")
PAPER_CELL: Params = {"d": 80, "K": 100, "m": 5, "N": 100_000}


def toy_cells(
    shapes: Sequence[tuple[int, int]],
    sparsities: Sequence[int],
    samples: Sequence[int],
    alphas: Sequence[float],
) -> list[tuple[str, Params]]:
    """Return the product of shapes (d, K), sparsities m, sample sizes N and exponents alpha."""
    return [
        ("toy", {"d": d, "K": K, "m": m, "N": N, "alpha": alpha})
        for (d, K), m, N, alpha in product(shapes, sparsities, samples, alphas)
    ]
