import math
from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from osae_theory.errors import InputError
from osae_theory.portable import exp, log
from osae_theory.problems import (
    SUPPORTS,
    AllSupports,
    BlockSupports,
    CyclicSupports,
    GeometricSupports,
    Supports,
    TreeSupports,
    UniformSupports,
    ZipfSupports,
    inclusion_probabilities,
    supports,
)
from osae_theory.problems import rows as module

EXAMPLES = {
    "zipf": ZipfSupports(2, 1.2),
    "geometric": GeometricSupports(2, 0.8),
    "uniform": UniformSupports(2),
    "cyclic": CyclicSupports(2),
    "all": AllSupports(2),
    "block": BlockSupports(2, 2),
    "tree": TreeSupports(2, 2),
}
# Those of varying size have tests of their own: tests/problems/test_firing.py.
VARYING = {"bernoulli", "copula", "forest"}
SEEDS = st.integers(0, 2**32 - 1)


def brute_inclusion(weights, m):
    """Sum the probability of every ordered way of drawing m atoms."""
    K = len(weights)
    result = np.zeros(K)
    for sequence in permutations(range(K), m):
        probability, left = 1.0, math.fsum(weights)
        for j in sequence:
            probability *= weights[j] / left
            left -= weights[j]
        result[list(sequence)] += probability
    return result


def brute_subset_law(weights, m):
    """Probability of each m-subset, as a dict, by summing over orders."""
    K = len(weights)
    law = dict.fromkeys(combinations(range(K), m), 0.0)
    for sequence in permutations(range(K), m):
        probability, left = 1.0, math.fsum(weights)
        for j in sequence:
            probability *= weights[j] / left
            left -= weights[j]
        law[tuple(sorted(sequence))] += probability
    return law


def grow_tree_in_a_loop(m, branching, K, uniforms, alpha=0.0):
    """One support, by the definition: keep a list of the children not yet held."""
    support, frontier = [0], []
    for u in uniforms:
        first = support[-1] * branching + 1
        frontier += range(first, min(first + branching, K))
        place = int(u * len(frontier))
        if alpha:
            reached = np.cumsum(exp(-alpha * log(np.array(frontier) + 1.0)))
            place = min(int(np.searchsorted(reached, u * reached[-1], "right")), len(frontier) - 1)
        support.append(frontier[place])
        frontier[place] = frontier[-1]
        frontier.pop()
    assert len(support) == m
    return sorted(support)


def subset_counts(drawn):
    subsets, counts = np.unique(drawn, axis=0, return_counts=True)
    return {tuple(s.tolist()): int(c) for s, c in zip(subsets, counts, strict=True)}


def assert_within_5_sigma(drawn, K, expected):
    n = len(drawn)
    frequencies = np.bincount(drawn.ravel(), minlength=K) / n
    sigma = np.sqrt(expected * (1 - expected) / n)
    assert np.all(np.abs(frequencies - expected) <= 5 * sigma + 1e-12)


def test_the_registry_holds_every_kind_under_its_name():
    assert set(SUPPORTS) == set(EXAMPLES) | VARYING
    for name, example in EXAMPLES.items():
        assert SUPPORTS[name] is type(example)
        assert isinstance(example, Supports)


@given(st.sampled_from(list(EXAMPLES)), st.integers(1, 4), st.integers(1, 4), SEEDS)
def test_every_kind_draws_exactly_m_distinct_ascending_atoms(name, m, spare, seed):
    K = m * spare
    extra = {
        "zipf": {"alpha": 1.5},
        "geometric": {"ratio": 0.5},
        "block": {"block_size": m},
        "tree": {"branching": spare},
    }
    kind = SUPPORTS[name](m=m, **extra.get(name, {}))
    drawn = kind.draw(K, 9, np.random.default_rng(seed))
    assert drawn.shape == (9, m)
    assert np.all(np.diff(drawn, axis=1) > 0)
    assert drawn.min() >= 0
    assert drawn.max() < K


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_same_generator_state_draws_the_same_supports(name):
    first = EXAMPLES[name].draw(8, 50, np.random.default_rng(1))
    np.testing.assert_array_equal(first, EXAMPLES[name].draw(8, 50, np.random.default_rng(1)))
    assert not np.array_equal(first, EXAMPLES[name].draw(8, 50, np.random.default_rng(2)))


@pytest.mark.parametrize("name", ["zipf", "geometric", "uniform", "block", "tree"])
def test_the_chunks_do_not_show_in_the_result(name, monkeypatch):
    whole = EXAMPLES[name].draw(8, 101, np.random.default_rng(1))
    monkeypatch.setattr(module, "CHUNK_ENTRIES", 40)
    np.testing.assert_array_equal(whole, EXAMPLES[name].draw(8, 101, np.random.default_rng(1)))


@pytest.mark.theory
@given(st.integers(1, 6), st.integers(1, 6), SEEDS)
def test_inclusion_probabilities_equal_the_sum_over_all_sequences(K, m, seed):
    m = min(m, K)
    weights = np.exp(2 * np.random.default_rng(seed).standard_normal(K))
    exact = inclusion_probabilities(weights, m)
    np.testing.assert_allclose(exact, brute_inclusion(weights, m), rtol=1e-10)
    assert exact.sum() == pytest.approx(m, rel=1e-12)


@pytest.mark.theory
def test_inclusion_probabilities_have_their_closed_form_for_two_of_two_or_three():
    np.testing.assert_allclose(inclusion_probabilities(np.array([5.0, 1.0]), 2), [1.0, 1.0])
    np.testing.assert_allclose(inclusion_probabilities(np.array([3.0, 1.0]), 1), [0.75, 0.25])
    # Leaving atom j out: the two others are drawn, in either order.
    a, b, c = 0.5, 0.3, 0.2
    left_out = b * c / (1 - b) + b * c / (1 - c)
    assert inclusion_probabilities(np.array([a, b, c]), 2)[0] == pytest.approx(1 - left_out)


def test_inclusion_probabilities_keep_digits_with_extreme_weights():
    weights = 10.0 ** -np.arange(0, 60, 6)
    exact = inclusion_probabilities(weights, 3)
    assert exact.sum() == pytest.approx(3.0, rel=1e-12)
    # Fourth atom: it comes in only by overtaking the third, to first order.
    assert exact[3] == pytest.approx(1e-6, rel=1e-5)


@pytest.mark.parametrize(
    ("weights", "m", "message"),
    [
        (np.ones(21), 2, "K = 21: expected at most 20"),
        (np.array([1.0, 0.0]), 1, r"weights\[1\]"),
        (np.array([1.0, -1.0]), 1, r"weights\[1\]"),
        (np.array([np.nan, 1.0]), 1, r"weights\[0\]"),
        (np.ones(3), 4, "m = 4: expected at most K = 3"),
        (np.ones(3), 0, "m = 0"),
        (np.ones(0), 1, "K = 0"),
    ],
)
def test_inclusion_probabilities_refuse_bad_arguments(weights, m, message):
    with pytest.raises(InputError, match=message):
        inclusion_probabilities(weights, m)


@pytest.mark.theory
@pytest.mark.parametrize("alpha", [-0.5, 0.0, 1.2, 3.0])
@pytest.mark.parametrize(("K", "m"), [(12, 3), (6, 5), (15, 1)])
def test_zipf_frequencies_are_the_inclusion_probabilities(alpha, K, m):
    drawn = ZipfSupports(m, alpha).draw(K, 40_000, np.random.default_rng(0))
    expected = inclusion_probabilities(np.arange(1.0, K + 1) ** -alpha, m)
    assert_within_5_sigma(drawn, K, expected)


@pytest.mark.theory
@pytest.mark.parametrize("ratio", [0.3, 0.8, 1.0])
def test_geometric_frequencies_are_the_inclusion_probabilities(ratio):
    drawn = GeometricSupports(3, ratio).draw(10, 40_000, np.random.default_rng(0))
    assert_within_5_sigma(drawn, 10, inclusion_probabilities(ratio ** np.arange(1.0, 11), 3))


@pytest.mark.theory
def test_zipf_subsets_have_the_law_of_successive_sampling():
    law = brute_subset_law(np.arange(1.0, 7) ** -1.2, 3)
    counts = subset_counts(ZipfSupports(3, 1.2).draw(6, 40_000, np.random.default_rng(0)))
    observed = [counts.get(subset, 0) for subset in law]
    assert chisquare(observed, 40_000 * np.array(list(law.values()))).pvalue > 1e-4


@pytest.mark.theory
def test_zipf_supports_have_the_law_of_numpy_choice_without_replacement():
    weights = np.arange(1.0, 6) ** -1.2
    rng = np.random.default_rng(5)
    choices = [rng.choice(5, 2, replace=False, p=weights / weights.sum()) for _ in range(5000)]
    counts = subset_counts(np.sort(np.array(choices), axis=1))
    law = brute_subset_law(weights, 2)
    expected = 5000 * np.array(list(law.values()))
    assert chisquare([counts.get(s, 0) for s in law], expected).pvalue > 1e-4
    ours = subset_counts(ZipfSupports(2, 1.2).draw(5, 5000, np.random.default_rng(6)))
    assert chisquare([ours.get(s, 0) for s in law], expected).pvalue > 1e-4


@pytest.mark.theory
def test_uniform_subsets_are_equally_likely():
    counts = subset_counts(UniformSupports(3).draw(6, 20_000, np.random.default_rng(0)))
    assert len(counts) == 20
    assert chisquare(list(counts.values())).pvalue > 1e-4


def test_extreme_weights_do_not_underflow():
    heaviest_first = GeometricSupports(3, 1e-300).draw(50, 100, np.random.default_rng(0))
    np.testing.assert_array_equal(heaviest_first, np.tile([0, 1, 2], (100, 1)))
    heaviest_last = ZipfSupports(3, -5000.0).draw(50, 100, np.random.default_rng(0))
    np.testing.assert_array_equal(heaviest_last, np.tile([47, 48, 49], (100, 1)))


@given(st.integers(1, 6), st.integers(0, 4), SEEDS)
def test_cyclic_supports_are_intervals(m, spare, seed):
    K = m + spare
    intervals = {tuple(sorted((i + t) % K for t in range(m))) for i in range(K)}
    drawn = CyclicSupports(m).draw(K, 30, np.random.default_rng(seed))
    assert set(subset_counts(drawn)) <= intervals


@pytest.mark.theory
def test_cyclic_intervals_are_equally_likely():
    counts = subset_counts(CyclicSupports(3).draw(8, 8000, np.random.default_rng(0)))
    assert len(counts) == 8
    assert chisquare(list(counts.values())).pvalue > 1e-4


@given(st.integers(1, 4), st.integers(0, 3), st.integers(1, 60), SEEDS)
def test_all_supports_come_as_evenly_as_the_number_of_samples_allows(m, spare, n, seed):
    K = m + spare
    counts = subset_counts(AllSupports(m).draw(K, n, np.random.default_rng(seed)))
    complete = [counts.get(subset, 0) for subset in combinations(range(K), m)]
    assert sum(complete) == n
    assert max(complete) - min(complete) <= 1


def test_all_supports_below_the_limit_only():
    message = "m = 10 of K = 30 atoms makes 30045015 subsets: expected at most 2000000"
    with pytest.raises(InputError, match=message):
        AllSupports(10).check(30)
    AllSupports(2).check(2000)


@pytest.mark.theory
def test_block_supports_are_whole_blocks_equally_likely():
    drawn = BlockSupports(4, 2).draw(10, 10_000, np.random.default_rng(0))
    np.testing.assert_array_equal(drawn[:, 1::2], drawn[:, ::2] + 1)
    assert np.all(drawn[:, ::2] % 2 == 0)
    counts = subset_counts(drawn)
    assert len(counts) == math.comb(5, 2)
    assert chisquare(list(counts.values())).pvalue > 1e-4


@given(st.integers(1, 6), st.integers(1, 9), st.integers(0, 9), SEEDS)
def test_tree_supports_are_connected_and_hold_the_root(m, branching, spare, seed):
    drawn = TreeSupports(m, branching).draw(m + spare, 20, np.random.default_rng(seed))
    assert np.all(drawn[:, 0] == 0)
    for support in drawn.tolist():
        assert all((j - 1) // branching in support for j in support[1:])


@given(
    st.integers(1, 6),
    st.integers(1, 9),
    st.integers(0, 9),
    st.sampled_from([0.0, 0.7, 3.0, -1.0]),
    SEEDS,
)
def test_tree_supports_equal_those_grown_in_a_loop(m, branching, spare, alpha, seed):
    K = m + spare
    uniforms = np.random.default_rng(seed).random((20, m - 1))
    drawn = TreeSupports(m, branching, alpha).draw(K, 20, np.random.default_rng(seed))
    looped = [grow_tree_in_a_loop(m, branching, K, row, alpha) for row in uniforms.tolist()]
    np.testing.assert_array_equal(drawn, looped)


@pytest.mark.theory
def test_tree_supports_add_each_atom_of_the_frontier_alike():
    counts = subset_counts(TreeSupports(3, 2).draw(7, 9000, np.random.default_rng(0)))
    # From the root, 1 or 2; then one of the three on the frontier. {0, 1, 2} comes two ways.
    law = {(0, 1, 2): 2 / 6, (0, 1, 3): 1 / 6, (0, 1, 4): 1 / 6, (0, 2, 5): 1 / 6, (0, 2, 6): 1 / 6}
    assert set(counts) == set(law)
    assert chisquare([counts[s] for s in law], 9000 * np.array(list(law.values()))).pvalue > 1e-4


def test_the_inclusion_probabilities_of_a_small_tree_are_those_by_hand():
    # From the root, 1 or 2; then one of the three on the frontier.
    exact = TreeSupports(3, 2).inclusion_probabilities(7)
    np.testing.assert_allclose(exact, np.array([6, 4, 4, 1, 1, 1, 1]) / 6)


@pytest.mark.theory
@pytest.mark.parametrize(("K", "m", "branching", "alpha"), [(20, 3, 4, 1.2), (9, 4, 2, 0.0)])
def test_tree_frequencies_are_the_inclusion_probabilities(K, m, branching, alpha):
    kind = TreeSupports(m, branching, alpha)
    exact = kind.inclusion_probabilities(K)
    assert exact.sum() == pytest.approx(m)
    assert_within_5_sigma(kind.draw(K, 40_000, np.random.default_rng(0)), K, exact)


def test_a_tree_of_too_many_supports_is_refused_rather_than_enumerated(monkeypatch):
    monkeypatch.setattr(supports, "MAX_SUBSETS", 10)
    with pytest.raises(InputError, match="more than 10 supports: expected fewer"):
        TreeSupports(5, 3).inclusion_probabilities(20)


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        (ZipfSupports, (0, 1.0), "m = 0"),
        (ZipfSupports, (2, math.inf), "alpha = inf"),
        (ZipfSupports, (2, math.nan), "alpha = nan"),
        (GeometricSupports, (0, 0.5), "m = 0"),
        (GeometricSupports, (2, 0.0), r"ratio = 0\.0"),
        (GeometricSupports, (2, 1.1), r"ratio = 1\.1"),
        (UniformSupports, (0,), "m = 0"),
        (CyclicSupports, (-1,), "m = -1"),
        (AllSupports, (0,), "m = 0"),
        (BlockSupports, (0, 1), "m = 0"),
        (BlockSupports, (2, 0), "block_size = 0"),
        (BlockSupports, (3, 2), "m = 3: expected a multiple of block_size = 2"),
        (TreeSupports, (0, 2), "m = 0"),
        (TreeSupports, (2, 0), "branching = 0"),
        (TreeSupports, (2, 2, math.nan), "alpha = nan"),
    ],
)
def test_bad_fields_are_refused(kind, fields, message):
    with pytest.raises(InputError, match=message):
        kind(*fields)


@pytest.mark.parametrize("name", EXAMPLES)
def test_fewer_atoms_than_m_are_refused(name):
    with pytest.raises(InputError, match="m = 2: expected at most K = 1"):
        EXAMPLES[name].check(1)
    with pytest.raises(InputError, match="m = 2: expected at most K = 1"):
        EXAMPLES[name].draw(1, 5, np.random.default_rng(0))
    with pytest.raises(InputError, match="K = 0"):
        EXAMPLES[name].check(0)


@pytest.mark.parametrize("name", EXAMPLES)
def test_fewer_samples_than_one_are_refused(name):
    with pytest.raises(InputError, match="n = 0"):
        EXAMPLES[name].draw(8, 0, np.random.default_rng(0))


def test_blocks_that_do_not_divide_the_atoms_are_refused():
    with pytest.raises(InputError, match="K = 7: expected a multiple of block_size = 2"):
        BlockSupports(4, 2).check(7)
