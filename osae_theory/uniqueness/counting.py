"""The counting argument of claim N1: a unique dictionary from planes that hold many samples."""

import math
from collections import Counter
from collections.abc import Mapping

import numpy as np
from jaxtyping import Real

from osae_theory.certificates import Certificate
from osae_theory.errors import InputError, check_integer, shown
from osae_theory.uniqueness.certify import decide
from osae_theory.uniqueness.findings import Finding, one_dictionary
from osae_theory.uniqueness.matrices import Rows, read_columns

Edge = tuple[int, int]

CONDITION = "counting argument for m = 2"
SOURCE = "claim N1, with the count of edge ends in place of the cycle"


def counting_argument(
    D: Real[np.ndarray, "d K"] | Rows,
    directions: Mapping[Edge, int],
    spark: Certificate | None = None,
) -> Finding:
    """Carry out the counting argument for 2-sparse samples on the edges of a graph of atoms.

    Let D' be any dictionary of K atoms in which all samples are 2-sparse.

    1. spark(D) > 4: the planes P_e, P_f of two edges meet in the line of a common atom, or in 0.
    2. D' has at most binom(K, 2) pair-planes. If P_e is none of them, each holds at most one
       direction of P_e; and a plane P_f that is known to be one holds no sample of e, whose both
       entries are nonzero. So P_e is a pair-plane of D' if e has more distinct directions than
       binom(K, 2) less the planes already known.
    3. An atom of D' on two or more known planes lies in their intersection, so it is an atom i of
       D, and the planes are edges at i; atoms of D' that are parallel share none of them. The
       known edges have sum_i deg(i) ends. If the atoms of D in a set M were not found, the others
       account for at most sum_{i not in M} deg(i) ends, and the at most |M| remaining atoms of
       D' for one end each: sum_{i in M} (deg(i) - 1) <= 0. So if every degree is at least 2,
       nothing is missing and D' = D up to signed permutation.

    Triangles are no obstacle; an atom on a single edge is, as it can turn within its plane.

    Parameters
    ----------
    D : Real[np.ndarray, "d K"] or rows of int and Fraction
        Unit-norm columns (rational ones may have any length).
    directions : mapping of pairs of atoms to int
        Number of distinct directions among the samples of each edge, both entries nonzero.
    spark : Certificate, optional
        A proof that spark(D) > 4, if there is one already.

    Returns
    -------
    Finding
        With its steps, up to the one that fails.

    Raises
    ------
    InputError
        If an edge is not two different atoms of D, is given twice, or has a negative number.
    """
    columns = read_columns("dictionary", D)
    K = columns.shape[1]
    edges = _check_edges(directions, K)
    steps: list[str] = []
    decision = decide(D, 2, spark)
    if decision.spark is None or decision.answer != "unique":
        answer = "not decided" if decision.answer == "not decided" else "not met"
        return Finding(CONDITION, SOURCE, answer, decision.reason)
    spark = decision.spark
    steps.append(f"{spark}: the planes of two edges meet in their common atom's line or in 0")
    planes = math.comb(K, 2)
    steps.append(f"an alternative dictionary has at most {planes} pair-planes")
    known = _known_planes(edges, planes, steps)
    degrees = Counter(atom for edge in known for atom in edge)
    poor = [atom for atom in range(K) if degrees[atom] < 2]
    if poor:
        reason = _failure(poor, edges, known, planes)
        return Finding(CONDITION, SOURCE, "not met", reason, None, tuple(steps))
    steps.append(
        f"every atom is on at least two of these {len(known)} planes, so their {2 * len(known)} "
        f"ends leave none of the {K} atoms out"
    )
    details = {f"step {place}": step for place, step in enumerate(steps, start=1)}
    unique = one_dictionary(CONDITION, columns, spark, details)
    return Finding(CONDITION, SOURCE, "met", steps[-1], unique, tuple(steps))


def _known_planes(edges: Mapping[Edge, int], planes: int, steps: list[str]) -> list[Edge]:
    """Return the edges whose planes every alternative has, richest first."""
    known: list[Edge] = []
    for edge in sorted(edges, key=lambda e: (-edges[e], e)):
        others = planes - len(known)
        if edges[edge] <= others:
            break
        steps.append(
            f"edge {edge}: {edges[edge]} directions, more than the {others} planes that could hold"
            " one each, so its plane is a pair-plane of every alternative"
        )
        known.append(edge)
    return known


def _failure(poor: list[int], edges: Mapping[Edge, int], known: list[Edge], planes: int) -> str:
    degrees = Counter(atom for edge in edges if edges[edge] > 0 for atom in edge)
    pendant = [atom for atom in poor if degrees[atom] < 2]
    if pendant:
        return (
            f"atom {pendant[0]} is on {degrees[pendant[0]]} edge(s): expected two or more for each "
            "atom; with one it can be turned within its plane"
        )
    weak = max((e for e in edges if e not in known), key=lambda e: edges[e])
    return (
        f"edge {weak} has {edges[weak]} distinct directions: expected more than "
        f"{planes - len(known)}"
    )


def _check_edges(directions: Mapping[Edge, int], K: int) -> dict[Edge, int]:
    edges: dict[Edge, int] = {}
    if not isinstance(directions, Mapping):
        raise InputError(f"directions = {shown(directions)}: expected a mapping of pairs of atoms")
    for edge, number in directions.items():
        if not isinstance(edge, tuple) or len(edge) != 2:
            raise InputError(f"edge {shown(edge)}: expected two different atoms in 0..{K - 1}")
        for atom in edge:
            check_integer(f"atom of edge {edge}", atom, 0)
        i, j = sorted(edge)
        if not 0 <= i < j < K:
            raise InputError(f"edge {edge}: expected two different atoms in 0..{K - 1}")
        if (i, j) in edges:
            raise InputError(f"edge {edge} is given twice: expected each once")
        check_integer(f"number of directions of edge {edge}", number, 0)
        edges[i, j] = number
    return edges
