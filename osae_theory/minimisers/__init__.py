"""Minimisers of L_ND and of the exact penalty, exact or certified, and bounds; small instances."""

from osae_theory.minimisers.alternating import (
    alternating,
    best_codes,
    codes_on_supports,
    exchange_codes,
    update_atoms,
)
from osae_theory.minimisers.bounds import convex_lower_bound, eckart_young_bound
from osae_theory.minimisers.exact_encoders import BestEncoder, exact_best_encoder
from osae_theory.minimisers.exact_penalty import PenaltyPoint, penalty_descent, penalty_loss
from osae_theory.minimisers.exact_rays import exact_planar_minimum, exact_two_ray_minimum
from osae_theory.minimisers.losses import gradients, nested_loss, prefix_losses, stationarity
from osae_theory.minimisers.no_common_minimiser import (
    NoCommonMinimiser,
    cyclic_pair_codes,
    no_common_minimiser,
)
from osae_theory.minimisers.order import (
    BestOrder,
    best_order,
    energy_order_is_optimal,
    order_loss,
)
from osae_theory.minimisers.pca import pca_minimiser
from osae_theory.minimisers.penalty_thresholds import (
    LocalThreshold,
    RayMaps,
    hyperplane_bound,
    local_threshold,
    ray_maps,
)
from osae_theory.minimisers.rational import (
    as_fractions,
    exact_codes,
    exact_nested_loss,
    rational_unit_vector,
)
from osae_theory.minimisers.rays import (
    RayMinimiser,
    Rays,
    best_encoder_loss,
    cluster_energies,
    ray_minimiser,
    rays_of,
)
from osae_theory.minimisers.results import Minimiser

__all__ = [
    "BestEncoder",
    "BestOrder",
    "LocalThreshold",
    "Minimiser",
    "NoCommonMinimiser",
    "PenaltyPoint",
    "RayMaps",
    "RayMinimiser",
    "Rays",
    "alternating",
    "as_fractions",
    "best_codes",
    "best_encoder_loss",
    "best_order",
    "cluster_energies",
    "codes_on_supports",
    "convex_lower_bound",
    "cyclic_pair_codes",
    "eckart_young_bound",
    "energy_order_is_optimal",
    "exact_best_encoder",
    "exact_codes",
    "exact_nested_loss",
    "exact_planar_minimum",
    "exact_two_ray_minimum",
    "exchange_codes",
    "gradients",
    "hyperplane_bound",
    "local_threshold",
    "nested_loss",
    "no_common_minimiser",
    "order_loss",
    "pca_minimiser",
    "penalty_descent",
    "penalty_loss",
    "prefix_losses",
    "rational_unit_vector",
    "ray_maps",
    "ray_minimiser",
    "rays_of",
    "stationarity",
    "update_atoms",
]
