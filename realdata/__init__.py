"""Consistency of sparse autoencoders trained on real language models."""

from osae_theory.starting import begin_command

begin_command(__name__)
