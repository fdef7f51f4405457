"""Six kinds of ground truth at a small shape: with `--tuned-at 16x32`, as tuned at that shape."""

from benchmarks.contracts import Preset
from benchmarks.presets import default

PRESET = Preset(
    "families",
    "six kinds of ground truth at a small shape",
    [(family, {}) for family in default.FAMILIES],
    default.PRESET.methods,
    20,
    2,
)
