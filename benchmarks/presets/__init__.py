"""Named studies: one a file; see `benchmarks.catalogue.presets`."""
