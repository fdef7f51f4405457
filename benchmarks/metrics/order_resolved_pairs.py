"""Order by energy over pairs of true atoms whose energies differ by more than sampling error."""

from benchmarks.contracts import Metric, Scored
from benchmarks.metrics._levels import no_order
from osae_theory.metrics import order_of_resolved_pairs, resolved_pairs


def _measure(scored: Scored) -> float:
    found = scored.matching.reordered(scored.by_energy)
    assert found.live is not None
    return order_of_resolved_pairs(
        found.permutation[found.live], resolved_pairs(scored.problem.codes)
    )


METRIC = Metric(
    "order_resolved_pairs",
    "order of resolved pairs, sorted by energy",
    "resolved pairs",
    250,
    of_run=_measure,
    bounds=(-1.0, 1.0),
    chance=no_order,
)
