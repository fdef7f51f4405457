"""The methods under test: one file each, with its variants; see `benchmarks.catalogue.methods`."""
