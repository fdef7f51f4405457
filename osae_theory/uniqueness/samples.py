"""Sample conditions under which only one dictionary explains the data X = D* Y*.

All have one proof. Let D' be another dictionary of K atoms in which every sample is m-sparse. If
the samples of a support S force span(D_S) to be the span of m atoms of D', for every S in a
family in which (i) each atom is in exactly r supports and (ii) the supports that contain an atom
have nothing else in common, then: more than r of these spans meet in 0 only (spark > 2 m), so
an atom of D' serves at most r supports; the |family| m = K r incidences leave exactly r for each;
and r spans that meet are those of the supports at one atom of D, which their intersection is. So
D' = D up to signed permutation. The conditions differ in how samples force the spans.
"""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from itertools import combinations

import numpy as np
from jaxtyping import Real

from osae_theory.certificates import Certificate
from osae_theory.errors import InputError
from osae_theory.problems import SparseCodingProblem
from osae_theory.uniqueness.certify import certify_codes, certify_problem, proved_spark
from osae_theory.uniqueness.counting import CONDITION as COUNTING
from osae_theory.uniqueness.counting import SOURCE as COUNTING_SOURCE
from osae_theory.uniqueness.counting import counting_argument
from osae_theory.uniqueness.findings import Finding, Instance, Support, read_instance
from osae_theory.uniqueness.matrices import MAX_SUBSETS, Rows, listed, scan_subsets

MAX_POSITION_SUBSETS = 2_000_000


def aharon_elad_bruckstein(
    D: Real[np.ndarray, "d K"] | Rows,
    Y: Real[np.ndarray, "K N"] | Rows,
    m: int | None = None,
    spark: Certificate | None = None,
) -> Finding:
    """Check the conditions of Aharon, Elad & Bruckstein: m + 1 samples on every support.

    They are: spark(D) > 2 m; for each m-subset of the atoms m + 1 samples of which any m are
    independent; and any m + 1 of these samples that do not share a support are independent. With
    as many samples as places, m + 1 samples can then only share a support of an alternative if
    they share one of D, which forces the spans.

    Parameters
    ----------
    D, Y, m
        As in `read_instance`.
    spark : Certificate, optional
        A proof that spark(D) > 2 m, if there is one already.

    Returns
    -------
    Finding
        Not met also if there are more than 200,000 sets of samples to check; the reason says so.

    Raises
    ------
    InputError
        As in `read_instance`.

    Notes
    -----
    Aharon, Elad & Bruckstein (2006), "On the uniqueness of overcomplete dictionaries, and a
    practical way to retrieve them", theorem 3.
    """
    name, source = "richness and general position", "Aharon, Elad & Bruckstein (2006)"
    instance = read_instance(D, Y, m)
    K, m = instance.K, instance.m
    try:
        spark = _spark(D, instance, spark)
        _check_room(instance)
        chosen: dict[int, Support] = {}
        for support in combinations(range(K), m):
            samples = _positioned(instance, support, m + 1)
            chosen |= dict.fromkeys(samples, support)
        _check_mixed(instance, chosen)
    except InputError as error:
        return Finding(name, source, False, str(error))
    reason = f"{m + 1} samples on each of {math.comb(K, m)} supports, in general position"
    details = {"samples": listed(chosen)}
    return Finding(name, source, True, reason, instance.unique(reason, spark, details))


def hillar_sommer(
    D: Real[np.ndarray, "d K"] | Rows,
    Y: Real[np.ndarray, "K N"] | Rows,
    m: int | None = None,
    spark: Certificate | None = None,
) -> Finding:
    """Check for many samples on every support of m atoms.

    More than (m - 1) binom(K, m) samples in general position on each: by the pigeonhole
    principle m of them share a support of any alternative, which forces the spans.

    Parameters, returned value and errors are those of `garfinkle_hillar`.

    Notes
    -----
    Hillar & Sommer (2015), "When can dictionary learning uniquely recover sparse data from
    subsamples?", arXiv 1106.3616.
    """
    instance = read_instance(D, Y, m)
    family = combinations(range(instance.K), instance.m)
    return _pigeonhole(D, instance, spark, "all supports", "Hillar & Sommer (2015)", family)


def garfinkle_hillar(
    D: Real[np.ndarray, "d K"] | Rows,
    Y: Real[np.ndarray, "K N"] | Rows,
    m: int | None = None,
    spark: Certificate | None = None,
) -> Finding:
    """Check for many samples on a regular family of supports that tells the atoms apart.

    More than (m - 1) binom(K, m) samples in general position on each support of a family in
    which every atom is in equally many supports, and is all that these have in common; such as
    the K cyclic intervals, m < K. The family looked at is that of all supports with so many.

    Parameters
    ----------
    D, Y, m
        As in `read_instance`.
    spark : Certificate, optional
        A proof that spark(D) > 2 m, if there is one already.

    Returns
    -------
    Finding
        Not met also if there are more than 2,000,000 sets of codes to check; the reason says so.

    Raises
    ------
    InputError
        As in `read_instance`.

    Notes
    -----
    Garfinkle & Hillar (2019), "On the uniqueness and stability of dictionaries for sparse
    representation of noisy signals", arXiv 1606.06997, theorem 1 and its cyclic example. The
    cyclic intervals are looked for first, in the given order of the atoms.
    """
    instance = read_instance(D, Y, m)
    K, m = instance.K, instance.m
    source = "Garfinkle & Hillar (2019)"
    cyclic = {tuple(sorted((i + step) % K for step in range(m))) for i in range(K)}
    finding = _pigeonhole(D, instance, spark, "cyclic supports", source, sorted(cyclic))
    rich = {s for s, samples in instance.samples.items() if len(samples) >= _needed(instance)}
    if finding.met or not rich or rich == cyclic or not _tells_atoms_apart(rich, K):
        return finding
    return _pigeonhole(D, instance, spark, "regular supports", source, sorted(rich))


def distinct_directions(instance: Instance) -> dict[tuple[int, int], int]:
    """Return the number of distinct directions of the samples on each pair of atoms (m = 2).

    Raises
    ------
    InputError
        If m is not 2.
    """
    if instance.m != 2:
        raise InputError(f"m = {instance.m}: expected 2 for pairs of atoms")
    return {(s[0], s[1]): len(instance.general_position(s)) for s in instance.samples}


def sufficient_conditions(
    problem: SparseCodingProblem
    | tuple[Real[np.ndarray, "d K"] | Rows, Real[np.ndarray, "K N"] | Rows],
) -> tuple[Finding, ...]:
    """Say which sufficient conditions for a unique dictionary a problem meets.

    Parameters
    ----------
    problem : SparseCodingProblem, or a pair (D, Y) as in `read_instance`
        For a problem with noise, what is found is about D* Y*, without it.

    Returns
    -------
    tuple of Finding
        One for each condition: Aharon, Elad & Bruckstein; Hillar & Sommer; Garfinkle & Hillar;
        and, if m = 2, the counting argument.

    Raises
    ------
    InputError
        As in `read_instance`; not for a condition that fails, which is a finding.
    """
    known: Certificate | None = None
    if isinstance(problem, SparseCodingProblem):
        D, Y = problem.dictionary, problem.codes
        instance = read_instance(D, Y)
        try:
            known = certify_problem(problem)
        except InputError as error:
            return _all_fail(instance, str(error))
    else:
        D, Y = problem
        instance = read_instance(D, Y)
        try:
            known = certify_codes(D, instance.m)
        except InputError as error:
            return _all_fail(instance, str(error))
    checks = (aharon_elad_bruckstein, hillar_sommer, garfinkle_hillar)
    findings = [check(D, Y, instance.m, known) for check in checks]
    if instance.m == 2:
        findings.append(_count(D, instance, known))
    return tuple(findings)


def _count(D: Real[np.ndarray, "d K"] | Rows, instance: Instance, spark: Certificate) -> Finding:
    """Carry out the counting argument, if it would work were all samples distinct."""
    numbers = {(s[0], s[1]): len(samples) for s, samples in instance.samples.items()}
    optimistic = counting_argument(D, numbers, spark)
    if not optimistic.met:
        return replace(optimistic, steps=())
    return counting_argument(D, distinct_directions(instance), spark)


def _all_fail(instance: Instance, reason: str) -> tuple[Finding, ...]:
    names = [
        ("richness and general position", "Aharon, Elad & Bruckstein (2006)"),
        ("all supports", "Hillar & Sommer (2015)"),
        ("cyclic supports", "Garfinkle & Hillar (2019)"),
    ]
    if instance.m == 2:
        names.append((COUNTING, COUNTING_SOURCE))
    return tuple(Finding(name, source, False, reason) for name, source in names)


def _spark(
    D: Real[np.ndarray, "d K"] | Rows, instance: Instance, spark: Certificate | None
) -> Certificate:
    if instance.m == instance.K:
        raise InputError(f"m = K = {instance.K}: expected m < K, as any basis explains the data")
    return proved_spark(D, instance.m, spark)


def _needed(instance: Instance) -> int:
    return (instance.m - 1) * math.comb(instance.K, instance.m) + 1


def _pigeonhole(
    D: Real[np.ndarray, "d K"] | Rows,
    instance: Instance,
    spark: Certificate | None,
    name: str,
    source: str,
    family: Iterable[Support],
) -> Finding:
    needed = _needed(instance)
    supports: list[Support] = []
    try:
        spark = _spark(D, instance, spark)
        for support in family:  # never listed whole: it may be far larger than the data
            _check_number(instance, support, needed)
            supports.append(support)
        work = len(supports) * math.comb(needed, instance.m)
        if work > MAX_POSITION_SUBSETS:
            raise InputError(
                f"{work} sets of codes: expected at most {MAX_POSITION_SUBSETS}; not checked"
            )
        used = [_positioned(instance, support, needed) for support in supports]
    except InputError as error:
        return Finding(name, source, False, str(error))
    reason = (
        f"{needed} samples, more than (m - 1) binom(K, m), in general position on each of "
        f"{len(supports)} supports"
    )
    details = {str(s): f"samples {listed(which)}" for s, which in zip(supports, used, strict=True)}
    return Finding(name, source, True, reason, instance.unique(reason, spark, details))


def _check_number(instance: Instance, support: Support, needed: int) -> None:
    number = len(instance.samples.get(support, ()))
    if number < needed:
        raise InputError(f"support {support} has {number} samples: expected at least {needed}")


def _positioned(instance: Instance, support: Support, needed: int) -> tuple[int, ...]:
    """Return `needed` samples of a support in general position, or raise InputError."""
    _check_number(instance, support, needed)
    samples = instance.general_position(support, needed)
    if len(samples) < needed:
        raise InputError(
            f"support {support}: {len(samples)} of its {len(instance.samples[support])} samples "
            f"are in general position, expected at least {needed}"
        )
    return samples


def _check_room(instance: Instance) -> None:
    count = math.comb(math.comb(instance.K, instance.m) * (instance.m + 1), instance.m + 1)
    if count > MAX_SUBSETS:
        raise InputError(f"{count} sets of samples: expected at most {MAX_SUBSETS}; not checked")


def _check_mixed(instance: Instance, chosen: dict[int, Support]) -> None:
    """Raise InputError if m + 1 samples that do not share a support are dependent."""
    samples = list(chosen)
    mixed = (
        places
        for places in combinations(range(len(samples)), instance.m + 1)
        if len({chosen[samples[place]] for place in places}) > 1
    )
    found = scan_subsets(instance.data(samples), instance.m + 1, mixed).dependence
    if found is not None:
        which = listed(samples[place] for place in found.subset)
        raise InputError(
            f"samples {which} are not proved independent: expected any {instance.m + 1} samples "
            "that do not share a support to be"
        )


def _tells_atoms_apart(supports: set[Support], K: int) -> bool:
    """Return whether each atom is in equally many supports and is all that they share."""
    degrees = Counter(atom for support in supports for atom in support)
    if len({degrees[atom] for atom in range(K)}) > 1:
        return False
    return all(
        set.intersection(*(set(s) for s in supports if atom in s)) == {atom} for atom in range(K)
    )
