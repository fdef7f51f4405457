"""Decoders that are frozen or held near their start, and starts that are given."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from osae_theory.errors import InputError
from osae_theory.prefixes import PrefixLaw
from osae_theory.sae import (
    FrozenDecoder,
    NearDecoder,
    Resorting,
    Run,
    RunSeeds,
    SparsityWarmup,
    Trainer,
    TrainingConfig,
    UnitSweep,
    train,
)
from osae_theory.sae.decoders import hold_near
from runtime_types import end_checks

D, K, M = 7, 11, 3
PLAIN = TrainingConfig(M, n_steps=60, batch_size=101)
RUNS = [Run(RunSeeds.same(s), 3e-2, PrefixLaw.uniform(K)) for s in range(2)]


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def starts(dtype=np.float32):
    return torch.from_numpy(unit(np.random.default_rng(5).standard_normal((2, K, D))).astype(dtype))


def data():
    return torch.from_numpy(np.random.default_rng(1).standard_normal((500, D), dtype=np.float32))


@pytest.mark.parametrize("cosine", [-0.2, 0.0, 0.8, 1.0])
def test_held_atoms_are_those_of_a_plain_loop(cosine):
    rng = np.random.default_rng(0)
    start = unit(rng.standard_normal((2, K, D)))
    atoms = unit(start + rng.uniform(0, 2, (2, K, 1)) * rng.standard_normal((2, K, D)))
    atoms[0, 0] = -start[0, 0]
    expected = atoms.copy()
    for s in range(2):
        for j in range(K):
            along = math.fsum(atoms[s, j] * start[s, j])
            if along >= cosine:
                continue
            across = atoms[s, j] - along * start[s, j]
            length = math.sqrt(math.fsum(across**2))
            if length < 1e-12:
                expected[s, j] = start[s, j]
            else:
                turned = math.sqrt(1 - cosine**2) * across / length
                expected[s, j] = cosine * start[s, j] + turned
    found = hold_near(torch.from_numpy(atoms), torch.from_numpy(start), cosine).numpy()
    if cosine > -0.2:
        assert np.array_equal(found[0, 0], start[0, 0])
    np.testing.assert_allclose(found, expected, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(found, axis=-1), 1, atol=1e-12)


def test_a_held_atom_is_the_nearest_that_is_allowed():
    rng = np.random.default_rng(3)
    [start, atom] = unit(rng.standard_normal((2, 1, 1, 3)))
    found = hold_near(torch.from_numpy(atom), torch.from_numpy(start), 0.9).numpy().ravel()
    other = unit(start.ravel() + 0.5 * rng.standard_normal((20_000, 3)))
    other = other[other @ start.ravel() >= 0.9]
    assert len(other) > 1000
    assert (other @ atom.ravel()).max() <= found @ atom.ravel() + 1e-12


@pytest.mark.trains
def test_a_frozen_decoder_stays_and_its_encoder_learns():
    config = replace(PLAIN, decoder=FrozenDecoder(), sparsity_warmup=SparsityWarmup(0))
    result = train(data(), K, RUNS, config)
    free = train(data(), K, RUNS, PLAIN).model
    start = Trainer(D, K, RUNS, PLAIN).model
    assert torch.equal(result.model.atoms, start.atoms)
    assert not torch.equal(result.model.encoder, start.encoder)
    assert not torch.equal(free.atoms, start.atoms)
    assert result.losses[-5:].mean() < 0.97 * result.losses[:5].mean()


@pytest.mark.trains
@pytest.mark.parametrize("resorting", [None, Resorting(every=7)])
def test_a_near_decoder_stays_within_its_cosine_and_reaches_it(resorting):
    config = replace(PLAIN, decoder=NearDecoder(0.95), resorting=resorting)
    found = train(data(), K, RUNS, config, initial_atoms=starts()).model.atoms.numpy()
    free = train(data(), K, RUNS, replace(config, decoder=None)).model.atoms.numpy()
    cosines = np.einsum("skd,sjd->skj", found, starts().numpy()).max(axis=-1)
    assert cosines.min() == pytest.approx(0.95, abs=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found, axis=-1), 1, rtol=1e-5)
    assert np.einsum("skd,sjd->skj", free, starts().numpy()).max(axis=-1).min() < 0.9


@pytest.mark.trains
def test_a_bound_that_binds_nobody_changes_no_bit_and_swept_units_stay():
    free = train(data(), K, RUNS, PLAIN).model
    wide = train(data(), K, RUNS, replace(PLAIN, decoder=NearDecoder(-1.0))).model
    for a, b in zip(free.parameters(), wide.parameters(), strict=True):
        assert torch.equal(a, b)
    config = replace(PLAIN, decoder=NearDecoder(0.98), unit_sweep=UnitSweep(20, 2))
    trainer = Trainer(D, K, RUNS, config)
    rows = data()[:202].view(2, 101, D)
    for _ in range(30):
        trainer.step(rows)
    kept = trainer.model.atoms[:, :5].clone()
    for _ in range(30):
        trainer.step(rows)
    assert torch.equal(trainer.model.atoms[:, :5], kept)


@pytest.mark.trains
def test_given_atoms_are_where_a_run_starts_and_their_transpose_its_encoder():
    given = starts()
    trainer = Trainer(D, K, RUNS, PLAIN, initial_atoms=given)
    assert torch.equal(trainer.model.atoms, given)
    assert torch.equal(trainer.model.encoder, given.mT)
    assert not trainer.model.encoder_bias.any()
    drawn = Trainer(D, K, RUNS, PLAIN).model.atoms.clone()
    default = train(data(), K, RUNS, PLAIN).model
    again = train(data(), K, RUNS, PLAIN, initial_atoms=drawn).model
    for a, b in zip(default.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)
    train(data(), K, RUNS, PLAIN, initial_atoms=given)
    assert torch.equal(given, starts())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: NearDecoder(1.2), r"decoder cosine = 1\.2"),
        (lambda: TrainingConfig(1, decoder="frozen"), "decoder = 'frozen': expected a Frozen"),
        (
            lambda: train(data(), K, RUNS, PLAIN, initial_atoms=starts()[:1]),
            r"initial atoms of shape \(1, 11, 7\) and torch\.float32: .* of shape \(2, 11, 7\)",
        ),
        (
            lambda: train(data(), K, RUNS, PLAIN, initial_atoms=2 * starts()),
            "initial atoms hold one of norm 2: expected unit norms",
        ),
        (
            lambda: Trainer(D, K, RUNS, PLAIN, initial_atoms=starts() * np.nan),
            "one of norm nan",
        ),
        (lambda: Trainer(D, K, RUNS, PLAIN, initial_atoms=starts().long()), r"torch\.int64"),
    ],
)
def test_what_cannot_be_held_or_started_from_is_refused(call, message):
    end_checks()
    with pytest.raises(InputError, match=message):
        call()
