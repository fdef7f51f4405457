"""The paper's toy problems: Table 1, the smaller dictionaries of Fig. 9, the sweep of Fig. 10."""

from benchmarks.contracts import Preset
from benchmarks.presets._toy import PAPER_CELL, PAPER_METHODS

_SMALLER = ((10, 2), (30, 3), (50, 5))
EXPONENTS = (0.0, 0.5, 1.0, 1.5, 2.0)

PRESET = Preset(
    "paper",
    "the paper's Table 1 and the problems of its Figs. 9 and 10",
    [
        ("toy", PAPER_CELL),
        *(("toy", {**PAPER_CELL, "K": K, "m": m}) for K, m in _SMALLER),
        *(("song", {"alpha": alpha}) for alpha in EXPONENTS),
    ],
    (*PAPER_METHODS, "relu-l1", "gated", "osae-annealed", "osae-exact", "topk-resampled-resorted"),
    20,
    2,
)
