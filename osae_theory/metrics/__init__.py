"""What is measured of a fit: Stab, Ord and their chance level, order, detection, reconstruction."""

from osae_theory.metrics.candidates import (
    CandidateMatching,
    match_candidate_similarities,
    match_candidates,
)
from osae_theory.metrics.chance import (
    ChanceLevel,
    OrderednessLevel,
    chance_orderedness,
    chance_stability,
)
from osae_theory.metrics.coverage import cluster_span, clusters, feature_uniqueness
from osae_theory.metrics.detection import Detection, detection, support_jaccard
from osae_theory.metrics.expected_order import (
    SquaredValues,
    disorder_bound_by_energy,
    disorder_bound_by_frequency,
    expected_orderedness,
    inversions_by_energy,
    inversions_by_frequency,
    inversions_of,
    least_samples,
    normal_inversions_by_energy,
    orderedness_with_misplaced,
    orderedness_with_shuffled,
)
from osae_theory.metrics.matching import (
    Matching,
    cosines,
    live_atoms,
    match,
    match_models,
    match_rows,
    match_similarities,
    orderedness_range,
)
from osae_theory.metrics.orderedness import orderedness, orderedness_of_permutation
from osae_theory.metrics.ordering import (
    LatentStatistics,
    energies,
    frequencies,
    order_by,
    order_by_energy,
    order_by_frequency,
)
from osae_theory.metrics.reconstruction import (
    dead_share,
    fifr_error,
    fraction_of_variance_unexplained,
    mean_l0,
    mean_squared_error,
)
from osae_theory.metrics.resolved import order_of_resolved_pairs, resolved_pairs
from osae_theory.metrics.stability import corrected, stability
from osae_theory.metrics.streams import (
    activation_correlations,
    live_latents,
    match_activations,
    mean_correlation,
)
from osae_theory.metrics.subspaces import SubspaceAgreement, subspace_agreement
from osae_theory.metrics.transport import sinkhorn_plan, sinkhorn_stability

__all__ = [
    "CandidateMatching",
    "ChanceLevel",
    "Detection",
    "LatentStatistics",
    "Matching",
    "OrderednessLevel",
    "SquaredValues",
    "SubspaceAgreement",
    "activation_correlations",
    "chance_orderedness",
    "chance_stability",
    "cluster_span",
    "clusters",
    "corrected",
    "cosines",
    "dead_share",
    "detection",
    "disorder_bound_by_energy",
    "disorder_bound_by_frequency",
    "energies",
    "expected_orderedness",
    "feature_uniqueness",
    "fifr_error",
    "fraction_of_variance_unexplained",
    "frequencies",
    "inversions_by_energy",
    "inversions_by_frequency",
    "inversions_of",
    "least_samples",
    "live_atoms",
    "live_latents",
    "match",
    "match_activations",
    "match_candidate_similarities",
    "match_candidates",
    "match_models",
    "match_rows",
    "match_similarities",
    "mean_correlation",
    "mean_l0",
    "mean_squared_error",
    "normal_inversions_by_energy",
    "order_by",
    "order_by_energy",
    "order_by_frequency",
    "order_of_resolved_pairs",
    "orderedness",
    "orderedness_of_permutation",
    "orderedness_range",
    "orderedness_with_misplaced",
    "orderedness_with_shuffled",
    "resolved_pairs",
    "sinkhorn_plan",
    "sinkhorn_stability",
    "stability",
    "subspace_agreement",
    "support_jaccard",
]
