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
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal

import numpy as np
from jaxtyping import Real

from osae_theory.certificates import Certificate
from osae_theory.errors import InputError, check_integer, shown
from osae_theory.problems import SparseCodingProblem
from osae_theory.uniqueness.certify import Decision, decide, decide_codes, decide_problem
from osae_theory.uniqueness.counting import CONDITION as COUNTING
from osae_theory.uniqueness.counting import SOURCE as COUNTING_SOURCE
from osae_theory.uniqueness.counting import counting_argument
from osae_theory.uniqueness.findings import Finding, Instance, Support, read_instance
from osae_theory.uniqueness.matrices import MAX_SUBSETS, Rows, check_is, listed, scan_subsets
from osae_theory.uniqueness.work import check_work, counted

MAX_POSITION_SUBSETS = 2_000_000
RICHNESS, RICHNESS_SOURCE = "richness and general position", "Aharon, Elad & Bruckstein (2006)"


@dataclass(frozen=True)
class _Failure:
    """Why a condition is not met, or not decided."""

    answer: Literal["not met", "not decided"]
    reason: str


@dataclass(frozen=True)
class _Proof:
    """What meets a condition, and the samples that do."""

    reason: str
    spark: Certificate
    details: dict[str, str]


def aharon_elad_bruckstein(
    D: Real[np.ndarray, "d K"] | Rows,
    Y: Real[np.ndarray, "K N"] | Rows,
    m: int | None = None,
    spark: Certificate | None = None,
    max_sets: int = MAX_SUBSETS,
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
    max_sets : int
        The most sets of m + 1 samples that are checked.

    Returns
    -------
    Finding
        Not decided if there are more sets, or if the samples chosen, the first in general
        position, are dependent and others could be chosen.

    Raises
    ------
    InputError
        As in `read_instance`.

    Notes
    -----
    Aharon, Elad & Bruckstein (2006), "On the uniqueness of overcomplete dictionaries, and a
    practical way to retrieve them", theorem 3.
    """
    check_integer("max_sets", max_sets, 1)
    instance = read_instance(D, Y, m)
    found = _richness(D, instance, spark, max_sets)
    return _finding(RICHNESS, RICHNESS_SOURCE, instance, found)


def hillar_sommer(
    D: Real[np.ndarray, "d K"] | Rows,
    Y: Real[np.ndarray, "K N"] | Rows,
    m: int | None = None,
    spark: Certificate | None = None,
    max_sets: int = MAX_POSITION_SUBSETS,
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
    check_integer("max_sets", max_sets, 1)
    instance = read_instance(D, Y, m)
    family = combinations(range(instance.K), instance.m)
    found = _pigeonhole(D, instance, spark, family, max_sets)
    return _finding("all supports", "Hillar & Sommer (2015)", instance, found)


def garfinkle_hillar(
    D: Real[np.ndarray, "d K"] | Rows,
    Y: Real[np.ndarray, "K N"] | Rows,
    m: int | None = None,
    spark: Certificate | None = None,
    max_sets: int = MAX_POSITION_SUBSETS,
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
    max_sets : int
        The most sets of m codes that are checked.

    Returns
    -------
    Finding
        Not decided if there are more sets; or if too few samples are in general position by a
        choice that is greedy (m > 2) or by floats.

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
    check_integer("max_sets", max_sets, 1)
    instance = read_instance(D, Y, m)
    K, m = instance.K, instance.m
    source = "Garfinkle & Hillar (2019)"
    cyclic = {tuple(sorted((i + step) % K for step in range(m))) for i in range(K)}
    found = _pigeonhole(D, instance, spark, sorted(cyclic), max_sets)
    rich = {s for s, samples in instance.samples.items() if len(samples) >= _needed(instance)}
    if isinstance(found, _Proof) or not rich or rich == cyclic or not _tells_atoms_apart(rich, K):
        return _finding("cyclic supports", source, instance, found)
    found = _pigeonhole(D, instance, spark, sorted(rich), max_sets)
    return _finding("regular supports", source, instance, found)


def distinct_directions(
    instance: Instance, enough: int | None = None, max_pairs: int = MAX_POSITION_SUBSETS
) -> dict[tuple[int, int], int]:
    """Return the number of distinct directions of the samples on each pair of atoms (m = 2).

    Parameters
    ----------
    instance : Instance
        As from `read_instance`.
    enough : int, optional
        Count no further than this on a pair; without it all are counted.
    max_pairs : int
        The most pairs of samples that may have to be compared.

    Raises
    ------
    InputError
        If m is not 2, or more pairs of samples may have to be compared than the bound.
    """
    check_is("instance", instance, Instance, "an")
    if instance.m != 2:
        raise InputError(f"m = {instance.m}: expected 2 for pairs of atoms")
    if enough is not None:
        check_integer("enough", enough, 1)
    work = _pairs_of_samples(instance, enough)
    check_work(work, "pairs of samples to compare", "max_pairs", max_pairs, "give enough")
    return {(s[0], s[1]): len(instance.general_position(s, enough)) for s in instance.samples}


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
    if isinstance(problem, SparseCodingProblem):
        D, Y = problem.dictionary, problem.codes
        instance, decision = read_instance(D, Y), decide_problem(problem)
    else:
        if not isinstance(problem, (tuple, list)) or len(problem) != 2:
            raise InputError(
                f"problem = {shown(problem)}: expected a SparseCodingProblem or (D, Y)"
            )
        D, Y = problem
        instance = read_instance(D, Y)
        decision = decide_codes(D, instance.m)
    if decision.answer != "unique":
        return _all_fail(instance, _without_proof(decision))
    checks = (aharon_elad_bruckstein, hillar_sommer, garfinkle_hillar)
    findings = [check(D, Y, instance.m, decision.spark) for check in checks]
    if instance.m == 2:
        findings.append(_count(D, instance, decision.spark))
    return tuple(findings)


def _count(
    D: Real[np.ndarray, "d K"] | Rows, instance: Instance, spark: Certificate | None
) -> Finding:
    """Carry out the counting argument, if it would work were all samples distinct."""
    numbers = {(s[0], s[1]): len(samples) for s, samples in instance.samples.items()}
    optimistic = counting_argument(D, numbers, spark)
    if not optimistic.met:
        return replace(optimistic, steps=())
    enough = math.comb(instance.K, 2) + 1
    work = _pairs_of_samples(instance, enough)
    if work > MAX_POSITION_SUBSETS:
        reason = (
            f"{counted(work)} pairs of samples to compare: expected at most "
            f"{MAX_POSITION_SUBSETS}; not checked, use distinct_directions with max_pairs"
        )
        return Finding(COUNTING, COUNTING_SOURCE, "not decided", reason)
    finding = counting_argument(D, distinct_directions(instance, enough), spark)
    undecided = finding.answer == "not met" and not instance.columns.exact
    return replace(finding, answer="not decided") if undecided else finding


def _pairs_of_samples(instance: Instance, enough: int | None) -> int:
    """Return how many pairs of samples may be compared until `enough` directions are found."""
    numbers = map(len, instance.samples.values())
    return sum(n * (n if enough is None else min(n, enough)) for n in numbers)


def _all_fail(instance: Instance, failure: _Failure) -> tuple[Finding, ...]:
    names = [
        (RICHNESS, RICHNESS_SOURCE),
        ("all supports", "Hillar & Sommer (2015)"),
        ("cyclic supports", "Garfinkle & Hillar (2019)"),
    ]
    if instance.m == 2:
        names.append((COUNTING, COUNTING_SOURCE))
    return tuple(Finding(*name, failure.answer, failure.reason) for name in names)


def _finding(name: str, source: str, instance: Instance, found: _Proof | _Failure) -> Finding:
    if isinstance(found, _Failure):
        return Finding(name, source, found.answer, found.reason)
    unique = instance.unique(found.reason, found.spark, found.details)
    return Finding(name, source, "met", found.reason, unique)


def _spark(
    D: Real[np.ndarray, "d K"] | Rows, instance: Instance, spark: Certificate | None
) -> Certificate | _Failure:
    """Return the proof that m-sparse codes are unique, or why there is none."""
    if instance.m == instance.K:
        reason = f"m = K = {instance.K}: expected m < K, as any basis explains the data"
        return _Failure("not met", reason)
    decision = decide(D, instance.m, spark)
    if decision.answer != "unique" or decision.spark is None:
        return _without_proof(decision)
    return decision.spark


def _without_proof(decision: Decision) -> _Failure:
    answer = "not decided" if decision.answer == "not decided" else "not met"
    return _Failure(answer, decision.reason)


def _needed(instance: Instance) -> int:
    return (instance.m - 1) * math.comb(instance.K, instance.m) + 1


def _richness(
    D: Real[np.ndarray, "d K"] | Rows,
    instance: Instance,
    spark: Certificate | None,
    max_sets: int,
) -> _Proof | _Failure:
    K, m = instance.K, instance.m
    proof = _spark(D, instance, spark)
    if isinstance(proof, _Failure):
        return proof
    chosen: dict[int, Support] = {}
    for support in combinations(range(K), m):
        samples = _positioned(instance, support, m + 1)
        if isinstance(samples, _Failure):
            return samples
        chosen |= dict.fromkeys(samples, support)
    sets = math.comb(len(chosen), m + 1)
    if sets > max_sets:
        return _too_many(sets, "sets of samples", max_sets)
    reason = f"{m + 1} samples on each of {math.comb(K, m)} supports, in general position"
    return _mixed(instance, chosen) or _Proof(reason, proof, {"samples": listed(chosen)})


def _pigeonhole(
    D: Real[np.ndarray, "d K"] | Rows,
    instance: Instance,
    spark: Certificate | None,
    family: Iterable[Support],
    max_sets: int,
) -> _Proof | _Failure:
    proof = _spark(D, instance, spark)
    if isinstance(proof, _Failure):
        return proof
    needed = _needed(instance)
    supports: list[Support] = []
    for support in family:  # never listed whole: it may be far larger than the data
        failure = _too_few(instance, support, needed)
        if failure is not None:
            return failure
        supports.append(support)
    work = len(supports) * math.comb(needed, instance.m)
    if work > max_sets:
        return _too_many(work, "sets of codes", max_sets)
    details: dict[str, str] = {}
    for support in supports:
        samples = _positioned(instance, support, needed)
        if isinstance(samples, _Failure):
            return samples
        details[str(support)] = f"samples {listed(samples)}"
    reason = (
        f"{needed} samples, more than (m - 1) binom(K, m), in general position on each of "
        f"{len(supports)} supports"
    )
    return _Proof(reason, proof, details)


def _too_many(amount: int, what: str, max_sets: int) -> _Failure:
    reason = f"{counted(amount)} {what}: expected at most max_sets = {max_sets}; not checked"
    return _Failure("not decided", reason)


def _too_few(instance: Instance, support: Support, needed: int) -> _Failure | None:
    number = len(instance.samples.get(support, ()))
    if number >= needed:
        return None
    reason = f"support {support} has {number} samples: expected at least {needed}"
    return _Failure("not met", reason)


def _positioned(instance: Instance, support: Support, needed: int) -> tuple[int, ...] | _Failure:
    """Return `needed` samples of a support in general position, or why not."""
    failure = _too_few(instance, support, needed)
    if failure is not None:
        return failure
    samples = instance.general_position(support, needed)
    if len(samples) == needed:
        return samples
    reason = (
        f"support {support}: {len(samples)} of its {len(instance.samples[support])} samples "
        f"are in general position, expected at least {needed}"
    )
    # The choice is greedy, which for m = 2 counts directions and otherwise may miss a better one.
    certain = instance.columns.exact and instance.m <= 2
    return _Failure("not met" if certain else "not decided", reason)


def _mixed(instance: Instance, chosen: dict[int, Support]) -> _Failure | None:
    """Return the failure if m + 1 samples that do not share a support are dependent."""
    samples = list(chosen)
    mixed = (
        places
        for places in combinations(range(len(samples)), instance.m + 1)
        if len({chosen[samples[place]] for place in places}) > 1
    )
    found = scan_subsets(instance.data(samples), instance.m + 1, mixed).dependence
    if found is None:
        return None
    which = listed(samples[place] for place in found.subset)
    reason = (
        f"samples {which} are not proved independent: expected any {instance.m + 1} samples "
        "that do not share a support to be"
    )
    # With more samples on the supports others could have been chosen.
    certain = found.proved and len(samples) == sum(map(len, instance.samples.values()))
    return _Failure("not met" if certain else "not decided", reason)


def _tells_atoms_apart(supports: set[Support], K: int) -> bool:
    """Return whether each atom is in equally many supports and is all that they share."""
    degrees = Counter(atom for support in supports for atom in support)
    if len({degrees[atom] for atom in range(K)}) > 1:
        return False
    return all(
        set.intersection(*(set(s) for s in supports if atom in s)) == {atom} for atom in range(K)
    )
