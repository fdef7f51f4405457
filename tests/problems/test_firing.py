import math
from collections import Counter
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, chisquare, multivariate_normal, norm

from osae_theory.errors import InputError
from osae_theory.portable import standard_normal
from osae_theory.problems import (
    SUPPORTS,
    BernoulliSupports,
    CopulaSupports,
    ForestSupports,
    Supports,
    compensated,
    forest_parents,
    rows,
    zipf_rates,
)

RATES = (0.9, 0.5, 0.5, 0.3, 0.05, 0.01)
LOADINGS = ((0.6, 0.3), (0.8, 0.0), (-0.5, 0.5), (0.0, 0.9), (0.0, 1.0), (0.0, 0.0))
PARENTS = (-1, 0, 0, 1, 1, -1)
EXAMPLES = {
    "bernoulli": BernoulliSupports(RATES),
    "copula": CopulaSupports(RATES, LOADINGS),
    "forest": ForestSupports((0.9, 0.7, 0.6, 0.5, 0.9, 0.1), LOADINGS, PARENTS),
}
NONE = ((0.0,),) * 6
N = 40_000


def activity(drawn, K):
    """Return which atom is in which sample's support, (n, K), and check the rows' form."""
    active = np.zeros((len(drawn), K), dtype=bool)
    for i, row in enumerate(drawn.tolist()):
        held = [j for j in row if j >= 0]
        assert held == sorted(set(held))
        assert row[len(held) :] == [-1] * (len(row) - len(held))
        active[i, held] = True
    return active


def assert_within_5_sigma(shares, expected, n):
    sigma = np.sqrt(expected * (1 - expected) / n)
    assert np.all(np.abs(shares - expected) <= 5 * sigma + 1e-12)


def counts_of_siblings(proposed):
    """Yield every way that siblings can be proposed, with its probability."""
    for fired in product([False, True], repeat=len(proposed)):
        terms = (p if on else 1 - p for p, on in zip(proposed, fired, strict=True))
        yield sum(fired), math.prod(terms)


def forest_in_a_loop(law, normal):
    """One sample by the definition: propose, then walk down from the roots."""
    K, rank = len(law.proposed), len(law.loadings[0])
    factors, own, tickets = normal[:rank], normal[rank : rank + K], normal[rank + K :]
    left = []
    for j in range(K):
        z = own[j] * math.sqrt(max(0.0, 1 - math.fsum(a * a for a in law.loadings[j])))
        z += sum(a * f for a, f in zip(law.loadings[j], factors, strict=True))
        left.append(z > -norm.ppf(law.proposed[j]))
    for parent in range(K):
        children = [j for j in range(K) if law.parents[j] == parent]
        for j in children:
            left[j] = left[j] and left[parent]
        rivals = [j for j in children if left[j]]
        if law.exclusive and len(rivals) > 1:
            winner = max(rivals, key=lambda j: tickets[j])
            for j in rivals:
                left[j] = j == winner
    return [j for j in range(K) if left[j]]


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_kind_is_registered_and_draws_rows_of_ascending_atoms(name):
    assert SUPPORTS[name] is type(EXAMPLES[name])
    assert isinstance(EXAMPLES[name], Supports)
    drawn = EXAMPLES[name].draw(6, 200, np.random.default_rng(0))
    assert drawn.shape == (200, EXAMPLES[name].m)
    sizes = activity(drawn, 6).sum(axis=1)
    assert len(set(sizes.tolist())) > 2


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_same_state_draws_the_same_and_chunks_do_not_show(name, monkeypatch):
    whole = EXAMPLES[name].draw(6, 101, np.random.default_rng(1))
    monkeypatch.setattr(rows, "CHUNK_ENTRIES", 40)
    np.testing.assert_array_equal(whole, EXAMPLES[name].draw(6, 101, np.random.default_rng(1)))
    few = EXAMPLES[name].draw(6, 7, np.random.default_rng(1))
    np.testing.assert_array_equal(whole[:7], few)
    assert not np.array_equal(whole, EXAMPLES[name].draw(6, 101, np.random.default_rng(2)))


@pytest.mark.theory
def test_bernoulli_atoms_fire_at_their_rates_and_independently():
    active = activity(BernoulliSupports(RATES).draw(6, N, np.random.default_rng(0)), 6)
    rates = np.array(RATES)
    assert_within_5_sigma(active.mean(axis=0), rates, N)
    together = active.T.astype(float) @ active / N
    for i, j in [(0, 1), (1, 2), (0, 3), (3, 4)]:
        assert_within_5_sigma(together[i, j], rates[i] * rates[j], N)


@pytest.mark.theory
def test_the_number_of_equal_bernoulli_atoms_is_binomial_and_may_be_none():
    drawn = BernoulliSupports((0.3,) * 5).draw(5, 10_000, np.random.default_rng(0))
    counts = Counter((drawn >= 0).sum(axis=1).tolist())
    assert counts[0] > 0
    expected = 10_000 * binom.pmf(np.arange(6), 5, 0.3)
    assert chisquare([counts[s] for s in range(6)], expected).pvalue > 1e-4


@pytest.mark.theory
def test_copula_atoms_fire_at_their_rates_and_in_pairs_as_their_factors_say():
    active = activity(CopulaSupports(RATES, LOADINGS).draw(6, N, np.random.default_rng(0)), 6)
    assert_within_5_sigma(active.mean(axis=0), np.array(RATES), N)
    table = np.array(LOADINGS)
    for i, j in [(0, 1), (1, 2), (0, 3), (3, 4), (1, 3)]:
        r = float(table[i] @ table[j])
        law = multivariate_normal([0, 0], [[1, r], [r, 1]])
        # Both z are above their thresholds, with the probability that both are below minus those.
        both = law.cdf(norm.ppf([RATES[i], RATES[j]]))
        assert_within_5_sigma((active[:, i] & active[:, j]).mean(), both, N)


def test_an_atom_of_rate_1_always_fires():
    law = CopulaSupports((1.0, 0.5), ((0.5,), (0.5,)))
    assert activity(law.draw(2, 500, np.random.default_rng(0)), 2)[:, 0].all()


@given(st.integers(0, 2**32 - 1), st.booleans())
def test_forests_equal_those_of_a_loop(seed, exclusive):
    law = ForestSupports((0.9, 0.7, 0.6, 0.5, 0.9, 0.1), LOADINGS, PARENTS, exclusive)
    drawn = law.draw(6, 20, np.random.default_rng(seed))
    normal = standard_normal(np.random.default_rng(seed), (20, 14))
    looped = [forest_in_a_loop(law, row) for row in normal.tolist()]
    assert [[j for j in row if j >= 0] for row in drawn.tolist()] == looped


@pytest.mark.parametrize("exclusive", [True, False])
def test_a_child_fires_only_with_its_parent_and_without_its_siblings(exclusive):
    law = ForestSupports((0.9, 0.7, 0.6, 0.5, 0.9, 0.1), LOADINGS, PARENTS, exclusive)
    active = activity(law.draw(6, 2000, np.random.default_rng(0)), 6)
    for child, parent in enumerate(PARENTS):
        if parent >= 0:
            assert not (active[:, child] & ~active[:, parent]).any()
            assert active[:, child].any()
    for siblings in ([1, 2], [3, 4]):
        assert active[:, siblings].all(axis=1).any() != exclusive


@pytest.mark.theory
@pytest.mark.parametrize("exclusive", [True, False])
def test_forests_without_correlations_fire_at_the_rates_they_say(exclusive):
    law = ForestSupports((0.9, 0.7, 0.6, 0.5, 0.9, 0.1), NONE, PARENTS, exclusive)
    active = activity(law.draw(6, N, np.random.default_rng(0)), 6)
    assert_within_5_sigma(active.mean(axis=0), law.rates(), N)


@given(st.lists(st.floats(0.01, 1), min_size=2, max_size=5))
def test_the_rate_of_a_child_is_the_sum_over_all_its_siblings_can_do(proposed):
    K = len(proposed) + 1
    law = ForestSupports((0.7, *proposed), ((0.0,),) * K, (-1, *([0] * len(proposed))))
    found = law.rates()
    wins = sum(p / (1 + k) for k, p in counts_of_siblings(proposed[1:]))
    assert found[0] == 0.7
    assert found[1] == pytest.approx(0.7 * proposed[0] * wins, rel=1e-12)
    # One of them fires wherever one is proposed.
    assert found[1:].sum() == pytest.approx(0.7 * (1 - math.prod(1 - p for p in proposed)))


def test_compensated_trees_fire_about_at_the_rates_asked_for():
    rates = (0.4, 0.3, 0.1, 0.08, 0.06, 0.05, 0.02, 0.01)
    parents = (-1, -1, 0, 0, 1, 1, 2, 2)
    law = ForestSupports(compensated(rates, parents), ((0.0,),) * 8, parents)
    np.testing.assert_allclose(law.rates(), rates, rtol=0.15)
    np.testing.assert_array_equal(law.rates()[:2], rates[:2])
    # Left alone, a grandchild fires more than twenty times too rarely.
    assert ForestSupports(rates, ((0.0,),) * 8, parents).rates()[7] < rates[7] / 20


def test_a_forest_is_filled_level_by_level_and_the_rest_is_in_no_tree():
    assert forest_parents(9, 2, 2, 1) == (-1, -1, 0, 0, 1, 1, -1, -1, -1)
    assert forest_parents(9, 2, 2, 2) == (-1, -1, 0, 0, 1, 1, 2, 2, 3)
    assert forest_parents(3, 5, 2, 2) == (-1, -1, -1)
    assert forest_parents(4, 1, 1, 3) == (-1, 0, 1, 2)
    assert forest_parents(3, 1, 2, 0) == (-1, -1, -1)


@given(st.integers(2, 60), st.floats(0.01, 0.99), st.floats(0, 5))
def test_zipf_rates_sum_to_m_and_fall(K, share, alpha):
    rates = zipf_rates(K, share * K, alpha)
    assert math.fsum(rates) == pytest.approx(share * K, rel=1e-9)
    assert all(0 < later <= sooner <= 1 for sooner, later in pairwise(rates))


def test_zipf_rates_are_those_of_clocks_that_ring_by_one_time():
    rates = np.array(zipf_rates(20, 3, 1.2))
    times = -np.log1p(-rates) * np.arange(1, 21) ** 1.2
    np.testing.assert_allclose(times, times[0], rtol=1e-10)
    np.testing.assert_allclose(zipf_rates(20, 3, 0.0), 3 / 20, rtol=1e-12)
    assert np.all(np.diff(rates) < 0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BernoulliSupports(()), "rates = .*: expected a tuple of numbers"),
        (lambda: BernoulliSupports([0.5]), "rates = .*: expected a tuple of numbers"),
        (lambda: BernoulliSupports((0.5, 0.0)), r"rates\[1\] = 0\.0"),
        (lambda: BernoulliSupports((1.1,)), r"rates\[0\] = 1\.1"),
        (lambda: BernoulliSupports((0.5,)).check(2), "rates of 1 atoms: .* K = 2"),
        (lambda: BernoulliSupports((0.5,)).draw(1, 0, np.random.default_rng(0)), "n = 0"),
        (lambda: CopulaSupports((0.5, 0.5), ((0.1,),)), "loadings = .* entry an atom"),
        (lambda: CopulaSupports((0.5, 0.5), ((0.1,), (0.1, 0.2))), r"loadings\[1\] = .* as long"),
        (lambda: CopulaSupports((0.5,), ((0.9, 0.9),)), r"loadings\[0\]: .* sum to at most 1"),
        (lambda: CopulaSupports((0.5,), ((math.nan,),)), r"loadings\[0\]\[0\] = nan"),
        (lambda: CopulaSupports((0.5,), ((0.1,),)).check(3), "rates of 1 atoms: .* K = 3"),
        (lambda: ForestSupports((0.5,), ((0.1,),), ()), "parents = .* entry for each atom"),
        (lambda: ForestSupports((0.5,), ((0.1,),), (0,)), r"parents\[0\] = 0"),
        (lambda: ForestSupports((0.5,), ((0.1,),), (-1,)).check(2), "rates of 1 atoms"),
        (lambda: zipf_rates(5, 5, 1.0), "m = 5: expected a finite number above 0 and below 5"),
        (lambda: zipf_rates(5, 2, -1.0), "alpha = -1"),
        (lambda: zipf_rates(0, 2, 1.0), "K = 0"),
        (lambda: compensated((0.1, 0.2), (-1, 0)), r"rates\[1\] = 0\.2: .* its parent's, 0\.1"),
        (lambda: compensated((0.1,), (-1, 0)), "2 parents: expected one an atom, 1"),
        (lambda: forest_parents(4, 0, 2, 1), "roots = 0"),
        (lambda: forest_parents(4, 1, 0, 1), "branching = 0"),
        (lambda: forest_parents(4, 1, 1, -1), "depth = -1"),
    ],
)
def test_bad_fields_are_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()
