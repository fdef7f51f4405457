"""Finished runs on disk: Parquet parts that many processes may add to at once; arrays apart.

What every file and column holds is said in docs/results_schema.md.
"""

from benchmarks.store.folder import Store
from benchmarks.store.frames import Frames

__all__ = ["Frames", "Store"]
