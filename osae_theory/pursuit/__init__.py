"""Codes of data for a given dictionary, and the atoms for given codes; no encoder is learned."""

from osae_theory.pursuit.codes import Codes, nonnegative_omp
from osae_theory.pursuit.refinement import Refined, refine
from osae_theory.pursuit.updates import ksvd_update, mod_update

__all__ = ["Codes", "Refined", "ksvd_update", "mod_update", "nonnegative_omp", "refine"]
