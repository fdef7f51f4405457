from pathlib import Path

import benchmarks
from benchmarks.code_state import _closure, code_state
from benchmarks.engine.task import code_of


def test_what_trains_and_measures_is_in_it_and_what_draws_tables_is_not():
    names = set(_closure(["benchmarks.engine.task", "benchmarks.methods.osae"]))
    assert {
        "benchmarks.methods._sae",
        "osae_theory.sae.trainer",
        "osae_theory.sae.kernels.compiled",
        "osae_theory.problems.supports",
        "osae_theory.metrics.matching",
    } <= names
    assert not [name for name in names if name.startswith("benchmarks.report")]
    assert "benchmarks.methods.topk" not in names
    assert "benchmarks.toy" not in names


def test_a_method_has_code_of_its_own_and_shares_it_with_its_variants():
    assert code_of("toy", "osae") == code_of("toy", "osae-zipf") != code_of("toy", "topk")


def test_a_changed_file_changes_the_hash(monkeypatch):
    before = code_state("benchmarks.methods.topk")
    read = Path.read_bytes
    root = Path(benchmarks.__path__[0])

    def changed(path):
        return read(path) + b"#" * (path == root / "methods" / "_sae.py")

    monkeypatch.setattr(Path, "read_bytes", changed)
    assert code_state("benchmarks.methods.topk") != before
    assert code_state("benchmarks.methods.truth") == code_state("benchmarks.methods.truth")
