"""K-SVD with nonnegative codes: pursuit, and a sweep over the atoms one after another, in turn.

It starts from random samples. Atoms that no sample uses, or that are there twice, are replaced by
the residuals of the samples fitted worst. Aharon, Elad and Bruckstein (2006), IEEE Trans. Signal
Process. 54(11); the sweep is that of Rubinstein, Zibulevsky and Elad (2008), Technion CS-2008-08.
"""

from benchmarks.contracts import Method
from benchmarks.methods._pursuit import MOMENTUM, SIGNED, alternating, too_few_samples
from benchmarks.spec import Budget

METHOD = Method(
    "ksvd",
    "K-SVD",
    alternating("ksvd"),
    (MOMENTUM, SIGNED),
    budget=Budget("iterations", 50, 0),
    skip=too_few_samples,
)
