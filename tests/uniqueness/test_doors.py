import subprocess
import sys
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch

from osae_theory.errors import InputError
from osae_theory.uniqueness import read_instance
from osae_theory.uniqueness.matrices import read_columns

HALF = Fraction(1, 2)

# A process of its own: here the run-time type check is in front of the doors.
PROGRAM = """
from osae_theory.errors import InputError
from osae_theory.problems import HarmonicFrame
from osae_theory.uniqueness import *
import numpy as np
D = np.eye(2)
calls = {
    "certify_problem": certify_problem,
    "decide_problem": decide_problem,
    "sufficient_conditions": sufficient_conditions,
    "distinct_directions": distinct_directions,
    "spark_by_construction": spark_by_construction,
    "spec": lambda value: decide_codes(D, 1, value),
    "spark": lambda value: garfinkle_hillar(D, D, 1, value),
    "directions": lambda value: counting_argument(D, value),
    "edges": lambda value: counting_argument(D, {value: 1}),
    "D": coherence_certificate,
    "Y": lambda value: hillar_sommer(D, value),
    "max_subsets": lambda value: spark_exhaustive(D, max_subsets=value),
    "max_nodes": lambda value: spark_mip(D, value),
    "max_products": lambda value: babel(D, 1, value),
    "max_programs": lambda value: nsp_constant_exact(D, 1, value),
    "max_sets": lambda value: aharon_elad_bruckstein(D, D, 1, None, value),
}
for name, call in calls.items():
    for value in ("text", 2.5, (1, 2, 3), ("a", "b"), frozenset(), object()):
        try:
            call(value)
        except InputError as error:
            assert len(str(error).splitlines()) == 1
        except Exception as error:
            print(name, value, type(error).__name__, error)
        else:
            print(name, value, "is taken")
"""


def test_what_is_not_of_the_kind_that_is_meant_is_refused_in_a_sentence():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


@pytest.mark.parametrize(
    ("matrix", "exact"),
    [
        ([[0.6, 0.0], [0.8, 1.0]], False),
        (pd.DataFrame([[0.6, 0.0], [0.8, 1.0]]), False),
        (torch.eye(2, requires_grad=True), False),
        (np.ma.array(np.eye(2)), False),
        (pd.DataFrame([[1, 0], [0, 1]]), True),
        (torch.eye(2, dtype=torch.int64), True),
        (np.array([[HALF, 0], [0, 1]], dtype=object), True),
        ([[HALF, 0], [0, 1]], True),
    ],
)
def test_dictionaries_and_codes_are_taken_in_any_form(matrix, exact):
    columns = read_columns("dictionary", matrix)
    assert (columns.exact, columns.shape) == (exact, (2, 2))
    instance = read_instance(np.eye(2, dtype=int), matrix)
    assert instance.columns.exact is exact
    np.testing.assert_allclose(instance.codes.astype(float), columns_of(matrix))


def columns_of(matrix):
    return np.array(matrix.tolist() if hasattr(matrix, "tolist") else matrix, dtype=float)


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (None, "= None: expected"),
        ("text", "expected"),
        (np.ones(2), "of shape .2,.: expected|two axes"),
        (np.array([[object()]]), "holds Python objects"),
        (np.ma.array(np.eye(2), mask=[[1, 0], [0, 0]]), "has 1 masked entries: expected none"),
        (np.eye(2) * 1j, "imaginary part"),
        (scipy.sparse.eye(2), "is sparse"),
        (torch.eye(2).to_sparse(), "is sparse"),
        ([["a", "b"]], "holds ('a'|text)"),
        ([1, 2], "expected"),
    ],
)
def test_what_would_be_misread_is_refused(matrix, message):
    with pytest.raises(InputError, match=message):
        read_columns("dictionary", matrix)
    with pytest.raises(InputError, match=message):
        read_instance(np.eye(2), matrix)


def test_numbers_beyond_the_range_of_floats_are_refused_beside_floats():
    with pytest.raises(InputError, match="dictionary has entries beyond the range of floats"):
        read_instance([[10**400, 0], [0, 1]], np.eye(2))
