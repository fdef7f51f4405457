from pathlib import Path

import pytest

from osae_theory.claims import CLAIMS
from osae_theory.claims.page import page

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.theory
def test_the_page_of_the_theory_is_what_the_ledger_says_now(examined):
    text = (ROOT / "docs" / "theory.md").read_text(encoding="utf-8")
    marker = "<!-- From here on: python -m osae_theory claims --markdown --examples 50 -->\n\n"
    assert marker in text
    # Its exact numbers are the same for any number of random examples.
    found = page([examined(claim) for claim in CLAIMS.values()])
    assert text.partition(marker)[2] == found


def test_every_claim_has_a_file_and_a_test_of_its_own():
    for claim in CLAIMS.values():
        name = claim.check.__module__.rpartition(".")[2]
        assert (ROOT / "osae_theory" / "claims" / f"{name}.py").is_file()
        assert (ROOT / "tests" / "claims" / f"test_{name}.py").is_file()
