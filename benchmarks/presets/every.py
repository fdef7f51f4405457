"""Every method, at the cell of the paper's Table 1."""

from benchmarks.contracts import Preset
from benchmarks.presets._methods import EVERY
from benchmarks.presets._toy import PAPER_CELL

PRESET = Preset(
    "every", "every tuned method at the paper's cell", [("toy", PAPER_CELL)], EVERY, 20, 2
)
