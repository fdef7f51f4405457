import numpy as np
import pandas as pd
import pytest
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from osae_theory.doors import at_the_door
from osae_theory.errors import InputError
from osae_theory.prefixes import AnnealedLaw, PrefixLaw, RandomPrefixes


@at_the_door
def arrays(
    X: Float[np.ndarray, "d N"],
    D: Float[np.ndarray, "d K"],
    supports: Int[np.ndarray, "N m"] | None = None,
    dead: Bool[np.ndarray, " K"] | None = None,
    m: int = 1,
):
    return X, D, supports, dead, m


@at_the_door
def tensors(x: Float[Tensor, "*run N d"], survival: Float[Tensor, "*#run K"]):
    return x, survival


@at_the_door
def laws(law: PrefixLaw, other: PrefixLaw | None = None):
    return law, other


def test_arrays_in_any_form_arrive_as_their_annotations_say():
    X, D, supports, dead, m = arrays(
        pd.DataFrame(np.ones((2, 3))),
        torch.eye(2),
        supports=[[0], [1], [1]],
        dead=[True, False],
        m="passes as it is",
    )
    assert [type(a) for a in (X, D, supports, dead)] == [np.ndarray] * 4
    assert (X.shape, D.dtype, supports.dtype, dead.dtype) == ((2, 3), "f4", "i8", "?")
    assert m == "passes as it is"
    assert arrays(X, D)[2] is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((None, np.eye(2)), "X = None: expected numbers"),
        (([1.0, 2.0], np.eye(2)), r"X of shape \(2,\): expected \(d, N\)$"),
        (
            (np.ones((2, 3)), np.eye(3)),
            r"D of shape \(3, 3\): expected \(d, K\) beside X of shape \(2, 3\), which is \(d, N\)",
        ),
        ((np.ones((2, 3)), np.eye(2), [[0.5], [1], [1]]), "supports of dtype float64"),
        ((np.ones((2, 3)), np.eye(2), None, [[True]]), r"dead of shape \(1, 1\): expected \(K,\)"),
    ],
)
def test_what_cannot_be_read_or_does_not_fit_is_named(values, message):
    with pytest.raises(InputError, match=message):
        arrays(*values)


def test_tensors_take_the_precision_and_the_device_of_the_first_one_given():
    x = torch.ones(2, 5, 3)
    found, survival = tensors(x, PrefixLaw.uniform(4).survival)
    assert found is x
    assert survival.dtype == torch.float32
    assert tensors(np.ones((5, 3)), torch.ones(4))[0].dtype == torch.float32
    assert tensors(np.ones((5, 3)), [1, 0.5])[1].dtype == torch.float64


def test_shared_leading_axes_must_agree():
    with pytest.raises(InputError, match=r"survival of shape \(3, 4\): expected \(\.\.\., K\)"):
        tensors(torch.ones(2, 5, 3), torch.ones(3, 4))


def test_probabilities_are_taken_for_a_law():
    for form in ([0.5, 0.5], np.array([0.5, 0.5]), torch.tensor([0.5, 0.5]), pd.Series([0.5, 0.5])):
        law, other = laws(form, form)
        assert isinstance(law, PrefixLaw)
        assert isinstance(other, PrefixLaw)
        np.testing.assert_array_equal(law.survival, [1, 0.5])


def test_a_law_passes_as_it_is():
    law, other = PrefixLaw.uniform(3), PrefixLaw.zipf(3)
    assert laws(law, other) == (law, other)
    assert laws(law) == (law, None)


@pytest.mark.parametrize("value", [None, "uniform", 3, {}, PrefixLaw])
def test_what_is_no_law_is_refused(value):
    with pytest.raises(InputError, match=r"law = .*: expected a prefix law or its probabilities"):
        laws(value)


@pytest.mark.parametrize("value", [RandomPrefixes(3, 1), AnnealedLaw(PrefixLaw.uniform(3))])
def test_a_law_that_changes_is_refused_where_one_must_stand_still(value):
    with pytest.raises(InputError, match="expected a law that does not change in training"):
        laws(value)


def test_a_wrong_number_of_arguments_is_still_pythons_business():
    with pytest.raises(TypeError, match="missing a required argument"):
        laws()
