import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from osae_theory.errors import InputError
from osae_theory.prefixes import ExactPenalty, PrefixLaw
from osae_theory.sae import (
    FrozenDecoder,
    Resampling,
    Resorting,
    Run,
    RunSeeds,
    Trainer,
    TrainingConfig,
    UnitSweep,
    train,
)
from osae_theory.sae.resampling import replacements
from runtime_types import end_checks


def unit_rows(rng, K, d):
    rows = rng.standard_normal((K, d))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def squared_error(x, codes, atoms):
    return float(((x - codes @ atoms) ** 2).sum())


def oracle(x, codes, atoms, most):
    """Return what `replacements` returns, in plain loops."""
    n, K = codes.shape
    residuals = [x[i] - sum(codes[i, j] * atoms[j] for j in range(K)) for i in range(n)]
    useful = []
    for j in range(K):
        without = codes.copy()
        without[:, j] = 0
        useful.append(squared_error(x, without, atoms) - squared_error(x, codes, atoms))
    found = []
    for j in sorted(range(K), key=lambda j: useful[j])[:most]:
        lengths = [math.sqrt(float(r @ r)) for r in residuals]
        if max(lengths) <= 1e-6 * max(math.sqrt(float(r @ r)) for r in x):
            break
        direction = residuals[lengths.index(max(lengths))] / max(lengths)
        for turn in range(4):
            along = [float(r @ direction) for r in residuals]
            part = [
                a if a >= 0.7 * length else 0.0 for a, length in zip(along, lengths, strict=True)
            ]
            if turn < 3:
                total = sum(a * r for a, r in zip(part, residuals, strict=True))
                direction = total / math.sqrt(float(total @ total))
        gain = sum(a * a for a in part)
        if gain <= useful[j]:
            break
        residuals = [r - a * direction for a, r in zip(part, residuals, strict=True)]
        found.append((j, direction, gain))
    return found


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 6), st.integers(1, 5), st.integers(1, 12))
def test_what_starts_anew_is_what_plain_loops_find(seed, K, d, n):
    rng = np.random.default_rng(seed)
    x, atoms = rng.standard_normal((n, d)), unit_rows(rng, K, d)
    codes = np.abs(rng.standard_normal((n, K))) * (rng.random((n, K)) < 0.4)
    found = replacements(x, codes, atoms, 3)
    expected = oracle(x, codes, atoms, 3)
    assert found.latents.tolist() == [j for j, _, _ in expected]
    for direction, gain, (_, own, own_gain) in zip(
        found.directions, found.gains, expected, strict=True
    ):
        np.testing.assert_allclose(direction, own, atol=1e-9)
        assert gain == pytest.approx(own_gain, rel=1e-9)


def test_a_doubled_latent_moves_to_the_atom_that_nobody_has():
    atoms = np.eye(3, 4)
    atoms[2] = atoms[0]
    x = np.array([[1.0, 0, 0, 0], [0, 2, 0, 0], [0, 0, 0, 3], [0, 0, 0, 1]])
    codes = np.array([[1.0, 0, 0], [0, 2, 0], [0, 0, 0], [0, 0, 0]])
    found = replacements(x, codes, atoms, 1)
    assert found.latents.tolist() == [2]
    np.testing.assert_allclose(found.directions, [[0, 0, 0, 1]])
    assert found.gains.tolist() == [10]


def test_where_every_latent_is_worth_more_than_the_residuals_none_is_taken():
    x = np.array([[5.0, 0, 0.1], [0, 5, 0.1]])
    assert len(replacements(x, 5 * np.eye(2), np.eye(2, 3), 2).latents) == 0


def test_where_nothing_is_left_over_none_is_taken():
    x = np.array([[5.0, 0], [0, 0]])
    found = replacements(x, np.array([[5.0, 0], [0, 0]]), np.eye(2), 2)
    assert len(found.latents) == 0
    assert found.directions.shape == (0, 2)


def data(n=600, d=12, K=16, m=2, seed=3):
    rng = np.random.default_rng(seed)
    atoms = unit_rows(rng, K, d)
    rows = np.zeros((n, d))
    weights = 1 / np.arange(1, K + 1)
    for i in range(n):
        for j in rng.choice(K, m, replace=False, p=weights / weights.sum()):
            rows[i] += abs(rng.standard_normal()) * atoms[j]
    return torch.from_numpy(rows.astype(np.float32))


def config(**changed):
    given = {"n_steps": 300, "batch_size": 128, "resampling": Resampling(every=10)}
    return TrainingConfig(2, **(given | changed))


def runs(*seeds):
    K = 16
    laws = [PrefixLaw.full(K), PrefixLaw.uniform(K), ExactPenalty(PrefixLaw.uniform(K), 0.5)]
    return [Run(RunSeeds.same(s), 0.02, laws[s % 3]) for s in seeds]


def last_loss(**changed):
    result = train(data(), 16, [Run(RunSeeds.same(s), 0.02, PrefixLaw.full(16)) for s in range(6)],
                   config(**changed))  # fmt: skip
    return float(result.losses[-20:].mean())


def test_training_with_it_ends_at_a_lower_loss_on_average():
    assert last_loss() < 0.95 * last_loss(resampling=None)


@pytest.mark.parametrize("arithmetic", ["portable", "fast"])
def test_a_run_in_company_is_the_run_alone(arithmetic):
    changed = {"arithmetic": arithmetic, "resorting": Resorting(20)}
    together = train(data(), 16, runs(0, 1, 2), config(**changed)).model
    for s in range(3):
        alone = train(data(), 16, runs(s), config(**changed)).model
        if arithmetic == "portable":
            assert torch.equal(alone.atoms[0], together.atoms[s])
            assert torch.equal(alone.encoder[0], together.encoder[s])
        norms = torch.linalg.vector_norm(together.atoms[s], dim=-1)
        torch.testing.assert_close(norms, torch.ones(16))


def test_outside_its_part_of_the_training_it_changes_nothing():
    late = Resampling(every=1, begin=1.0, end=1.0)
    first, second = (
        train(data(), 16, runs(0), config(resampling=one)).model for one in (None, late)
    )
    assert torch.equal(first.atoms, second.atoms)


def test_what_starts_anew_has_its_direction_as_encoder_no_bias_and_no_momentum():
    trainer = Trainer(12, 16, runs(0), config(n_steps=40, resampling=Resampling(1, 0.9, 0.92)))
    x = data()[None]
    for _ in range(36):
        trainer.step(x[:, :128])
    before = trainer.model.atoms.clone()
    trainer.step(x[:, :128])
    moved = (trainer.model.atoms * before).sum(dim=-1)[0] < 0.9
    assert 1 <= int(moved.sum()) <= 2
    assert torch.equal(trainer.model.encoder.mT[0, moved], trainer.model.atoms[0, moved])
    assert not trainer.model.encoder_bias[0, moved].any()
    for name in ("encoder", "encoder_bias", "atoms"):
        assert not trainer.state()[f"mean.{name}"][0, moved].any()
        assert trainer.state()[f"mean.{name}"][0, ~moved].any()


def test_a_training_that_is_taken_up_again_ends_the_same():
    x = data()[None, :128]
    first = Trainer(12, 16, runs(0), config(n_steps=60))
    for _ in range(40):
        first.step(x)
    second = Trainer(12, 16, runs(0), config(n_steps=60))
    second.restore(first.state())
    for _ in range(20):
        first.step(x)
        second.step(x)
    assert torch.equal(first.model.atoms, second.model.atoms)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"every": 0}, "resampling interval = 0: expected"),
        ({"begin": -0.1}, "resampling begin = -0.1: expected"),
        ({"begin": 0.9}, "resampling end = 0.85: expected"),
        ({"end": 1.5}, "resampling end = 1.5: expected"),
        ({"most": 0}, "latents resampled at a time = 0: expected"),
    ],
)
def test_times_that_cannot_be_are_one_sentence(changed, message):
    with pytest.raises(InputError, match=message):
        Resampling(**changed)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"unit_sweep": UnitSweep(1, 1)}, "resampling with unit_sweep: expected only one"),
        ({"decoder": FrozenDecoder()}, "resampling with decoder: expected only one"),
        ({"resampling": 25}, "resampling = 25: expected a Resampling or None"),
    ],
)
def test_what_does_not_go_together_is_one_sentence(changed, message):
    end_checks()
    with pytest.raises(InputError, match=message):
        config(**changed)


def test_processes_that_share_a_batch_are_refused():
    with pytest.raises(InputError, match="world_size = 2: expected 1 with a dead-latent loss"):
        Trainer(12, 16, runs(0), config(), world_size=2)


def test_no_latent_to_replace_is_refused():
    with pytest.raises(InputError, match="most = 0: expected"):
        replacements(np.ones((1, 1)), np.ones((1, 1)), np.ones((1, 1)), 0)
