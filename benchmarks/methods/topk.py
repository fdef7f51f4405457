"""Top-m SAE: the plain loss L_K, every weight 1. The paper's "vanilla" baseline."""

from benchmarks.methods.base import SAEMethod
from osae_theory.prefixes import PrefixLaw

TOPK = SAEMethod("topk", "top-m SAE", PrefixLaw.full)
