"""The bits of a small training here against the pinned ones, under a few pretended machines.

`python -m benchmarks.portability` goes through all settings, as `.ci/run` does.
"""

import pytest

from benchmarks.portability import (
    SETTINGS,
    SIZES,
    Pretence,
    fingerprints,
    main,
    pinned,
    sweep,
    under,
    unequal,
)
from osae_theory.errors import InputError

HARD = [
    Pretence(
        "every library's slowest path",
        environment={
            "MKL_CBWR": "COMPATIBLE",
            "OPENBLAS_CORETYPE": "Nehalem",
            "ATEN_CPU_CAPABILITY": "default",
            "NPY_DISABLE_CPU_FEATURES": "AVX2,FMA3,AVX512F,AVX512CD,AVX512_SKX",
        },
    ),
    Pretence("no compiled kernel", "tiny", {"NUMBA_DISABLE_JIT": "1"}),
]


@pytest.mark.parametrize("size", SIZES)
def test_a_small_training_has_the_pinned_bits_here(size):
    assert fingerprints(size) == pinned()[size]


@pytest.mark.parametrize("setting", HARD, ids=lambda setting: setting.name)
def test_pretending_to_be_another_machine_changes_no_bit(setting):
    assert unequal(under(setting), pinned()[setting.size]) == []


def test_a_run_in_a_batch_is_the_run_alone_at_shapes_where_blas_is_not():
    assert sweep("portable", [(7, 11), (5, 9), (24, 28), (31, 35)]) == []


def test_what_differs_is_named():
    expected = pinned()["tiny"]
    assert unequal({**expected, "data": "other"}, expected) == ["data"]
    assert unequal({}, expected) == list(expected)


def test_the_command_ends_with_1_where_a_bit_differs(monkeypatch, capsys):
    shown = pinned()
    monkeypatch.setattr("benchmarks.portability.under", lambda setting: shown[setting.size])
    assert main([]) == 0
    assert capsys.readouterr().out.count("equal") == len(SETTINGS)
    damaged = {size: {**found, "chance": "0"} for size, found in shown.items()}
    monkeypatch.setattr("benchmarks.portability.under", lambda setting: damaged[setting.size])
    assert main([]) == 1
    assert "differs: chance" in capsys.readouterr().out


def test_a_process_that_fails_is_named_with_what_it_said():
    with pytest.raises(InputError, match=r"broken: the process failed: .*'none'"):
        under(Pretence("broken", "none"))
