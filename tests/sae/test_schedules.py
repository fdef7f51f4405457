import pytest

from osae_theory.errors import InputError
from osae_theory.sae import LearningRateSchedule, SparsityWarmup, UnitSweep


def test_sparsity_falls_linearly_from_K_to_m_and_stays():
    warmup = SparsityWarmup(0.5)
    found = [warmup.active_at(t, 100, K=100, m=5) for t in (0, 25, 50, 99)]
    assert found == [100, 53, 5, 5]
    assert SparsityWarmup(0.0).active_at(0, 100, K=100, m=5) == 5


def test_sparsity_never_leaves_the_range_from_m_to_K():
    for steps in (1, 2, 7):
        for t in range(steps):
            assert 3 <= SparsityWarmup(1.0).active_at(t, steps, K=9, m=3) <= 9


def test_the_learning_rate_rises_stays_and_decays_but_never_reaches_zero():
    schedule = LearningRateSchedule(warmup=0.1, decay_from=0.5)
    assert schedule.factor_at(0, 100) == pytest.approx(0.1)
    assert schedule.factor_at(9, 100) == schedule.factor_at(50, 100) == 1
    assert schedule.factor_at(75, 100) == pytest.approx(0.5)
    assert schedule.factor_at(99, 100) == pytest.approx(0.02)
    assert LearningRateSchedule(0.0, 1.0).factor_at(99, 100) == 1


def test_units_freeze_one_by_one_after_the_burn_in():
    sweep = UnitSweep(burn_in=10, every=3)
    assert [sweep.frozen_at(t, K=4) for t in (0, 9, 10, 12, 13, 19, 1000)] == [0, 0, 1, 1, 2, 4, 4]


@pytest.mark.parametrize(
    "make",
    [
        lambda: SparsityWarmup(1.5),
        lambda: LearningRateSchedule(-0.1),
        lambda: LearningRateSchedule(0.6, 0.5),
        lambda: UnitSweep(-1, 2),
        lambda: UnitSweep(0, 0),
    ],
)
def test_impossible_schedules_are_refused(make):
    with pytest.raises(InputError, match="expected"):
        make()
