"""The figures of the paper's Table 1, to stand beside ours (arXiv 2512.02194)."""

from collections.abc import Mapping
from types import MappingProxyType

from benchmarks.analysis.names import Cell
from benchmarks.contracts import Params

FAMILY = "toy"
CELL: Params = MappingProxyType({"d": 80, "K": 100, "m": 5, "N": 100_000, "alpha": 1.2})
TABLE_1: Mapping[str, Mapping[str, tuple[float, float]]] = MappingProxyType(
    {
        "topk": {
            "stab_pairs": (0.572, 0.00964),
            "stab_truth": (0.479, 0.0104),
            "ord_truth": (0.0162, 0.128),
            "mse": (0.0257, 0.000841),
        },
        "msae-fixed": {
            "stab_pairs": (0.538, 0.0114),
            "stab_truth": (0.502, 0.0160),
            "ord_truth": (0.119, 0.673),
            "mse": (0.0339, 0.00635),
        },
        "msae-random": {
            "stab_pairs": (0.531, 0.0150),
            "stab_truth": (0.480, 0.0106),
            "ord_truth": (0.0544, 0.0760),
            "mse": (0.0309, 0.00366),
        },
        "osae": {
            "stab_pairs": (0.664, 0.0191),
            "stab_truth": (0.814, 0.0195),
            "ord_truth": (0.734, 0.0758),
            "mse": (0.00725, 0.000746),
        },
    }
)


def is_papers_cell(cell: Cell) -> bool:
    """Return whether a cell is that of the paper's Table 1."""
    return cell.family == FAMILY and dict(cell.params) == dict(CELL)


def published(cell: Cell, method: str, metric: str) -> tuple[float, float] | None:
    """Return the paper's mean and standard deviation; None where the paper has none."""
    return TABLE_1.get(method, {}).get(metric) if is_papers_cell(cell) else None
