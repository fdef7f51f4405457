"""The fast forms of the loss against the loop over prefixes, in float64, with gradients."""

import numpy as np
import pytest
import torch
from hypothesis import given, note
from hypothesis import strategies as st
from torch.autograd import gradcheck

from osae_theory.errors import InputError
from osae_theory.objectives import (
    exact_penalty_loss,
    nested_dropout_loss,
    nested_dropout_loss_gram,
    nested_dropout_loss_loop,
    nested_dropout_loss_sparse,
    prefix_loss,
)
from osae_theory.prefixes import PrefixLaw, RandomPrefixes
from osae_theory.sae import select_top_m
from osae_theory.strategies import prefix_laws

TOLERANCE = 1e-12


def instance(seed, runs=(), n=7, d=4, K=6, m=3, dtype=torch.float64):
    """Data, an encoder's latents and unit atoms, with gradients switched on."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(*runs, n, d, generator=g, dtype=dtype)
    latents = torch.randn(*runs, n, K, generator=g, dtype=dtype)
    atoms = torch.nn.functional.normalize(
        torch.randn(*runs, K, d, generator=g, dtype=dtype), dim=-1
    )
    return tuple(t.requires_grad_() for t in (x, latents, atoms)), m


def dense_form(loss, law, tensors, m):
    x, latents, atoms = tensors
    return loss(x, select_top_m(latents, m, "signed"), atoms, weights_of(law, x))


def sparse_form(law, tensors, m):
    x, latents, atoms = tensors
    codes = select_top_m(latents, m, "signed")
    indices = codes.detach().abs().topk(m, dim=-1).indices.sort(dim=-1).values
    survival = weights_of(law, x).expand(*x.shape[:-2], law.K)
    return nested_dropout_loss_sparse(x, indices, codes.gather(-1, indices), atoms, survival)


def weights_of(law, like):
    return torch.tensor(law.survival, dtype=like.dtype)


FORMS = {
    "gram (I1)": lambda law, tensors, m: dense_form(nested_dropout_loss_gram, law, tensors, m),
    "sparse (I2)": sparse_form,
    "residual (training)": lambda law, tensors, m: dense_form(nested_dropout_loss, law, tensors, m),
}


def value_and_gradients(form, law, tensors, m):
    loss = form(law, tensors, m)
    return [loss.detach(), *torch.autograd.grad(loss.sum(), tensors)]


def relative_error(found, oracle):
    return max(
        ((a - b).norm() / b.norm().clamp_min(torch.finfo(b.dtype).tiny)).item()
        for a, b in zip(found, oracle, strict=True)
    )


def oracle_of(law, tensors, m):
    return value_and_gradients(
        lambda *args: dense_form(nested_dropout_loss_loop, *args), law, tensors, m
    )


@pytest.mark.theory
@pytest.mark.parametrize("name", FORMS)
@given(law=prefix_laws(min_K=2, max_K=8), seed=st.integers(0, 2**20), data=st.data())
def test_every_form_of_the_loss_equals_the_loop_over_prefixes_with_gradients(name, law, seed, data):
    m = data.draw(st.integers(1, law.K), label="m")
    runs = data.draw(st.sampled_from([(), (1,), (3,)]), label="runs")
    tensors, m = instance(seed, runs=runs, K=law.K, m=m)
    error = relative_error(
        value_and_gradients(FORMS[name], law, tensors, m), oracle_of(law, tensors, m)
    )
    note(f"relative error {error:.1e}")
    assert error < TOLERANCE


@pytest.mark.theory
def test_the_largest_relative_error_of_each_form_is_below_1e_12(capsys):
    worst = dict.fromkeys(FORMS, 0.0)
    for seed in range(20):
        for law in (PrefixLaw.full(40), PrefixLaw.uniform(40), PrefixLaw.zipf(40, 1.2)):
            tensors, m = instance(seed, n=64, d=16, K=40, m=5)
            oracle = oracle_of(law, tensors, m)
            for name, form in FORMS.items():
                error = relative_error(value_and_gradients(form, law, tensors, m), oracle)
                worst[name] = max(worst[name], error)
    with capsys.disabled():
        for name, error in worst.items():
            print(f"\n  loss and gradients, {name} against the loop, float64: {error:.1e}", end="")
    assert max(worst.values()) < TOLERANCE


def test_finite_differences_confirm_the_hand_written_gradients():
    (x, latents, atoms), m = instance(0, runs=(2,))
    weights = weights_of(PrefixLaw.uniform(6), x)
    codes = select_top_m(latents, m, "signed").detach().requires_grad_()
    assert gradcheck(lambda *a: nested_dropout_loss(*a, weights), (x, codes, atoms))


@given(seed=st.integers(0, 2**20), length=st.integers(0, 6))
def test_a_prefix_loss_keeps_the_first_atoms_and_drops_the_rest(seed, length):
    (x, latents, atoms), m = instance(seed)
    codes = select_top_m(latents, m, "signed").detach().numpy()
    expected = 0.0
    for i in range(codes.shape[0]):
        kept = sum(codes[i, j] * atoms[j].detach().numpy() for j in range(length))
        expected += np.sum((x[i].detach().numpy() - kept) ** 2)
    found = prefix_loss(x, torch.from_numpy(codes), atoms, length).item()
    assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("length", [-1, 7, 10**400])
def test_a_prefix_length_outside_0_to_K_is_refused(length):
    (x, latents, atoms), _ = instance(0)
    with pytest.raises(InputError, match="prefix length = "):
        prefix_loss(x, latents, atoms, length)


def test_weights_of_one_give_the_plain_loss_and_its_gradients():
    tensors, m = instance(3)
    x, latents, atoms = tensors

    def plain(law, tensors, m):
        return prefix_loss(x, select_top_m(latents, m, "signed"), atoms, 6)

    law = PrefixLaw.full(6)
    error = relative_error(
        value_and_gradients(FORMS["residual (training)"], law, tensors, m),
        value_and_gradients(plain, law, tensors, m),
    )
    assert error < TOLERANCE


def test_runs_with_their_own_weights_equal_each_run_alone():
    tensors, m = instance(5, runs=(3,))
    x, latents, atoms = (t.detach() for t in tensors)
    codes = select_top_m(latents, m, "signed")
    laws = [PrefixLaw.full(6), PrefixLaw.uniform(6), PrefixLaw.geometric(6, 0.3)]
    weights = torch.stack([weights_of(law, x) for law in laws])
    together = nested_dropout_loss(x, codes, atoms, weights)
    alone = [nested_dropout_loss(x[s], codes[s], atoms[s], weights[s]) for s in range(3)]
    torch.testing.assert_close(together, torch.stack(alone), rtol=1e-13, atol=0)


def test_near_zero_residual_the_residual_form_keeps_digits_that_the_gram_form_loses():
    (_, latents, atoms), m = instance(7, n=200)
    codes = select_top_m(latents.detach(), m, "signed")
    x = codes @ atoms.detach() + 1e-5 * torch.randn(
        200, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(8)
    )
    law = PrefixLaw.full(6)
    exact = prefix_loss(x, codes, atoms.detach(), 6).item()
    single = [t.float() for t in (x, codes, atoms.detach(), weights_of(law, x))]
    assert nested_dropout_loss(*single).item() == pytest.approx(exact, rel=0.05)
    assert abs(nested_dropout_loss_gram(*single).item() - exact) > 0.5 * exact


def test_samples_with_padding_and_no_active_latent_are_counted_by_the_sparse_form():
    (x, _, atoms), _ = instance(1, n=3)
    indices = torch.tensor([[0, 0, 0], [1, 4, 5], [2, 3, 3]])
    values = torch.tensor([[0.0, 0.0, 0.0], [1.0, -2.0, 0.5], [0.7, 0.0, 0.0]], dtype=x.dtype)
    codes = torch.zeros(3, 6, dtype=x.dtype).scatter_add(1, indices, values)
    weights = weights_of(PrefixLaw.uniform(6), x)
    torch.testing.assert_close(
        nested_dropout_loss_sparse(x, indices, values, atoms, weights),
        nested_dropout_loss_loop(x, codes, atoms, weights),
        rtol=1e-12,
        atol=0,
    )


@given(seed=st.integers(0, 2**16), m=st.integers(1, 6))
def test_the_sparse_form_takes_latents_in_any_order_with_gradients(seed, m):
    (x, latents, atoms), _ = instance(seed)
    picked = torch.rand(7, 6, generator=torch.Generator().manual_seed(seed)).topk(m).indices
    picked[0, m // 2 :] = -1
    values = latents.detach().gather(-1, picked.clamp(min=0)).requires_grad_()
    there = picked >= 0
    codes = torch.zeros_like(latents).scatter_add(-1, picked.clamp(min=0), values * there)
    weights = weights_of(PrefixLaw.uniform(6), x)
    leaves = x, values, atoms
    losses = [
        nested_dropout_loss_sparse(x, picked.int(), values, atoms, weights),
        nested_dropout_loss_loop(x, codes, atoms, weights),
    ]
    found, oracle = ([f.detach(), *torch.autograd.grad(f, leaves)] for f in losses)
    assert relative_error(found, oracle) < TOLERANCE


LOSSES = [nested_dropout_loss_loop, nested_dropout_loss_gram, nested_dropout_loss]


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.__name__)
def test_arrays_and_weights_of_another_precision_are_taken(loss):
    tensors = [t.detach().float() for t in instance(2)[0]]
    weights = PrefixLaw.uniform(6).survival
    expected = loss(*tensors, torch.tensor(weights, dtype=torch.float32))
    assert torch.equal(loss(*tensors, weights), expected)
    assert torch.equal(loss(*tensors, torch.tensor(weights)), expected)
    arrays = [t.numpy() for t in tensors]
    assert torch.equal(loss(*arrays, np.float32(weights)), expected)


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.__name__)
@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (0, None, "x = None"),
        (1, torch.zeros(7, 5), r"codes of shape \(7, 5\)|atoms of shape"),
        (2, torch.zeros(5, 4), r"atoms of shape \(5, 4\): expected \(\.\.\., K, d\)"),
        (2, torch.eye(4).to_sparse(), "atoms is sparse"),
        (3, np.ones((2, 3, 6)), r"survival of shape \(2, 3, 6\)"),
    ],
)
def test_what_does_not_fit_is_named(loss, place, value, message):
    arguments = [t.detach() for t in instance(2)[0]] + [torch.ones(6)]
    arguments[place] = value
    with pytest.raises(InputError, match=message):
        loss(*arguments)


def test_without_any_active_latent_the_loss_is_the_energy_of_the_data():
    (x, _, atoms), _ = instance(1)
    weights = weights_of(PrefixLaw.uniform(6), x)
    nothing = torch.empty(7, 0, dtype=x.dtype)
    found = nested_dropout_loss_sparse(x, nothing.long(), nothing, atoms, weights)
    torch.testing.assert_close(found, x.square().sum())


@pytest.mark.theory
@pytest.mark.parametrize(
    "schedule", [RandomPrefixes(6, 2), RandomPrefixes(6, 3, include_full=False)]
)
def test_sampled_prefixes_estimate_the_loss_and_gradient_of_their_mean_law_without_bias(schedule):
    """I3, by the mean over many draws: 5 standard errors, entry by entry."""
    tensors, m = instance(11, n=3, d=3)
    rng = np.random.default_rng(0)

    def flat(law):
        parts = value_and_gradients(FORMS["residual (training)"], law, tensors, m)
        return torch.cat([p.reshape(-1) for p in parts])

    draws = torch.stack(
        [flat(PrefixLaw.from_survival(schedule.survival_at(0, 1, rng))) for _ in range(2000)]
    )
    error = (draws.mean(dim=0) - flat(schedule.mean_law())).abs()
    standard_error = draws.std(dim=0) / len(draws) ** 0.5
    assert (error <= 5 * standard_error + 1e-12).all()


@pytest.mark.theory
def test_averaging_more_sampled_prefixes_shrinks_the_variance_that_the_exact_form_has_not():
    tensors, m = instance(13)
    rng = np.random.default_rng(1)

    def variance(n_drawn):
        schedule = RandomPrefixes(6, n_drawn, include_full=False)
        losses = [
            FORMS["residual (training)"](
                PrefixLaw.from_survival(schedule.survival_at(0, 1, rng)), tensors, m
            ).item()
            for _ in range(1500)
        ]
        return np.var(losses)

    # Without replacement from K = 6: Var = sigma^2 / n * (K - n) / (K - 1).
    one, three, all_six = variance(1), variance(3), variance(6)
    assert three / one == pytest.approx(1 / 3 * 3 / 5, rel=0.2)
    assert all_six < 1e-20


@pytest.mark.theory
@given(law=prefix_laws(min_K=2, max_K=6), seed=st.integers(0, 2**20), data=st.data())
def test_the_exact_penalty_is_a_norm_of_the_residual_and_the_squares_of_the_prefixes(
    law, seed, data
):
    runs = data.draw(st.sampled_from([(), (2,)]), label="runs")
    (x, latents, atoms), m = instance(seed, runs=runs, K=law.K, m=1)
    codes, weights = select_top_m(latents, m, "signed"), weights_of(law, x)
    truncated = nested_dropout_loss_loop(x, codes, atoms, weights)
    norms = (x - codes @ atoms).square().sum(dim=-1)
    for form, fit in (("total", norms.sum(dim=-1).sqrt()), ("per sample", norms.sqrt().sum(-1))):
        found = exact_penalty_loss(x, codes, atoms, weights, 0.3, form)
        torch.testing.assert_close(found, fit + 0.3 * truncated)


@pytest.mark.theory
@pytest.mark.parametrize("form", ["total", "per sample"])
def test_gradients_of_the_exact_penalty_are_those_of_nested_dropout_nearer_to_l_k(form):
    """Of one sample with residual r: of the law with 1 / (2 r) on l = K and weight q elsewhere."""
    (x, latents, atoms), m = instance(0, n=1)
    codes = select_top_m(latents, m, "signed").detach().requires_grad_()
    q = PrefixLaw([0.2, 0.3, 0.1, 0.2, 0.2, 0.0])
    loss = exact_penalty_loss(x, codes, atoms, weights_of(q, x), 0.3, form)
    found = torch.autograd.grad(loss, (x, codes, atoms))
    full = 1 / (2 * (x - codes @ atoms).norm().item())
    law = PrefixLaw((0.3 * q.probabilities + full * np.eye(6)[5]) / (0.3 + full))
    scaled = (0.3 + full) * nested_dropout_loss(x, codes, atoms, weights_of(law, x))
    for a, b in zip(found, torch.autograd.grad(scaled, (x, codes, atoms)), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("form", ["total", "per sample"])
def test_at_an_exact_fit_the_exact_penalty_has_the_gradient_of_its_squares(form):
    (_, latents, atoms), m = instance(0)
    codes = select_top_m(latents, m, "signed").detach().requires_grad_()
    x = (codes @ atoms).detach()
    weights = weights_of(PrefixLaw([0.2, 0.3, 0.1, 0.2, 0.2, 0.0]), x)
    loss = exact_penalty_loss(x, codes, atoms, weights, 0.3, form)
    squares = 0.3 * nested_dropout_loss_loop(x, codes, atoms, weights)
    torch.testing.assert_close(loss, squares)
    for a, b in zip(
        torch.autograd.grad(loss, (codes, atoms)),
        torch.autograd.grad(squares, (codes, atoms)),
        strict=True,
    ):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize(
    ("weight", "form", "message"),
    [(0.0, "total", "weight = 0"), (1.0, "sum", "form 'sum' is unknown")],
)
def test_a_weight_or_a_form_that_is_none_is_refused(weight, form, message):
    (x, latents, atoms), _ = instance(0)
    with pytest.raises(InputError, match=message):
        exact_penalty_loss(x, latents, atoms, weights_of(PrefixLaw.uniform(6), x), weight, form)
