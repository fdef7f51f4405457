"""The method of optimal directions with nonnegative codes: pursuit and least squares in turn.

It starts from random samples. Atoms that no sample uses, or that are there twice, are replaced by
the residuals of the samples fitted worst. Engan, Aase and Husoy (1999), ICASSP.
"""

from benchmarks.contracts import Method
from benchmarks.methods._pursuit import MOMENTUM, SIGNED, alternating, too_few_samples
from benchmarks.spec import Budget

METHOD = Method(
    "mod",
    "MOD",
    alternating("mod"),
    (MOMENTUM, SIGNED),
    budget=Budget("iterations", 50, 0),
    skip=too_few_samples,
)
