import hashlib
import struct
from dataclasses import fields, replace

import numpy as np

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


def test_outside_a_checkout_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance.osae_theory, "__file__", str(tmp_path / "pkg" / "__init__.py"))
    found = provenance_here.__wrapped__()
    assert found.commit is None
    assert found.dirty is None
