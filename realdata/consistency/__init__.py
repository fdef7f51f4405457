"""Consistency of a collection of SAEs over seeds, datasets and training tokens."""
