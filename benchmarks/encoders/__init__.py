"""How runs turn data into codes: one kind of encoder a file (`benchmarks.catalogue.encoders`)."""
