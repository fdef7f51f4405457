"""Every method, on the paper's toy model over four axes: for a cluster."""

from benchmarks.contracts import Preset
from benchmarks.presets._methods import EVERY
from benchmarks.presets._toy import toy_cells

_RATIOS = (1.0, 1.25, 2.0, 4.0)

PRESET = Preset(
    "full",
    "the toy over dimension, overcompleteness, sparsity and samples: for a cluster",
    toy_cells(
        [(d, int(d * ratio)) for d in (16, 40, 80, 160) for ratio in _RATIOS],
        (1, 2, 3, 5, 8),
        (1_000, 10_000, 100_000),
        (1.2,),
    ),
    EVERY,
    20,
    2,
)
