"""Presets of cells for `python -m benchmarks.toy --grid`: products of small axes."""

from collections.abc import Mapping
from itertools import product
from types import MappingProxyType

from benchmarks.config import Cell


def _cells(
    shapes: tuple[tuple[int, int], ...], sparsities: tuple[int, ...], alphas: tuple[float, ...]
) -> tuple[Cell, ...]:
    return tuple(
        Cell(d, K, m, 20_000, alpha) for (d, K), m, alpha in product(shapes, sparsities, alphas)
    )


PRESETS: Mapping[str, tuple[Cell, ...]] = MappingProxyType(
    {"default": _cells(((16, 20), (16, 32)), (2, 3), (0.6, 1.2))}
)
