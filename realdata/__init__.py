"""Consistency of sparse autoencoders trained on real language models."""
