"""Training of SAEs whose loss is written as a formula, where the sparse kernels do not reach."""
