"""Random samples as atoms: the chance ceiling of a dictionary that is read off the data.

Nothing is learned: K samples, scaled to norm 1, and codes by nonnegative orthogonal matching
pursuit.
"""

from benchmarks.contracts import Method
from benchmarks.methods._pursuit import SIGNED, each_run, random_samples, too_few_samples
from benchmarks.spec import Budget

METHOD = Method(
    "samples",
    "random samples",
    each_run(lambda data, how, own: random_samples(data, own)),
    (SIGNED,),
    budget=Budget("none", 0, 0),
    skip=too_few_samples,
)
