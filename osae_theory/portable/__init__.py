"""Arithmetic with defined bits: the same numbers on any machine, from the same seeds.

IEEE 754 says how a sum, a product, a quotient, a square root and a fused multiply-add are
rounded, and nothing about how a library orders them. Here the order is part of the definition.
"""

from osae_theory.portable.elementary import (
    exp,
    log,
    normal_quantile,
    standard_exponential,
    standard_normal,
)
from osae_theory.portable.products import affine, compiles, matmul

__all__ = [
    "affine",
    "compiles",
    "exp",
    "log",
    "matmul",
    "normal_quantile",
    "standard_exponential",
    "standard_normal",
]
