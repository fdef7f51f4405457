from dataclasses import replace

import pytest

from osae_theory.claims import exact_penalty_per_sample
from osae_theory.claims.exact_penalty import EXACT_PENALTY
from osae_theory.claims.exact_penalty_per_sample import (
    EXACT_PENALTY_PER_SAMPLE,
    lowest_at_certified,
)
from osae_theory.minimisers import local_threshold

pytestmark = pytest.mark.theory


def test_the_check_brackets_one_threshold_by_the_other(examined):
    found = examined(EXACT_PENALTY_PER_SAMPLE).finding
    assert found.confirmed
    low = found.certificate["least lambda_loc' / lambda_loc"]
    assert 1 < low < found.certificate["largest lambda_loc' / lambda_loc"] < 96**0.5


def test_at_the_certified_weight_of_the_total_form_nothing_is_lower():
    assert -1e-9 < lowest_at_certified() < 1e-6


def test_the_threshold_of_the_other_form_is_noticed(monkeypatch):
    def wrong(D, Y, truncation, form="total", tolerance=1e-6):
        return replace(local_threshold(D, Y, truncation), error=0.0)

    monkeypatch.setattr(exact_penalty_per_sample, "local_threshold", wrong)
    monkeypatch.setattr(exact_penalty_per_sample, "measured_threshold", lambda *a: (1.0, 1.0))
    assert not EXACT_PENALTY_PER_SAMPLE.check(1).confirmed


def test_both_forms_have_the_same_assumptions():
    assert EXACT_PENALTY_PER_SAMPLE.assumptions == EXACT_PENALTY.assumptions
