from dataclasses import dataclass
from fractions import Fraction

import pytest

HALF = Fraction(1, 2)
CYCLE = ((0, 1), (1, 2), (2, 3), (3, 4), (0, 4))


@dataclass(frozen=True)
class N1:
    """The exact instances of claim N1: (d, K) = (4, 5), cyclic edges, r samples an edge."""

    D: list
    cycle: tuple = CYCLE

    def codes(self, r, s=(1, 1, 1, 1, 1)):
        """Return Y: on edge (i, j) sample t = 1..r_e has y_i = s_i, y_j = t s_j."""
        columns = []
        for (i, j), number in zip(self.cycle, r, strict=True):
            for t in range(1, number + 1):
                column = [Fraction(0)] * 5
                column[i], column[j] = Fraction(s[i]), t * Fraction(s[j])
                columns.append(column)
        return [list(row) for row in zip(*columns, strict=True)]


@pytest.fixture
def n1():
    identity = [[Fraction(i == j) for j in range(4)] for i in range(4)]
    return N1([[*row, HALF] for row in identity])


@pytest.fixture
def p3():
    """P3's four nonnegative-sum atoms: d_1 + d_2 = d_3 + d_4."""
    a, b = Fraction(3, 5), Fraction(4, 5)
    return [[a, -a, 0, 0], [0, 0, a, -a], [b, b, b, b]]


@pytest.fixture
def dirac_hadamard():
    """[I, H/2] at d = 4, exactly."""
    signs = [(1, 1, 1, 1), (1, -1, 1, -1), (1, 1, -1, -1), (1, -1, -1, 1)]
    return [
        [*(Fraction(i == j) for j in range(4)), *(HALF * sign for sign in signs[i])]
        for i in range(4)
    ]
