import json
from dataclasses import replace
from fractions import Fraction

import pytest

from osae_theory.__main__ import main
from osae_theory.claims import CLAIMS, Finding
from osae_theory.claims.ledger import examine, table


@pytest.mark.theory
@pytest.mark.parametrize("name", CLAIMS)
def test_the_check_of_a_claim_confirms_its_verdict(name, examined, ledger_entries):
    entry = examined(CLAIMS[name])
    ledger_entries.append(entry)
    assert entry.finding.confirmed, f"{name}: {dict(entry.finding.certificate)}"
    assert entry.finding.error >= 0
    assert entry.finding.certificate
    if entry.claim.evidence == "exact certificate":
        numbers = entry.finding.certificate.values()
        assert any(isinstance(value, (int, Fraction)) for value in numbers)


def test_a_claim_is_checked_once_a_session_and_a_damaged_one_anew(examined, n_examples):
    asked = []

    def check(n):
        asked.append(n)
        return Finding(len(asked) == 1, {"calls": len(asked)})

    claim = replace(CLAIMS["P1"], check=check)
    assert examined(claim) is examined(claim)
    assert asked == [n_examples]
    assert not examined(replace(claim, title="damaged")).finding.confirmed
    assert len(asked) == 2


def test_the_ledger_has_every_claim_once_under_its_own_name():
    assert all(name == claim.id for name, claim in CLAIMS.items())
    assert {claim.verdict for claim in CLAIMS.values()} <= {
        "holds",
        "fails",
        "holds with added assumptions",
        "conjecture",
    }


def test_the_table_has_a_line_a_claim():
    entry = examine(CLAIMS["P1"], 1)
    lines = table([entry, entry]).splitlines()
    assert len(lines) == 4
    assert lines[2].split()[0] == "P1"
    assert "confirmed" in lines[2]
    assert "checked" in lines[2].split()
    assert "checked" not in table([replace(entry, claim=CLAIMS["I3"])]).split()


def test_json_has_the_promised_fields_and_exact_numbers_as_text(capsys):
    assert main(["claims", "--id", "P1", "--json"]) == 0
    [found] = json.loads(capsys.readouterr().out)
    assert set(found) >= {
        "id",
        "title",
        "source",
        "statement",
        "assumptions",
        "verdict",
        "evidence",
        "certificate",
        "error",
        "seconds",
    }
    assert {"file": "Lemma31.v", "theorem": "lemma_3_1_is_false"}.items() <= found[
        "machine_checked"
    ][1].items()
    assert found["certificate"]["min L_ND"] == "2/5"
    assert found["certificate"]["L_ND at every minimiser of L_K"] == "1/2"


def test_one_claim_has_its_whole_story(capsys):
    assert main(["claims", "--id", "P1"]) == 0
    told = capsys.readouterr().out
    for part in ("Statement:", "Verdict: fails", "min L_ND = 2/5", "Certificate:"):
        assert part in told
    assert "theorem lemma_3_1_is_false in formal/Lemma31.v" in " ".join(told.split())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["claims", "--id", "P11"], "claim 'P11' is unknown (did you mean 'P1'?)"),
        (["claims", "--examples", "0"], "--examples = 0"),
        (["clams"], "invalid choice: 'clams'"),
    ],
)
def test_bad_input_is_one_line_and_code_2(options, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(options)
    printed = capsys.readouterr()
    assert stopped.value.code == 2
    assert printed.out == ""
    assert message in printed.err
    assert printed.err.count("\n") == 1


def test_a_claims_name_is_read_in_any_case(capsys):
    assert main(["claims", "--id", "p1", "--json"]) == 0
    [found] = json.loads(capsys.readouterr().out)
    assert found["id"] == "P1"
