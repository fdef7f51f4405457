import pytest
import torch

from osae_theory.errors import InputError
from osae_theory.integrations.laws import law_of
from osae_theory.integrations.ordered import ordered_loss
from osae_theory.objectives import nested_dropout_loss_loop
from osae_theory.prefixes import PrefixLaw
from osae_theory.sae import select_top_m
from runtime_types import end_checks


def batch(n=40, d=6, K=11, dtype=torch.float64):
    draw = torch.Generator().manual_seed(3)
    x, scores, atoms = (
        torch.randn(*shape, generator=draw, dtype=dtype) for shape in ((n, d), (n, K), (K, d))
    )
    return x, scores, atoms, torch.rand(K, generator=draw, dtype=dtype) + 0.5


def by_definition(x, scores, atoms, survival, m, scale):
    codes = select_top_m(scores, m)
    return nested_dropout_loss_loop(x, codes * scale, atoms, survival) / len(x), codes


@pytest.mark.parametrize("m", [1, 3, 11])
@pytest.mark.parametrize("sparse", [True, False])
def test_the_loss_is_the_definitions_with_its_gradients(m, sparse, monkeypatch):
    monkeypatch.setattr("osae_theory.integrations.ordered.sparse_pays", lambda *shape: sparse)
    survival = torch.tensor(PrefixLaw.zipf(11, 0.7).survival)
    given = [t.requires_grad_() for t in batch()]
    x, scores, atoms, scale = given
    found = ordered_loss(x, scores, atoms, survival, m, scale)
    expected, codes = by_definition(x, scores, atoms, survival, m, scale)
    torch.testing.assert_close(found.loss, expected)
    slopes = torch.autograd.grad(found.loss, given)
    torch.testing.assert_close(slopes, torch.autograd.grad(expected, given))
    torch.testing.assert_close(found.codes, codes.detach())
    torch.testing.assert_close(found.reconstruction, ((codes * scale) @ atoms).detach())
    torch.testing.assert_close(
        found.top_values.sort().values[:, -m:], codes.detach().sort().values[:, -m:]
    )


def test_half_precision_is_computed_in_single():
    x, scores, atoms, _ = (t.requires_grad_() for t in batch(dtype=torch.bfloat16))
    survival = torch.tensor(PrefixLaw.uniform(11).survival, dtype=torch.float32)
    found = ordered_loss(x, scores, atoms, survival, 3)
    assert found.loss.dtype == torch.float32
    single = [t.detach().float() for t in (x, scores, atoms)]
    assert found.loss.item() == ordered_loss(*single, survival, 3).loss.item()
    assert torch.autograd.grad(found.loss, x)[0].dtype == torch.bfloat16


def test_a_sample_without_a_positive_score_is_left_whole():
    x, scores, atoms, _ = batch()
    found = ordered_loss(x, -scores.abs(), atoms, torch.tensor(PrefixLaw.uniform(11).survival), 3)
    torch.testing.assert_close(found.loss, x.square().sum() / len(x))
    assert not found.codes.any()


@pytest.mark.parametrize("n", [1, 40])
def test_a_batch_may_be_one_sample_and_need_not_lie_in_one_piece(n):
    x, scores, atoms, scale = batch(n=n)
    survival = torch.tensor(PrefixLaw.zipf(11, 0.7).survival)
    apart = [torch.stack([t, -t], dim=-1)[..., 0] for t in (x, scores, atoms)]
    assert not apart[2].is_contiguous()
    found = ordered_loss(*apart, survival, 3, scale)
    assert found.loss == ordered_loss(x, scores, atoms, survival, 3, scale).loss
    torch.testing.assert_close(found.loss, by_definition(x, scores, atoms, survival, 3, scale)[0])


def test_the_loss_of_a_batch_is_the_mean_of_its_parts():
    x, scores, atoms, _ = batch()
    survival = torch.tensor(PrefixLaw.uniform(11).survival)
    whole = ordered_loss(x, scores, atoms, survival, 3).loss
    parts = [ordered_loss(x[i::2], scores[i::2], atoms, survival, 3).loss for i in (0, 1)]
    torch.testing.assert_close(sum(parts) / 2, whole)


@pytest.mark.parametrize("shape", [(0, 6), (6,), (4, 10, 6)])
def test_a_batch_that_cannot_be_is_one_sentence(shape):
    _, _, atoms, survival = batch()
    end_checks()
    with pytest.raises(InputError, match=r"a batch of shape .*: expected \(n, d\)"):
        ordered_loss(torch.ones(shape), torch.ones(*shape[:-1], 11), atoms, survival, 3)


@pytest.mark.parametrize(
    ("name", "law"),
    [
        ("uniform", PrefixLaw.uniform(64)),
        ("full", PrefixLaw.full(64)),
        ("zipf:1.2", PrefixLaw.zipf(64, 1.2)),
        ("geometric:0.9", PrefixLaw.geometric(64, 0.9)),
        ("massed:0.5", PrefixLaw.massed(64, 0.5)),
        ("piecewise", PrefixLaw.piecewise(64, [2, 6, 14, 30, 64])),
    ],
)
def test_a_law_by_its_name(name, law):
    assert (law_of(name, 64).survival == law.survival).all()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("unifrom", "law 'unifrom' is unknown .did you mean 'uniform'"),
        ("uniform:2", "law 'uniform:2': expected no number after 'uniform'"),
        ("zipf", "law 'zipf': expected a number, as in 'zipf:0.5'"),
        ("massed:2", "share = 2.0: expected a finite number at least 0 and at most 1"),
        ("geometric:nan", "ratio = nan: expected a finite number"),
        (None, "law = None: expected a name, as 'uniform'"),
        (PrefixLaw.full(3), r"law = PrefixLaw.*: expected a name, as 'uniform'"),
    ],
)
def test_a_law_that_cannot_be_is_one_sentence(name, message):
    end_checks()
    with pytest.raises(InputError, match=message):
        law_of(name, 64)
