"""Families of problems with known truth: one file each; see `benchmarks.catalogue.families`."""
