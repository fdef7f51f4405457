import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch

from osae_theory.arrays import array, tensor
from osae_theory.errors import InputError

ROWS = [[1.0, 2.0], [3.0, 4.5]]
FORMS = {
    "array": np.array(ROWS),
    "list": ROWS,
    "tuple of arrays": tuple(np.array(ROWS)),
    "DataFrame": pd.DataFrame(ROWS),
    "DataFrame of nullable numbers": pd.DataFrame(ROWS, dtype="Float64"),
    "tensor": torch.tensor(ROWS, dtype=torch.float64),
    "tensor with a gradient": torch.tensor(ROWS, dtype=torch.float64, requires_grad=True),
    "matrix": np.asmatrix(ROWS),
    "other byte order": np.array(ROWS, dtype=">f8"),
    "longdouble": np.array(ROWS, dtype=np.longdouble),
    "strided": np.repeat(np.array(ROWS), 2, axis=1)[:, ::2],
    "nothing masked": np.ma.masked_array(ROWS, mask=False),
    "no imaginary part": np.array(ROWS, dtype=complex),
}


@pytest.mark.parametrize("form", FORMS)
def test_numbers_are_read_in_whatever_form_they_come(form):
    value = FORMS[form]
    found = array("X", value)
    assert type(found) is np.ndarray
    assert found.dtype == np.float64
    assert found.dtype.isnative
    np.testing.assert_array_equal(found, ROWS)
    torch.testing.assert_close(tensor("X", value).detach(), torch.tensor(ROWS, dtype=torch.float64))


def test_a_series_is_a_vector():
    np.testing.assert_array_equal(array("p", pd.Series([0.25, 0.75]), ndim=1), [0.25, 0.75])


def test_an_array_that_needs_nothing_is_not_copied():
    X = np.array(ROWS, dtype=np.float32)
    assert array("X", X) is X


def test_precision_is_kept_and_whole_numbers_become_float64():
    for dtype in (np.float16, np.float32, np.float64):
        assert array("X", np.zeros(2, dtype)).dtype == dtype
    assert array("X", torch.zeros(2, dtype=torch.bfloat16)).dtype == np.float32
    for dtype in (np.int8, np.uint64, np.bool_):
        assert array("X", np.zeros(2, dtype)).dtype == np.float64
    assert tensor("X", torch.zeros(2, dtype=torch.bfloat16)).dtype == torch.bfloat16
    assert tensor("X", torch.arange(2)).dtype == torch.float64


def test_whole_numbers_and_truth_values_stay_what_they_are():
    assert array("S", [[1, 2]], kind="whole").dtype == np.int64
    assert array("S", np.array([3], dtype=np.uint8), kind="whole").dtype == np.int64
    assert array("S", [], kind="whole").dtype == np.int64
    assert array("X", np.array([3], dtype=np.int32), kind="real").dtype == np.int32
    assert array("dead", [True, False], kind="truth").dtype == np.bool_


def test_a_tensor_keeps_its_gradient_and_shares_no_read_only_memory():
    leaf = torch.ones(2, requires_grad=True)
    assert tensor("x", leaf) is leaf
    fixed = np.ones(2)
    fixed.flags.writeable = False
    tensor("x", fixed).zero_()
    assert fixed.all()


REFUSED = {
    "None": (None, "X = None: expected numbers"),
    "text": ("abc", "X = 'abc': expected numbers"),
    "an array of text": (np.array([["1", "2"]]), "X holds text, such as '1': expected numbers"),
    "Python objects": (np.array([None, 2.0]), "such as None: expected numbers"),
    "a mapping": ({"a": 1}, "expected numbers"),
    "a generator": ((n for n in range(3)), "expected numbers"),
    "a ragged list": ([[1, 2], [3]], "rows of one length"),
    "a huge integer": ([10**400], "a whole number of about 401 digits: expected numbers"),
    "dates": (np.zeros(2, "M8[s]"), r"dtype datetime64\[s\]: expected numbers"),
    "records": (np.zeros(2, [("a", "f4")]), "expected numbers"),
    "mixed columns": (pd.DataFrame({"a": [1.0], "b": ["x"]}), "expected numbers"),
    "a masked entry": (np.ma.masked_array(ROWS, mask=np.eye(2)), "X has 2 masked entries"),
    "masked rows in a list": ([np.ma.masked_array([1.0, 2.0], mask=[0, 1])], "X has 1 masked"),
    "an imaginary part": ([1 + 2j, 1], "imaginary part: expected real numbers"),
    "a sparse matrix": (scipy.sparse.csr_matrix(ROWS), r"X is sparse: .*X\.toarray\(\)"),
    "a sparse array": (scipy.sparse.coo_array(ROWS), "X is sparse"),
    "a sparse tensor": (torch.eye(2).to_sparse(), r"X is sparse: .*X\.to_dense\(\)"),
    "NaN": ([1.0, np.nan], r"X\[1\] = nan: expected finite numbers"),
    "a missing value": (pd.DataFrame({"a": [1.0, None]}), r"X\[1, 0\] = nan"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_array_of_numbers_is_refused_in_a_sentence(case):
    value, message = REFUSED[case]
    with pytest.raises(InputError, match=message) as caught:
        array("X", value)
    assert len(str(caught.value)) < 200


def test_data_on_another_device_are_refused_with_the_way_back():
    with pytest.raises(InputError, match=r"X is on the device 'meta'.*as X\.cpu\(\) is"):
        array("X", torch.zeros(2, device="meta"))


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        ([0.0, 1.0], "whole", "S of dtype float64: expected whole numbers"),
        ([True], "whole", "S of dtype bool: expected whole numbers"),
        ([0, 1], "truth", "S of dtype int64: expected truth values"),
    ],
)
def test_numbers_of_another_kind_are_refused(value, kind, message):
    for read in (array, tensor):
        for form in (value, torch.tensor(value, dtype=torch.float64 if kind == "whole" else None)):
            if read is array and isinstance(form, torch.Tensor):
                continue
            with pytest.raises(InputError, match=r"S of dtype .*: expected"):
                read("S", form, kind=kind)
    with pytest.raises(InputError, match=message):
        array("S", value, kind=kind)


def test_the_number_of_axes_is_checked_where_it_is_said():
    with pytest.raises(InputError, match=r"X of shape \(3,\): expected 2 axes, not 1"):
        array("X", [1, 2, 3], ndim=2)


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
def test_tensors_that_hold_no_real_numbers_are_refused():
    for value in (torch.zeros(2, device="meta"), torch.zeros(2, dtype=torch.complex64)):
        with pytest.raises(InputError, match="expected"):
            tensor("x", value)
    quantised = torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)
    for read in (array, tensor):
        with pytest.raises(InputError, match="x is quantised"):
            read("x", quantised)
