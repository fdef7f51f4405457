"""Benchmarks of dictionary-learning methods on problems whose true dictionary is known."""

from osae_theory.starting import begin_command

begin_command(__name__)
