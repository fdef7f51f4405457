"""A small collection that the tests of this folder share."""

import pytest

from realdata.activations.collection import collect
from tiny_language import SETTINGS, TEXT, TinyModel


@pytest.fixture
def store(tmp_path):
    """The training part of a small text, collected."""
    return collect(TinyModel(), TEXT.training, tmp_path / "store", SETTINGS, progress=False)
