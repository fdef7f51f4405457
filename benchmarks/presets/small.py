"""Eight small cells, to see whether what the paper's cell shows holds at other shapes."""

from benchmarks.contracts import Preset
from benchmarks.presets._toy import PAPER_METHODS, toy_cells

PRESET = Preset(
    "small",
    "eight small cells around two shapes",
    toy_cells(((16, 20), (16, 32)), (2, 3), (20_000,), (0.6, 1.2)),
    PAPER_METHODS,
    20,
    2,
)
