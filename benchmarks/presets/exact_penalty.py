"""What an exact penalty is worth beside the plain loss, nested dropout and sorting: five cells."""

from benchmarks.contracts import Preset
from benchmarks.presets._toy import PAPER_CELL, toy_cells

PRESET = Preset(
    "exact-penalty",
    "the exact penalty at the paper's cell, two of Song's and two small ones",
    [
        ("toy", PAPER_CELL),
        ("song", {"alpha": 0.5}),
        ("song", {"alpha": 1.0}),
        *toy_cells(((16, 20),), (2,), (20_000,), (1.2,)),
        *toy_cells(((16, 32),), (3,), (20_000,), (1.2,)),
    ],
    (
        "topk",
        "topk-resorted",
        "osae",
        "osae-annealed",
        "osae-exact",
        "osae-exact-resorted",
        "osae-exact-by-sample",
    ),
    20,
    2,
)
