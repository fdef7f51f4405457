"""The paper's toy over dimension, overcompleteness, sparsity, samples and the supports' skew."""

from benchmarks.contracts import Preset
from benchmarks.presets._toy import PAPER_METHODS, toy_cells

PRESET = Preset(
    "full",
    "the toy over five axes: days on two cores, for a cluster",
    toy_cells(
        ((32, 40), (32, 64), (80, 100), (80, 160), (160, 200), (160, 640)),
        (2, 5, 10),
        (5_000, 20_000, 100_000),
        (0.6, 1.2, 1.8),
    ),
    (*PAPER_METHODS, "osae-annealed"),
    20,
    2,
)
