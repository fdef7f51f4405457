import hashlib
import struct
import sys
from dataclasses import fields, replace
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.provenance import versions
from osae_theory import __version__, provenance
from osae_theory.provenance import dictionary_sha256, provenance_here


def test_a_dictionary_has_the_hash_of_its_shape_and_entries_whatever_its_layout():
    D = np.array([[1.0, -2.0, 0.5], [3.0, 0.25, 1e-300]])
    expected = hashlib.sha256(struct.pack("<qq6d", 2, 3, *D.ravel())).hexdigest()
    assert dictionary_sha256(D) == expected
    assert dictionary_sha256(np.asfortranarray(D)) == expected
    assert dictionary_sha256(D.astype(">f8")) == expected
    assert dictionary_sha256(D.reshape(3, 2)) != expected
    assert dictionary_sha256(np.nextafter(D, np.inf)) != expected


def test_provenance_names_what_computes_and_is_a_plain_value():
    found = provenance_here()
    assert found == replace(found)
    assert found.package == __version__
    assert found.numpy == np.__version__
    assert found.backend in ("numba", "torch")
    assert provenance_here("meta").backend == "torch"
    for field in fields(found):
        value = getattr(found, field.name)
        assert value is None or isinstance(value, (str, bool))
        assert value != ""


def test_the_kind_of_a_device_is_known_from_the_device_or_from_what_trained_there():
    assert provenance_here().device_kind == "cpu"
    assert provenance.device_kind("cuda NVIDIA H100", "torch") == "cuda"
    kinds = {name: provenance.device_kind(None, name) for name in ("numba", "plain", "triton")}
    assert kinds == {"numba": "cpu", "plain": "cpu", "triton": "cuda"}
    assert provenance.device_kind(None, "torch") is None
    assert provenance.device_kind(None, None) is None


@pytest.mark.parametrize("installed", [True, False])
def test_tritons_version_is_noted_where_it_can_be_imported(installed, monkeypatch):
    monkeypatch.setitem(
        sys.modules, "triton", SimpleNamespace(__version__="9.9") if installed else None
    )
    expected = "9.9" if installed else None
    assert provenance_here.__wrapped__().triton == expected
    assert versions().get("triton") == expected


def test_outside_a_checkout_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance.osae_theory, "__file__", str(tmp_path / "pkg" / "__init__.py"))
    found = provenance_here.__wrapped__()
    assert found.commit is None
    assert found.dirty is None
