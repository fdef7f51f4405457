"""The paper's sweep over alpha alone: with `--tuned-at 16x32`, as tuned at its shape."""

from benchmarks.contracts import Preset
from benchmarks.presets import paper

PRESET = Preset(
    "sweep",
    "the problems of the paper's Fig. 10: Song's, over alpha",
    [("song", {"alpha": alpha}) for alpha in paper.EXPONENTS],
    paper.PRESET.methods,
    20,
    2,
)
