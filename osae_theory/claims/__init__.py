"""Every claim about ordered sparse autoencoders, one file each, listed here and nowhere else.

I: identities of the loss. P: what the paper claims, as printed. T and N: what holds, and
what stands in the way. U: uniqueness, which the rest leans on. A: a loss that does what the paper
wanted. B: beyond. C, E and F: what sorting can reach; D: noise at m = 1, at the right rate.
"""

from collections.abc import Mapping
from types import MappingProxyType

from osae_theory.claims.approximate_lemma import APPROXIMATE_LEMMA
from osae_theory.claims.base import Assumption, Claim, Finding
from osae_theory.claims.best_order import BEST_ORDER
from osae_theory.claims.empty_argmin import EMPTY_ARGMIN
from osae_theory.claims.exact_penalty import EXACT_PENALTY
from osae_theory.claims.exact_penalty_needs import EXACT_PENALTY_NEEDS
from osae_theory.claims.exact_penalty_per_sample import EXACT_PENALTY_PER_SAMPLE
from osae_theory.claims.exact_recovery_m2 import EXACT_RECOVERY_M2
from osae_theory.claims.greedy_recovery import GREEDY_RECOVERY
from osae_theory.claims.greedy_uniqueness import GREEDY_UNIQUENESS
from osae_theory.claims.identity_gram import IDENTITY_GRAM
from osae_theory.claims.identity_sampling import IDENTITY_SAMPLING
from osae_theory.claims.identity_sparse import IDENTITY_SPARSE
from osae_theory.claims.lemma_3_1 import LEMMA_3_1
from osae_theory.claims.limit_order import LIMIT_ORDER
from osae_theory.claims.linear_case import LINEAR_CASE
from osae_theory.claims.lost_atoms import LOST_ATOMS
from osae_theory.claims.measure_zero import MEASURE_ZERO
from osae_theory.claims.obstruction import OBSTRUCTION
from osae_theory.claims.obstruction_gap import OBSTRUCTION_GAP
from osae_theory.claims.order_from_counts import ORDER_FROM_COUNTS
from osae_theory.claims.orthonormal_codes import ORTHONORMAL_CODES
from osae_theory.claims.pca_recovery import PCA_RECOVERY
from osae_theory.claims.penalised_recovery import PENALISED_RECOVERY
from osae_theory.claims.ray_minimum import RAY_MINIMUM
from osae_theory.claims.ray_noise import RAY_NOISE
from osae_theory.claims.ray_noise_tight import RAY_NOISE_TIGHT
from osae_theory.claims.ray_recovery import RAY_RECOVERY
from osae_theory.claims.ray_recovery_coherence import RAY_RECOVERY_COHERENCE
from osae_theory.claims.ray_recovery_energies import RAY_RECOVERY_ENERGIES
from osae_theory.claims.ray_recovery_partial import RAY_RECOVERY_PARTIAL
from osae_theory.claims.ray_recovery_sharp import RAY_RECOVERY_SHARP
from osae_theory.claims.ray_recovery_welch import RAY_RECOVERY_WELCH
from osae_theory.claims.shared_atom import SHARED_ATOM
from osae_theory.claims.sorting_afterwards import SORTING_AFTERWARDS
from osae_theory.claims.theorem_3_1_codes import THEOREM_3_1_CODES
from osae_theory.claims.theorem_3_1_coherence import THEOREM_3_1_COHERENCE
from osae_theory.claims.theorem_3_1_law import THEOREM_3_1_LAW
from osae_theory.claims.theorem_3_1_order import THEOREM_3_1_ORDER
from osae_theory.claims.theorem_3_1_samples import THEOREM_3_1_SAMPLES
from osae_theory.claims.theorem_3_1_sparsity import THEOREM_3_1_SPARSITY
from osae_theory.claims.unique_codes import UNIQUE_CODES
from osae_theory.claims.unique_dictionary import UNIQUE_DICTIONARY
from osae_theory.claims.vanishing_truncation import VANISHING_TRUNCATION

CLAIMS: Mapping[str, Claim] = MappingProxyType(
    {
        claim.id: claim
        for claim in (
            IDENTITY_GRAM,
            IDENTITY_SPARSE,
            IDENTITY_SAMPLING,
            LEMMA_3_1,
            THEOREM_3_1_ORDER,
            THEOREM_3_1_COHERENCE,
            THEOREM_3_1_SPARSITY,
            THEOREM_3_1_SAMPLES,
            THEOREM_3_1_LAW,
            THEOREM_3_1_CODES,
            GREEDY_UNIQUENESS,
            LINEAR_CASE,
            EMPTY_ARGMIN,
            PCA_RECOVERY,
            APPROXIMATE_LEMMA,
            RAY_RECOVERY,
            RAY_RECOVERY_PARTIAL,
            RAY_RECOVERY_SHARP,
            RAY_RECOVERY_WELCH,
            RAY_RECOVERY_ENERGIES,
            RAY_MINIMUM,
            RAY_NOISE,
            VANISHING_TRUNCATION,
            EXACT_RECOVERY_M2,
            LIMIT_ORDER,
            PENALISED_RECOVERY,
            SORTING_AFTERWARDS,
            ORTHONORMAL_CODES,
            OBSTRUCTION,
            OBSTRUCTION_GAP,
            EXACT_PENALTY,
            EXACT_PENALTY_PER_SAMPLE,
            EXACT_PENALTY_NEEDS,
            UNIQUE_CODES,
            UNIQUE_DICTIONARY,
            GREEDY_RECOVERY,
            RAY_RECOVERY_COHERENCE,
            SHARED_ATOM,
            MEASURE_ZERO,
            ORDER_FROM_COUNTS,
            RAY_NOISE_TIGHT,
            LOST_ATOMS,
            BEST_ORDER,
        )
    }
)

__all__ = ["CLAIMS", "Assumption", "Claim", "Finding"]
