"""The cell of the paper's Table 1 alone, with its own methods."""

from benchmarks.contracts import Preset
from benchmarks.presets._toy import PAPER_CELL, PAPER_METHODS

PRESET = Preset("table1", "the paper's Table 1", [("toy", PAPER_CELL)], PAPER_METHODS, 20, 2)
