from dataclasses import replace

import pytest

from osae_theory import __main__ as command
from osae_theory.claims import CLAIMS
from osae_theory.claims.base import Finding
from osae_theory.claims.ledger import Entry
from osae_theory.claims.listing import VERDICTS, by_verdict, closing, heading, line

FAILS = next(claim for claim in CLAIMS.values() if claim.verdict == "fails")
HOLDS = next(claim for claim in CLAIMS.values() if claim.verdict == "holds")


def entry(claim, confirmed=True, error=0.0):
    return Entry(claim, Finding(confirmed, {"a": 1}, error), 1234.5)


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_no_line_is_wider_than_the_terminal_and_no_title_is_cut(width):
    for claim in CLAIMS.values():
        text = line(entry(claim, confirmed=False, error=1e-12), width)
        assert max(map(len, text.splitlines())) <= width
        words = text.replace("certified bound", "").split()
        assert [word for word in claim.title.split() if word not in words] == []
        assert text.split()[0] == claim.id


def test_a_line_says_first_whether_the_verdict_is_confirmed():
    assert line(entry(FAILS), 80).split()[1] == "confirmed"
    assert line(entry(FAILS, confirmed=False), 80).split()[1:3] == ["NOT", "CONFIRMED"]


def test_a_line_says_whether_coq_has_checked_the_claim_where_there_is_room():
    checked = [claim for claim in CLAIMS.values() if claim.machine_checked]
    assert all("Coq" in line(entry(claim), 80).split() for claim in checked)
    assert "Coq" not in line(entry(CLAIMS["I3"]), 80).split()
    assert "Coq" not in line(entry(checked[0]), 60).split()
    assert "1 are machine-checked in Coq" in closing([entry(checked[0]), entry(CLAIMS["I3"])])


def test_claims_that_fail_come_first_and_every_claim_comes_once():
    ordered = by_verdict(CLAIMS.values())
    assert sorted(claim.id for claim in ordered) == sorted(CLAIMS)
    places = [VERDICTS.index(claim.verdict) for claim in ordered]
    assert places == sorted(places)
    assert ordered[0].verdict == "fails"


def test_heading_and_closing_count_claims_by_verdict():
    found = [entry(FAILS), entry(HOLDS, confirmed=False)]
    assert heading("fails", [FAILS, HOLDS]) == "FAILS (1)"
    assert closing(found).startswith("2 claims: 1 fails, 1 holds; 1 verdicts confirmed.")


def test_a_claim_is_printed_as_soon_as_it_is_checked(monkeypatch, capsys):
    printed = []

    def examine(claim, n_examples):
        printed.append(capsys.readouterr().out)
        return entry(claim)

    second = replace(HOLDS, id="X2")
    monkeypatch.setattr(command, "CLAIMS", {HOLDS.id: HOLDS, "X2": second, FAILS.id: FAILS})
    monkeypatch.setattr(command, "examine", examine)
    assert command.main(["claims"]) == 0
    last = capsys.readouterr().out
    # Before each check, what the check before it has found.
    assert printed[0] == "FAILS (1)\n"
    assert FAILS.id in printed[1]
    assert printed[1].endswith("HOLDS (2)\n")
    assert HOLDS.id in printed[2]
    assert "X2" in last
    assert "3 claims" in last


def test_a_bare_call_lists_the_commands(capsys):
    assert command.main([]) == 0
    assert capsys.readouterr().out.startswith("python -m osae_theory claims  the ledger")


def test_a_folder_that_hides_a_package_of_ours_is_named(tmp_path, monkeypatch, capsys):
    from importlib.machinery import ModuleSpec

    hiding = ModuleSpec("benchmarks", None, is_package=True)
    hiding.submodule_search_locations.append("/somebody/benchmarks")
    monkeypatch.setattr(command, "find_spec", lambda name: hiding)
    assert command.main([]) == 0
    assert "/somebody/benchmarks" in capsys.readouterr().out


@pytest.mark.parametrize("options", [[], ["--json"], ["--id", FAILS.id], ["--markdown"]])
def test_a_verdict_that_is_not_confirmed_ends_with_code_1_once_all_is_printed(
    options, monkeypatch, capsys
):
    monkeypatch.setattr(command, "CLAIMS", {FAILS.id: FAILS})
    monkeypatch.setattr(command, "examine", lambda claim, n: entry(claim, confirmed=False))
    with pytest.raises(SystemExit) as stopped:
        command.main(["claims", *options])
    printed = capsys.readouterr()
    assert stopped.value.code == 1
    assert FAILS.id in printed.out
    assert f"the checks of {FAILS.id} did not confirm" in printed.err.splitlines()[-1]
