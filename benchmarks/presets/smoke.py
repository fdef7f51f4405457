"""A study that ends within two minutes: to see that everything works on a machine."""

from benchmarks.contracts import Preset
from benchmarks.presets._toy import PAPER_METHODS, toy_cells

PRESET = Preset(
    "smoke",
    "two tiny cells, to see that everything works",
    toy_cells(((8, 10), (8, 16)), (2,), (2_000,), (1.2,)),
    PAPER_METHODS,
    3,
    2,
    {"steps": 200},
)
