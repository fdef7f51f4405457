"""What is measured of a run: one metric a file; see `benchmarks.catalogue.metrics`."""
