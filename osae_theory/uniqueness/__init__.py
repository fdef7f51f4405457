"""When a sparse factorisation is unique: spark, coherence, null-space, RIP and sample conditions.

Atoms and samples are counted from 0. Every function returns a certificate, or a finding that
holds one, that says how it was obtained and how far it can be believed.
"""

from osae_theory.uniqueness.certify import (
    Decision,
    certify_codes,
    certify_problem,
    decide_codes,
    decide_problem,
)
from osae_theory.uniqueness.coherence import babel, coherence_certificate, welch_certificate
from osae_theory.uniqueness.construction import spark_by_construction
from osae_theory.uniqueness.counting import counting_argument
from osae_theory.uniqueness.findings import Finding, Instance, read_instance
from osae_theory.uniqueness.nullspace import nsp_constant_exact, nsp_upper_bound
from osae_theory.uniqueness.rip import (
    rip_by_babel,
    rip_constant_exact,
    rip_lower_bound,
    rip_upper_bound,
)
from osae_theory.uniqueness.samples import (
    aharon_elad_bruckstein,
    distinct_directions,
    garfinkle_hillar,
    hillar_sommer,
    sufficient_conditions,
)
from osae_theory.uniqueness.spark import (
    has_unique_codes,
    spark_by_coherence,
    spark_exhaustive,
    spark_mip,
)

__all__ = [
    "Decision",
    "Finding",
    "Instance",
    "aharon_elad_bruckstein",
    "babel",
    "certify_codes",
    "certify_problem",
    "coherence_certificate",
    "counting_argument",
    "decide_codes",
    "decide_problem",
    "distinct_directions",
    "garfinkle_hillar",
    "has_unique_codes",
    "hillar_sommer",
    "nsp_constant_exact",
    "nsp_upper_bound",
    "read_instance",
    "rip_by_babel",
    "rip_constant_exact",
    "rip_lower_bound",
    "rip_upper_bound",
    "spark_by_coherence",
    "spark_by_construction",
    "spark_exhaustive",
    "spark_mip",
    "sufficient_conditions",
    "welch_certificate",
]
