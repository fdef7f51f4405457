"""Tables, figures and one page from what a store holds. Nothing is trained, no problem drawn."""

from benchmarks.analysis.summary import summaries
from benchmarks.report.writing import write

__all__ = ["summaries", "write"]
