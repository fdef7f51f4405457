"""spark(D) of the dictionaries whose description alone determines it."""

from osae_theory.certificates import Certificate
from osae_theory.errors import InputError, shown
from osae_theory.problems import (
    ClusteredDictionary,
    CoherentDictionary,
    Dictionary,
    DiracHadamard,
    EquiangularFrame,
    GaussianDictionary,
    HarmonicFrame,
    OrthonormalDictionary,
    OrthonormalUnion,
    VandermondeFrame,
)

_GENERIC = "any min(d, K) independent continuous directions are independent with probability one"


def spark_by_construction(spec: Dictionary) -> Certificate:
    """Return spark(D) of a dictionary from the way it is made.

    The statement is about the atoms that the description means; the array that is drawn is
    their rounding to float64.

    Parameters
    ----------
    spec : Dictionary
        A description from `osae_theory.problems`.

    Returns
    -------
    Certificate
        "exact" where a theorem says so, "with probability one" for random atoms. K + 1 stands
        for independent atoms.

    Raises
    ------
    InputError
        If no theorem tells: for a `CoherentDictionary` with K > d, and for other classes.

    Notes
    -----
    Alexeev, Cahill & Mixon (2012) for full spark frames; Meshulam (2006) for the uncertainty
    principle that decides `DiracHadamard`.
    """
    if not hasattr(spec, "draw"):
        raise InputError(f"dictionary = {shown(spec)}: expected a description of a dictionary")
    known = known_spark(spec)
    if known is not None:
        return known
    raise InputError(
        f"dictionary = {spec!r}: expected one whose construction determines its spark; use "
        "spark_exhaustive or spark_mip"
    )


def known_spark(spec: Dictionary) -> Certificate | None:
    """Return spark(D) of a dictionary from the way it is made, or None if no theorem tells."""
    d, K = spec.d, spec.K
    match spec:
        case OrthonormalDictionary():
            return _exact(K + 1, "orthonormal atoms are independent")
        case OrthonormalUnion() if K <= d:
            return _exact(K + 1, "orthonormal atoms are independent")
        case CoherentDictionary() | ClusteredDictionary() if K <= d:
            return _exact(K + 1, "independent by construction, as K <= d")
        case HarmonicFrame():
            return _exact(d + 1, "samples of a Haar system of d functions on a circle")
        case VandermondeFrame():
            return _exact(min(d, K) + 1, "Vandermonde columns at distinct nodes")
        case DiracHadamard():
            return _exact(_spark_of_dirac_hadamard(d), "uncertainty on Z_2^n, met by subgroups")
        case EquiangularFrame():
            return _equiangular(d, K)
        case GaussianDictionary() | OrthonormalUnion() | ClusteredDictionary():
            return Certificate("spark(D)", min(d, K) + 1, "with probability one", _GENERIC)
    return None


def _exact(value: int, reason: str) -> Certificate:
    return Certificate("spark(D)", value, "exact", f"by construction: {reason}")


def _spark_of_dirac_hadamard(d: int) -> int:
    """Return 2^a + 2^b with a + b = n = log2 d and a, b as equal as can be.

    A null vector is a function on Z_2^n beside its Walsh transform. Meshulam's inequality puts
    the sizes of their supports above the convex hull of the points (2^a, 2^(n - a)), each of
    which the indicator of a subgroup attains.
    """
    n = d.bit_length() - 1
    return 2 ** (n // 2) + 2 ** (n - n // 2)


def _equiangular(d: int, K: int) -> Certificate:
    if K == d + 1:
        return _exact(d + 1, "a simplex: its only null vectors are constant")
    if K == 2 * d:
        # The same Gram matrix as e_1 beside the weighted rows {0} and {squares} of the prime
        # Fourier matrix, whose minors Chebotarev proves nonzero.
        return _exact(d + 1, "Paley frame of prime order, full spark by Chebotarev's theorem")
    # e_i + e_j - (e_j + e_k) + (e_k + e_l) - (e_l + e_i) = 0, and 1 + 1/mu = 4.
    return _exact(4, "1 + 1/mu = 4, attained by the alternating sum around a 4-cycle of pairs")
