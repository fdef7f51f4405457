"""What ordered training costs, in ratios measured within one run."""
