"""The speed of pursuit at a size that is no measurement."""

import json

import pytest

from benchmarks.speed import pursuit

SMALL = ["--d", "30", "--K", "40", "--m", "2", "--N", "60", "--rounds", "1"]


def test_supports_are_compared_and_what_is_not_installed_is_said(capsys, monkeypatch):
    monkeypatch.setattr(pursuit, "find_spec", lambda name: None)
    assert pursuit.main([*SMALL, "--json"]) == 0
    found = {one["name"]: one for one in json.loads(capsys.readouterr().out)}
    assert list(found) == [one.name for one in pursuit.contenders()]
    for name in ("ours", "ours, signed", "scikit-learn orthogonal_mp_gram"):
        assert found[name]["per_second"] > 0
        assert found[name]["equal_supports"] == 1
    assert found["dictlearn nnomp"]["per_second"] is None
    assert pursuit.main(SMALL) == 0
    assert "| dictlearn omp" in (printed := capsys.readouterr().out)
    assert "not installed" in printed


@pytest.mark.parametrize("option", ["--d", "--rounds"])
def test_sizes_that_cannot_be_are_one_sentence(option, capsys):
    with pytest.raises(SystemExit, match="2"):
        pursuit.main([option, "0"])
    assert f"{option} = 0: expected a whole number of at least 1" in capsys.readouterr().err
