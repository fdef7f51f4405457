"""Hypothesis profiles: `ci` is deterministic and short, `thorough` is for an hour by hand."""

import os

from hypothesis import HealthCheck, settings

# Read by scipy when it is imported: without it, scikit-learn skips one of its checks.
os.environ.setdefault("SCIPY_ARRAY_API", "1")

settings.register_profile(
    "ci",
    derandomize=True,
    deadline=None,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "thorough",
    deadline=None,
    max_examples=5000,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("ci")
