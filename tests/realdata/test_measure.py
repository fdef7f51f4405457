"""The measurement of matchings at a size that is none."""

import json

import pytest

from realdata.comparison import measure

SMALL = ["--K", "60", "--d", "12", "--samples", "200", "--active", "4"]


@pytest.mark.parametrize("kind", measure.KINDS)
def test_a_matching_lies_between_nothing_and_its_bound(kind, capsys, monkeypatch):
    monkeypatch.setattr("osae_theory.metrics.candidates.DENSE", 4)
    assert measure.main([kind, *SMALL, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    # Two of five are the same but for noise.
    assert 0.2 < found["stability"] <= found["best"] + 1e-12
    assert found["best"] <= found["bound"] + 1e-9
    assert found["seconds"] > 0
    assert measure.main([kind, *SMALL]) == 0
    assert f"| {kind} " in capsys.readouterr().out


def test_sizes_that_cannot_be_are_one_sentence(capsys):
    with pytest.raises(SystemExit, match="2"):
        measure.main(["cosines", "--K", "0"])
    assert "--K = 0: expected a whole number of at least 1" in capsys.readouterr().err
