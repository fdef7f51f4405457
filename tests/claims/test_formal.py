"""What the ledger and the folder's README say of the proofs in Coq is so, without running Coq."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from osae_theory.claims import CLAIMS

ROOT = Path(__file__).parent.parent.parent
FORMAL = ROOT / "formal"
FILES = sorted(FORMAL.glob("*.v"))
CITED = [(claim.id, formal) for claim in CLAIMS.values() for formal in claim.machine_checked]
# Each would let a statement stand without a proof.
UNPROVED = (
    "Admitted admit Abort Axiom Axioms Parameter Parameters Conjecture Hypothesis Hypotheses"
    " Variable Variables Context give_up bypass_check"
).split()


def source(file):
    """A file's text without its comments, which may nest."""
    text, depth, kept = file.read_text(encoding="utf-8"), 0, []
    for part in re.split(r"(\(\*|\*\))", text):
        if part == "(*":
            depth += 1
        elif part == "*)":
            depth -= 1
        elif depth == 0:
            kept.append(part)
    assert depth == 0
    return "".join(kept)


def theorems(file):
    return re.findall(r"^Theorem (\w+)", source(file), flags=re.M)


ALL = {file.name: theorems(file) for file in FILES}


@pytest.mark.parametrize(("claim", "formal"), CITED, ids=lambda v: getattr(v, "theorem", v))
def test_every_theorem_that_the_ledger_names_stands_in_its_file(claim, formal):
    assert ALL.get(formal.file, []).count(formal.theorem) == 1
    assert formal.says


def test_the_paper_s_lemma_and_theorem_are_among_those_machine_checked():
    assert {"I1", "I2", "P1", "P2a", "P2b", "P2c", "P2d", "P2e", "P2f", "P3"} <= {
        claim for claim, _ in CITED
    }


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_no_proof_is_left_out(file):
    words = re.findall(r"[\w']+", source(file))
    assert not set(words) & set(UNPROVED)
    statements = len(re.findall(r"^(?:Theorem|Lemma|Corollary)\b", source(file), flags=re.M))
    assert words.count("Proof") == words.count("Qed") == statements


def test_every_file_is_compiled_and_only_files_that_exist():
    listed = re.findall(r"^\w+\.v$", (FORMAL / "_CoqProject").read_text(), flags=re.M)
    assert sorted(listed) == [file.name for file in FILES]
    assert "coq_makefile -f _CoqProject" in (FORMAL / "check.sh").read_text(encoding="utf-8")
    assert "\nformal:" in (makefile := (ROOT / "Makefile").read_text(encoding="utf-8"))
    assert "\tformal/check.sh\n" in makefile


def test_the_readme_of_the_proofs_names_every_theorem_and_no_other():
    readme = (FORMAL / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+\.v)` \| `(\w+)` \|", readme, flags=re.M)
    assert sorted(rows) == sorted((name, t) for name, found in ALL.items() for t in found)


def test_each_claim_in_that_readme_cites_the_theorem_and_the_other_way_round():
    readme = (FORMAL / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+\.v)` \| `(\w+)` \| ([\w']+) \|", readme, flags=re.M)
    assert {(c, f, t) for f, t, c in rows if c in CLAIMS} == {
        (claim, formal.file, formal.theorem) for claim, formal in CITED
    }


def test_without_coq_the_command_says_in_a_sentence_how_to_get_it(tmp_path):
    for tool in ("bash", "dirname"):
        (tmp_path / tool).symlink_to(shutil.which(tool))
    done = subprocess.run(
        [str(FORMAL / "check.sh")], env={"PATH": str(tmp_path)}, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert re.fullmatch(r"make formal: Coq is missing.*coq.*\n", done.stderr)


def test_the_ledger_says_where_coq_has_checked_a_part_only():
    whole = {claim.id for claim in CLAIMS.values() if claim.machine_checked_whole}
    assert whole == {"I2", "P1", "P2a", "P2b", "P2d", "P2e", "P2f", "P3"}
    assert all(CLAIMS[name].machine_checked for name in whole)
    page = (ROOT / "docs/theory.md").read_text(encoding="utf-8")
    for claim in CLAIMS.values():
        [row] = [line for line in page.splitlines() if line.startswith(f"| [{claim.id}](")]
        said = row.split("|")[-2].partition("Coq")
        expected = "" if claim.id in whole or not claim.machine_checked else "in part"
        assert (said[1] == "Coq") == bool(claim.machine_checked)
        assert said[2].strip() == expected
