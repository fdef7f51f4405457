"""Benchmarks of dictionary-learning methods on problems whose true dictionary is known."""
