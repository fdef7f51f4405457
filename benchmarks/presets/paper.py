"""The cell of the paper's Table 1, with the draws that a published table has."""

from benchmarks.contracts import Preset
from benchmarks.presets._toy import PAPER_CELL, PAPER_METHODS

PRESET = Preset("paper", "the paper's Table 1", [("toy", PAPER_CELL)], PAPER_METHODS, 20, 2)
