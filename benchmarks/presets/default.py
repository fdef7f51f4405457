"""The paper's cell and six kinds of ground truth at a small shape, with twelve methods."""

from benchmarks.contracts import Preset
from benchmarks.presets._toy import PAPER_CELL, PAPER_METHODS

FAMILIES = ("conflict", "equal-frequency", "coherent", "tree", "bernoulli", "synth-sae")

PRESET = Preset(
    "default",
    "the paper's cell and six kinds of ground truth at a small shape",
    [("toy", PAPER_CELL), *((family, {}) for family in FAMILIES)],
    (
        *PAPER_METHODS,
        "gated",
        "ksvd",
        "osae-annealed",
        "osae-exact",
        "osae-exact-resampled",
        "topk-refined",
        "topk-resampled-resorted",
        "softly-frozen-decoder",
    ),
    20,
    2,
)
